//! The two tokens, and the files that hold them.

use std::{fs, path::Path};

use regex::{NoExpand, Regex};

use super::{ExitCode, Failure};
use crate::{
    config::{Appservice, Config, Secret, private_file, sample},
    registration::{Registration, new_token},
};

/// Fills in tokens that are missing: those of a registration that a homeserver may know already,
/// otherwise new ones.
pub(super) fn fill(config: &mut Config, registration: &Path) {
    let known = Registration::read(registration).ok();
    let appservice = &mut config.appservice;
    if appservice.as_token.is_missing() {
        let known = known.as_ref().map(Registration::as_token);
        appservice.as_token = known
            .filter(|token| !token.is_missing())
            .unwrap_or_else(new_token);
    }
    if appservice.hs_token.is_missing() {
        let known = known.as_ref().map(Registration::hs_token);
        appservice.hs_token = known
            .filter(|token| !token.is_missing())
            .unwrap_or_else(new_token);
    }
}

/// Makes a key for the agents' encryption keys, if there is none. One that is there is never replaced: what it has sealed would be lost.
fn fill_pickle_key(config: &mut Config) {
    #[cfg(feature = "encryption")]
    if config.encryption.pickle_key.is_none() {
        let key = encryption::PickleKey::random().to_base64();
        config.encryption.pickle_key = Some(Secret::new(key));
    }
    let _ = config;
}

/// Makes both anew.
pub(super) fn rotate(config: &mut Config) {
    config.appservice.as_token = new_token();
    config.appservice.hs_token = new_token();
}

/// Writes the configuration, with a comment above every key.
pub(super) fn write_config(path: &Path, config: &Config) -> Result<(), Failure> {
    let mut config = config.clone();
    fill_pickle_key(&mut config);
    save(path, &sample::render(&config))
}

/// Writes the registration.
pub(super) fn write_registration(path: &Path, registration: &Registration) -> Result<(), Failure> {
    registration
        .write(path)
        .map_err(|error| Failure::new(ExitCode::RegistrationUnwritable, error))
}

/// Puts the tokens of `config` into the file at `path` and leaves everything else as it is written
/// there, comments included, where that can be done.
pub(super) fn write_tokens(path: &Path, config: &Config) -> Result<(), Failure> {
    let text = fs::read_to_string(path).unwrap_or_default();
    match with_tokens(&text, &config.appservice) {
        Some(text) => save(path, &text),
        None => write_config(path, config),
    }
}

fn with_tokens(text: &str, appservice: &Appservice) -> Option<String> {
    let mut text = text.to_owned();
    for (key, token) in [
        ("as_token", &appservice.as_token),
        ("hs_token", &appservice.hs_token),
    ] {
        let line = Regex::new(&format!(r"(?m)^( +{key}:).*$")).ok()?;
        let kept = line.captures(&text)?.get(1)?.as_str();
        let new = format!("{kept} \"{}\"", token.expose());
        text = line.replace(&text, NoExpand(&new)).into_owned();
    }
    let read: Config = serde_yaml::from_str(&text).ok()?;
    let same = read.appservice.as_token == appservice.as_token
        && read.appservice.hs_token == appservice.hs_token;
    same.then_some(text)
}

fn save(path: &Path, text: &str) -> Result<(), Failure> {
    private_file::write(path, text).map_err(|error| {
        Failure::new(
            ExitCode::ConfigUnwritable,
            format_args!("cannot write {}: {error}", path.display()),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Secret;

    #[test]
    fn a_hand_written_file_keeps_its_comments() {
        let appservice = Appservice {
            as_token: Secret::new("aaa"),
            hs_token: Secret::new("hhh"),
            ..Appservice::default()
        };
        let text = "# mine\nappservice:\n    # here\n    as_token: This value\n    hs_token:\n";
        assert_eq!(
            with_tokens(text, &appservice).unwrap(),
            "# mine\nappservice:\n    # here\n    as_token: \"aaa\"\n    hs_token: \"hhh\"\n"
        );
        assert_eq!(
            with_tokens("appservice: {as_token: x, hs_token: y}", &appservice),
            None
        );
        assert_eq!(
            with_tokens("other:\n  as_token: x\n  hs_token: y\n", &appservice),
            None
        );
    }
}
