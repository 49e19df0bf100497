//! Commands about many accounts at once.

use std::{cmp::Reverse, fmt::Write};

use super::{end, parse_user, refuse_own};
use crate::{
    admin::{
        answer::{code_block, error_text, list},
        is_admin,
    },
    services::Services,
};

/// How many are listed if nobody says how many.
const ACTIVE: usize = 48;

/// Who was there last: when, at which address, who.
pub(super) fn last_active(services: &Services, limit: Option<usize>) -> Result<String, String> {
    let mut seen = Vec::new();
    for user in services.accounts.list().map_err(error_text)? {
        let devices = services.accounts.devices(&user).map_err(error_text)?;
        let last = devices
            .into_iter()
            .filter_map(|(_, device)| Some((device.last_seen?, device.last_seen_ip)))
            .max();
        seen.extend(last.map(|(at, ip)| (at, ip, user)));
    }
    seen.sort_by_key(|(at, ..)| Reverse(*at));
    let lines = seen.into_iter().take(limit.unwrap_or(ACTIVE));
    let lines = lines.map(|(at, ip, user)| {
        let at = jiff::Timestamp::from_second(at.as_secs().into());
        let at = at.map(|at| at.to_string()).unwrap_or_default();
        format!("{at} {:<40} {}", ip.unwrap_or_default(), user.localpart())
    });
    Ok(list("Last active:", lines))
}

pub(super) async fn deactivate(
    services: &Services,
    stays: bool,
    force: bool,
    below: &str,
) -> Result<String, String> {
    let (mut count, mut admins, mut failed) = (0, Vec::new(), Vec::new());
    for line in code_block(below)? {
        let name = line.trim();
        let ended = async {
            let user = parse_user(services, name)?;
            refuse_own(services, &user)?;
            if is_admin(&services.rooms, &user).map_err(error_text)? && !force {
                return Ok(false);
            }
            end(services, &user, stays).await?;
            Ok::<_, String>(true)
        };
        match ended.await {
            Ok(true) => count += 1,
            Ok(false) => admins.push(name),
            Err(reason) => failed.push(format!("\n- {name}: {reason}")),
        }
    }
    let mut text = format!("Deactivated {count} accounts.");
    if !admins.is_empty() {
        // Writing to a text does not fail.
        _ = write!(
            text,
            "\nSkipped admin accounts: {}. Use --force to deactivate admin accounts",
            admins.join(", ")
        );
    }
    Ok(text + &failed.concat())
}
