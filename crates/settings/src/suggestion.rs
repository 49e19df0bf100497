//! "Did you mean …?"

/// How alike two words must be for one to be a misspelling of the other, of 1.
const LIKENESS_MIN: f64 = 0.8;

/// The known key that `name` is most likely a misspelling of. Keys may be `section.key`: one may also stand in the wrong section, so
/// that its own name counts like the whole path.
pub fn nearest<S: AsRef<str>>(name: &str, known: impl IntoIterator<Item = S>) -> Option<S> {
    let last = |path: &str| path.rsplit('.').next().unwrap_or_default().to_owned();
    let likeness = |known: &str| {
        if last(name) == last(known) {
            1.0
        } else {
            strsim::jaro_winkler(name, known)
        }
    };
    known
        .into_iter()
        .map(|known| (likeness(known.as_ref()), known))
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .filter(|(likeness, _)| *likeness >= LIKENESS_MIN)
        .map(|(_, known)| known)
}

/// The names as code, with commas.
pub fn quoted(names: &[&str]) -> String {
    let names: Vec<_> = names.iter().map(|name| format!("`{name}`")).collect();
    names.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn misspelling_finds_its_key_and_nonsense_finds_none() {
        let known = ["server_name", "well_known.client", "port"];
        assert_eq!(nearest("servername", known), Some("server_name"));
        assert_eq!(nearest("client", known), Some("well_known.client"));
        assert_eq!(nearest("global.port", known), Some("port"));
        assert_eq!(nearest("xyzzy", known), None);
        assert_eq!(quoted(&known[..2]), "`server_name`, `well_known.client`");
    }
}
