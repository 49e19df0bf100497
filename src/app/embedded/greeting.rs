//! What the first user reads on standard output: where the homeserver is, as whom to register, and with which token.

use indoc::formatdoc;

/// The greeting of every start. `token` is there as long as nobody who manages the bridge has an account.
pub(super) fn text(address: &str, name: Option<&str>, token: Option<&str>) -> String {
    let Some(token) = token else {
        return format!("Point any Matrix client at {address} to meet the agents.\n");
    };
    formatdoc! {"

        Ready. Nobody has registered yet. Point any Matrix client (Element, Cinny, nheko, ...) at

            homeserver           {address}
            register as          {name}
            registration token   {token}

        Choose \"create account\" in the client, take this name and a password of your own, and give the token when it asks for
        one. The token is good once, for 24 hours. `matrix-appservice-letta token` makes a new one while the bridge is stopped.

        ",
        name = name.unwrap_or("any name"),
    }
}

/// What `token` prints.
pub(super) fn renewed(name: &str, token: &str) -> String {
    formatdoc! {"
        register as          {name}
        registration token   {token}

        It is good once, for 24 hours; earlier ones for this name are revoked. Start the bridge to use it.
        "}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn greeting_names_address_user_and_token() {
        let first = text("http://localhost:6167", Some("me"), Some("T0K3N"));
        for part in [
            "http://localhost:6167",
            "register as          me\n",
            "T0K3N",
            "create account",
        ] {
            assert!(first.contains(part), "{part}: {first}");
        }
        assert!(text("http://a", None, Some("T")).contains("any name"));
        let later = text("http://localhost:6167", Some("me"), None);
        assert_eq!(
            later,
            "Point any Matrix client at http://localhost:6167 to meet the agents.\n"
        );
    }
}
