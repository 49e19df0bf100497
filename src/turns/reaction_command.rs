//! What people say without words: the reactions that mean something to the bridge.

/// Makes the character before it a picture. Some clients send it, some do not.
const PICTURE: char = '\u{fe0f}';

/// A reaction that means something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReactionCommand {
    /// ✅: the tools may run.
    Approve,
    /// ❌: they may not.
    Deny,
    /// 🛑: the turn shall stop.
    Stop,
}

impl ReactionCommand {
    /// What a reaction means, if it means something. Only these signs do: a thumb up is said to
    /// many a message, and must not set a tool going.
    pub fn of(key: &str) -> Option<Self> {
        let sign = key.trim_end_matches(PICTURE);
        [Self::Approve, Self::Deny, Self::Stop]
            .into_iter()
            .find(|reaction_command| reaction_command.emoji() == sign)
    }

    /// The sign, as the bridge itself sends it.
    pub fn emoji(self) -> &'static str {
        match self {
            Self::Approve => "✅",
            Self::Deny => "❌",
            Self::Stop => "🛑",
        }
    }

    /// A word for it, for ids.
    pub fn word(self) -> &'static str {
        match self {
            Self::Approve => "approve",
            Self::Deny => "deny",
            Self::Stop => "stop",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_its_own_signs_mean_something() {
        for reaction_command in [
            ReactionCommand::Approve,
            ReactionCommand::Deny,
            ReactionCommand::Stop,
        ] {
            assert_eq!(
                ReactionCommand::of(reaction_command.emoji()),
                Some(reaction_command)
            );
            let picture = format!("{}\u{fe0f}", reaction_command.emoji());
            assert_eq!(ReactionCommand::of(&picture), Some(reaction_command));
        }
        for other in ["👍", "✔", "✅✅", "x", ""] {
            assert_eq!(ReactionCommand::of(other), None, "{other}");
        }
    }
}
