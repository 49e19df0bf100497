//! What each value alone cannot tell: whether they fit together.

use super::{Config, Problem};

/// The sentence that an open server has to be started with.
const OPEN: &str = "yes_i_am_very_very_sure_i_want_an_open_registration_server_prone_to_abuse";

/// Everything that does not fit.
pub(super) fn check(config: &Config) -> Vec<Problem> {
    let checks = [
        registration,
        listen,
        proxies,
        connections,
        sync,
        database,
        well_known,
        log,
        turn,
    ];
    checks.iter().filter_map(|check| check(config)).collect()
}

fn registration(config: &Config) -> Option<Problem> {
    let registration = &config.registration;
    let guarded = registration.has_token() || registration.is_open();
    (registration.allow_registration && !guarded).then(|| {
        Problem::value(
            "allow_registration",
            "true without a token lets everybody in the world make accounts here",
            format!(
                "set `registration_token` or `registration_token_file`, or say `{OPEN} = true` if \
                 you mean it"
            ),
        )
    })
}

fn log(config: &Config) -> Option<Problem> {
    let what = settings::check_log_filter(&config.logging.log).err()?;
    Some(Problem::value(
        "log",
        what,
        "set it like `log = \"info\"` or `log = \"info,homeserver=debug\"`",
    ))
}

fn listen(config: &Config) -> Option<Problem> {
    let listen = &config.listen;
    if listen.tls.certs.is_some() != listen.tls.key.is_some() {
        let (there, missing) = if listen.tls.certs.is_some() {
            ("certs", "key")
        } else {
            ("key", "certs")
        };
        return Some(Problem::value(
            &format!("tls.{there}"),
            format_args!("stands without `tls.{missing}`"),
            "name the certificate and its key, or neither",
        ));
    }
    if listen.max_request_size.0 == 0 {
        return Some(Problem::value(
            "max_request_size",
            "0 would refuse every request",
            "set it like `max_request_size = \"24 MiB\"`",
        ));
    }
    let nowhere = |key, values: usize, example: &str| {
        let fix = format!("set it like `{key} = {example}`");
        (values == 0).then(|| Problem::value(key, "an empty list, so nobody can connect", fix))
    };
    nowhere("address", listen.address.0.len(), "\"127.0.0.1\"")
        .or_else(|| nowhere("port", listen.port.0.len(), "6167"))
        .filter(|_| listen.unix_socket_path.is_none())
}

fn proxies(config: &Config) -> Option<Problem> {
    let trusted = &config.proxies.trusted_proxies;
    let all = trusted.iter().find(|network| network.prefix_len() == 0)?;
    Some(Problem::value(
        "trusted_proxies",
        format_args!("{all} lets everybody choose their address, and be under no limit"),
        "name the addresses of your proxies, and nothing else",
    ))
}

fn connections(config: &Config) -> Option<Problem> {
    let connections = &config.connections;
    let limits = [
        ("max_connections", connections.max_connections == 0),
        (
            "max_connections_per_ip",
            connections.max_connections_per_ip == 0,
        ),
        (
            "client_header_timeout",
            connections.client_header_timeout.is_zero(),
        ),
        (
            "client_idle_timeout",
            connections.client_idle_timeout.is_zero(),
        ),
        (
            "client_receive_timeout",
            connections.client_receive_timeout.is_zero(),
        ),
        (
            "client_response_timeout",
            connections.client_response_timeout.is_zero(),
        ),
    ];
    let (key, _) = limits.into_iter().find(|(_, zero)| *zero)?;
    Some(Problem::value(
        key,
        "0 would let nobody in",
        "set it to 1 or more, or leave it out",
    ))
}

fn sync(config: &Config) -> Option<Problem> {
    let sync = &config.sync;
    let least = sync.client_sync_timeout_min;
    let most = sync.client_sync_timeout_max;
    if least > most {
        return Some(Problem::value(
            "client_sync_timeout_min",
            format_args!(
                "{} is more than `client_sync_timeout_max`",
                least.as_millis()
            ),
            format!("set it to at most {}", most.as_millis()),
        ));
    }
    let default = sync.client_sync_timeout_default;
    (!default.is_zero() && (default < least || default > most)).then(|| {
        Problem::value(
            "client_sync_timeout_default",
            format_args!("{} is out of the limits", default.as_millis()),
            format!(
                "set it to 0, or from {} to {}",
                least.as_millis(),
                most.as_millis()
            ),
        )
    })
}

fn database(config: &Config) -> Option<Problem> {
    if config.database.database_path.as_os_str().is_empty() {
        return Some(Problem::value(
            "database_path",
            "it is empty",
            "name a folder",
        ));
    }
    (config.database.database_backups_to_keep == 0).then(|| {
        Problem::value(
            "database_backups_to_keep",
            "0 would delete every backup at once",
            "set it to 1 or more, or leave `database_backup_path` out to do without backups",
        )
    })
}

fn well_known(config: &Config) -> Option<Problem> {
    let client = config.well_known.client.as_ref()?;
    let reachable = matches!(client.scheme(), "http" | "https") && client.has_host();
    (!reachable).then(|| {
        Problem::value(
            "well_known.client",
            format_args!("{:?} is no address of a web server", client.as_str()),
            "set it like `client = \"https://matrix.example.org\"`",
        )
    })
}

fn turn(config: &Config) -> Option<Problem> {
    let turn = &config.turn;
    (turn.turn_username.is_some() != turn.turn_password.is_some()).then(|| {
        let (there, missing) = if turn.turn_username.is_some() {
            ("turn_username", "turn_password")
        } else {
            ("turn_password", "turn_username")
        };
        Problem::value(
            there,
            format_args!("stands without `{missing}`"),
            "set both, or neither and `turn_secret` instead",
        )
    })
}
