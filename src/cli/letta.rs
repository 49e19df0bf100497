//! What `init` and `doctor` say about Letta: what is there, and what it cannot do.

use letta_client::{
    BackendError, BackendInfo,
    detect::{DetectError, detect},
};

use super::Failure;
use crate::{
    app,
    config::{Config, Environment, Secret, http_url},
};

/// Finds out how to speak to Letta, if nobody has said so, and writes it into `config`. Gives what
/// there is to say about it.
///
/// A Letta that is not there yet is no failure: the bridge asks again when it runs.
pub(super) async fn check_letta(
    config: &mut Config,
    environment: &Environment,
) -> Result<String, Failure> {
    if config.letta.backend.is_some() {
        return Ok(String::new());
    }
    // A key that only the environment knows opens the door, but is not written down.
    let asking = config.with(environment)?;
    let url = http_url::text(&asking.letta.url);
    let key = asking.letta.api_key.as_ref().map(Secret::expose);
    let kind = match detect(url, key).await {
        Ok(kind) => kind,
        Err(DetectError::Backend(error)) => return Ok(not_known(url, &error)),
        Err(DetectError::Config(error)) => return Ok(not_known(url, &error)),
    };
    config.letta.backend = Some(kind);
    let asking = config.with(environment)?;
    let found = match app::letta(&asking) {
        Ok(Some(backend)) => backend.info().await,
        Ok(None) | Err(_) => return Ok(String::new()),
    };
    Ok(match found {
        Ok(info) => format!("{}\n\n", answers(&info, url)),
        Err(error) => not_known(url, &error),
    })
}

fn not_known(url: &str, why: &dyn std::error::Error) -> String {
    format!(
        "Letta cannot be asked now: {why}.\nThe bridge asks {url} again when it runs; `doctor` \
         tells what it finds.\n\n"
    )
}

/// One line about a Letta that answers.
pub(super) fn answers(info: &BackendInfo, url: &str) -> String {
    format!(
        "{} answers at {url}{}",
        info.name(),
        info.missing_features()
    )
}

/// What to do about a Letta that does not answer as it should.
pub(super) fn fix(error: &BackendError) -> &'static str {
    match error {
        BackendError::Unauthorized => {
            "set `letta.api_key` or LETTA_API_KEY to the key, password or token of this server"
        }
        BackendError::Unrecognized { .. } => {
            "check `letta.url`; if it is right, say in `letta.backend` what it is (docs/letta.md)"
        }
        BackendError::EmptyList => "make an agent in Letta, or look at its log",
        _ => "check `letta.url` and `letta.api_key`, and that Letta is running",
    }
}
