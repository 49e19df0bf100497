//! Files that hold a secret, as container platforms hand them in.

use std::{fs, path::Path};

use super::ConfigError;

/// The text of the file that `key` names, which must not be blank.
pub(super) fn read(key: &'static str, path: &Path) -> Result<String, ConfigError> {
    let text = fs::read_to_string(path).map_err(|source| ConfigError::Unreadable {
        path: path.to_owned(),
        source,
    })?;
    if text.trim().is_empty() {
        return Err(ConfigError::EmptySecretFile {
            key,
            path: path.to_owned(),
        });
    }
    Ok(text)
}
