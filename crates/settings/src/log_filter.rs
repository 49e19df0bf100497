//! Filters of the log: levels, and levels of single targets.

/// The levels of a log, in words.
const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];
/// The same, as numbers.
const LEVEL_MAX: u8 = 5;

/// Checks directives of a log filter, which are separated by commas: each is a level, or `target=level`.
///
/// `tracing` takes a word that is no level for a target of which everything is logged, so that a misspelled level turns all other
/// lines off.
///
/// # Errors
///
/// Says which directive is neither.
pub fn check_log_filter(filter: &str) -> Result<(), String> {
    // What stands in brackets names spans and their fields, and may hold commas.
    if filter.contains(['[', '{']) {
        return Ok(());
    }
    let directives = filter.split(',').map(str::trim);
    let mut directives = directives
        .filter(|directive| !directive.is_empty())
        .peekable();
    if directives.peek().is_none() {
        return Err("is empty, so nothing would be logged".to_owned());
    }
    for directive in directives {
        let level = directive
            .rsplit_once('=')
            .map_or(directive, |(_, level)| level);
        if !is_level(level) {
            return Err(format!(
                "`{directive}` is neither a level nor `target=level`; levels are {}",
                crate::quoted(&LEVELS)
            ));
        }
    }
    Ok(())
}

fn is_level(word: &str) -> bool {
    let is_number = word.parse::<u8>().is_ok_and(|number| number <= LEVEL_MAX);
    is_number || LEVELS.iter().any(|level| level.eq_ignore_ascii_case(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directives_are_levels_or_name_one() {
        for good in [
            "info",
            "INFO",
            "3",
            "warn,matrix_appservice_letta=debug",
            "info, homeserver::sync=trace",
            "off",
            "info,,warn,",
            "info,[send{room=1,user=2}]=debug",
        ] {
            assert_eq!(check_log_filter(good), Ok(()), "{good}");
        }
        for bad in ["inof", "", ",", "info,homeserver", "9", "a=inof"] {
            assert!(check_log_filter(bad).is_err(), "{bad}");
        }
    }
}
