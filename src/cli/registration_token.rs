//! `token`: a new registration token for somebody who has lost theirs.

use super::{ExitCode, Failure, Files, Outcome, TokenArgs, print_out};
use crate::{app, config::Config};

/// Makes a registration token in the database of the embedded homeserver, and prints it.
pub(super) async fn token(files: &Files, args: &TokenArgs) -> Outcome {
    let config = Config::load(files.config())?;
    if !config.homeserver.is_embedded() {
        let why = "the homeserver of this configuration is external: its own program makes its registration tokens";
        return Err(Failure::new(ExitCode::Usage, why));
    }
    let made = app::renew_registration_token(&config, args.name.as_deref()).await?;
    print_out(&made);
    Ok(())
}
