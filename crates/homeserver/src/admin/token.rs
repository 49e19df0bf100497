//! Commands about registration tokens.

use std::{fmt::Write, time::Duration};

use super::command::Token;
use crate::services::Services;

pub(super) async fn run(services: &Services, command: Token) -> Result<String, String> {
    let error_text = |error: crate::error::Error| error.to_string();
    match command {
        Token::Issue {
            max_uses,
            max_age,
            once,
        } => {
            let uses = if once { Some(1) } else { max_uses };
            let life = max_age.as_deref().map(age).transpose()?;
            let issued = services.accounts.issue_registration_token(uses, life).await;
            Ok(format!(
                "New registration token issued: `{}`",
                issued.map_err(error_text)?
            ))
        }
        Token::Revoke { token } => {
            let revoked = services.accounts.revoke_registration_token(&token).await;
            if revoked.map_err(error_text)? {
                return Ok("Token revoked successfully.".to_owned());
            }
            Err("There is no such token.".to_owned())
        }
        Token::List => {
            let tokens = services
                .accounts
                .registration_tokens()
                .map_err(error_text)?;
            let mut text = format!("Found {} registration tokens:\n", tokens.len());
            for (token, record) in tokens {
                let left = record.uses_left.map(|left| format!(", {left} left"));
                // Writing to a text does not fail.
                _ = writeln!(
                    text,
                    "- `{token}`: used {} times{}",
                    record.used,
                    left.unwrap_or_default()
                );
            }
            Ok(text)
        }
    }
}

fn age(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text).map_err(|error| format!("--max-age: {error}"))
}
