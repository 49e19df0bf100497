//! What people say without words: the reactions that mean something to the bridge.

/// Makes the character before it a picture. Some clients send it, some do not.
const PICTURE: char = '\u{fe0f}';

/// A reaction that means something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gesture {
    /// ✅: the tools may run.
    Approve,
    /// ❌: they may not.
    Deny,
    /// 🛑: the turn shall stop.
    Stop,
}

impl Gesture {
    /// What a reaction means, if it means something. Only these signs do: a thumb up is said to
    /// many a message, and must not set a tool going.
    pub fn of(key: &str) -> Option<Self> {
        let sign = key.trim_end_matches(PICTURE);
        [Self::Approve, Self::Deny, Self::Stop]
            .into_iter()
            .find(|gesture| gesture.sign() == sign)
    }

    /// The sign, as the bridge itself sends it.
    pub fn sign(self) -> &'static str {
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
        for gesture in [Gesture::Approve, Gesture::Deny, Gesture::Stop] {
            assert_eq!(Gesture::of(gesture.sign()), Some(gesture));
            let picture = format!("{}\u{fe0f}", gesture.sign());
            assert_eq!(Gesture::of(&picture), Some(gesture));
        }
        for other in ["👍", "✔", "✅✅", "x", ""] {
            assert_eq!(Gesture::of(other), None, "{other}");
        }
    }
}
