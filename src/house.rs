//! The invariants of the house, written as absences, checked over the source itself.

use std::{
    fs,
    path::Path,
};

/// Set, a test rewrites generated files instead of comparing them.
const UPDATE: &str = "UPDATE_EXAMPLES";

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Compares a generated file with the one in the repository.
pub(crate) fn same_as_on_disk(path: &Path, generated: &str) {
    let path = root().join(path);
    if std::env::var_os(UPDATE).is_some() {
        fs::write(&path, generated).expect("the repository can be written to");
    }
    let on_disk = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        on_disk == generated,
        "{} is not what the code generates; rewrite it with `{UPDATE}=1 cargo test --lib` and look \
         at the difference",
        path.display()
    );
}
