//! A sentence that the bridge says to a room, and the code of what it is about.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What a notice says. Its code is always in the event and in the log; people see it where an admin has to act, who can look for it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Stored")]
pub struct NoticeText {
    /// What people read.
    pub sentence: String,
    /// What it is about, such as `AGENT_GONE`; empty: nothing that has a name.
    pub code: String,
    /// Whether an admin has to act.
    pub for_admin: bool,
}

/// As the journal has it: once a notice was its text alone.
#[derive(Deserialize)]
#[serde(untagged)]
enum Stored {
    Text(String),
    Notice {
        sentence: String,
        code: String,
        for_admin: bool,
    },
}

impl From<Stored> for NoticeText {
    fn from(stored: Stored) -> Self {
        match stored {
            Stored::Text(sentence) => Self::new(sentence, ""),
            Stored::Notice {
                sentence,
                code,
                for_admin,
            } => Self {
                sentence,
                code,
                for_admin,
            },
        }
    }
}

impl NoticeText {
    /// A sentence about something that people of the room can deal with themselves.
    pub fn new(sentence: impl Into<String>, code: impl Into<String>) -> Self {
        Self {
            sentence: sentence.into(),
            code: code.into(),
            for_admin: false,
        }
    }

    /// The same for something that an admin has to deal with, if `is_so`.
    #[must_use]
    pub fn for_admin_if(self, is_so: bool) -> Self {
        Self {
            for_admin: is_so,
            ..self
        }
    }

    /// The same for something that an admin has to deal with.
    #[must_use]
    pub fn for_admin(self) -> Self {
        self.for_admin_if(true)
    }

    /// The same with more to say.
    #[must_use]
    pub fn and(self, more: &str) -> Self {
        Self {
            sentence: format!("{} {more}", self.sentence),
            ..self
        }
    }
}

/// As people see it.
impl fmt::Display for NoticeText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.sentence)?;
        if self.for_admin && !self.code.is_empty() {
            write!(f, " [{}]", self.code)?;
        }
        Ok(())
    }
}
