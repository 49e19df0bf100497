//! Why a file cannot be shown to an agent.

/// See the module's documentation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::turns) enum NotShown {
    /// It is encrypted, or its address is none of a homeserver.
    Encrypted,
    /// It is larger than this many bytes.
    TooLarge {
        /// The limit.
        bytes_max: usize,
    },
    /// It has so many pixels.
    TooManyPixels {
        /// Its width in pixels.
        width: u32,
        /// Its height in pixels.
        height: u32,
    },
    /// It is no picture of a kind that is known here, or a damaged one.
    Unreadable,
    /// The homeserver does not have it.
    Missing,
    /// The homeserver does not give it now.
    Unreachable,
    /// What came with the same turn took so long that there was no time left for it.
    TooSlow,
    /// Its words and those of the files before it are too many for one turn.
    TooManyWords,
    /// The agent's model takes no pictures.
    NoPictures,
    /// It is no text, or too much of it.
    NoText,
    /// Nobody turns speech into text here.
    NoTranscription,
    /// Whoever turns speech into text could not.
    NotTranscribed,
    /// There is no word in it.
    NothingSaid,
}

impl NotShown {
    /// What the agent is told beside the description of the file.
    pub(in crate::turns) fn for_agent(self) -> String {
        let why = match self {
            Self::NoPictures => {
                return "[you cannot see it: your model takes no pictures]".to_owned();
            }
            Self::NoText => {
                return "[what is in this file is not passed on: it is no text, or too long]"
                    .to_owned();
            }
            Self::NoTranscription => {
                return "[you cannot hear it: speech is not turned into text here]".to_owned();
            }
            Self::NothingSaid => return "[no words are heard in it]".to_owned(),
            Self::NotTranscribed => "it could not be turned into text",
            Self::Encrypted => "it is encrypted",
            Self::TooLarge { .. } => "it is too large",
            Self::TooManyPixels { .. } => "it has too many pixels",
            Self::Unreadable => "it is damaged, or of a kind that is not known here",
            Self::Missing => "it is not there any more",
            Self::Unreachable => "it could not be fetched",
            Self::TooSlow => "it took too long to fetch",
            Self::TooManyWords => "there is too much text in it beside the other files",
        };
        format!("[it cannot be shown to you: {why}; its sender was told]")
    }

    /// What its sender is told, and the code of it. `None`: nothing, or, of a model that takes no pictures, once for the room.
    pub(in crate::turns) fn for_sender(self) -> Option<(String, &'static str)> {
        let (why, code) = match self {
            Self::NoPictures | Self::NoText | Self::NoTranscription | Self::NothingSaid => {
                return None;
            }
            Self::NotTranscribed => {
                let why = "it could not be turned into text; write it, or send it again later";
                (why.to_owned(), "TRANSCRIPTION_FAILED")
            }
            Self::Encrypted => (
                "it is encrypted, or not on a homeserver".to_owned(),
                "FILE_ENCRYPTED",
            ),
            Self::TooLarge { bytes_max } => {
                let mebibytes = bytes_max / (1024 * 1024);
                (
                    format!("it is larger than {mebibytes} MiB"),
                    "FILE_TOO_LARGE",
                )
            }
            Self::TooManyPixels { width, height } => {
                let why = format!("it has {width} times {height} pixels, which is too many");
                (why, "PICTURE_TOO_LARGE")
            }
            Self::Unreadable => {
                let why = "it is damaged, or none that I can read (I know PNG, JPEG, GIF and WebP)";
                (why.to_owned(), "PICTURE_UNREADABLE")
            }
            Self::Missing => ("the homeserver does not have it".to_owned(), "FILE_MISSING"),
            Self::Unreachable => {
                let why = "the homeserver did not give it to me; send it again later";
                (why.to_owned(), "FILE_UNREACHABLE")
            }
            Self::TooSlow => {
                let why = "it took too long to fetch or to turn into text; send it again later";
                (why.to_owned(), "FILE_TOO_SLOW")
            }
            Self::TooManyWords => {
                let why = "it is too much text beside the other files; send it again by itself";
                (why.to_owned(), "FILES_TOO_LONG")
            }
        };
        Some((why, code))
    }
}
