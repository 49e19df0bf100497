//! What the first user reads on standard output: where the homeserver is, as whom to register, and with which token.

use axum::{
    http::header,
    response::{Html, IntoResponse},
};
use indoc::formatdoc;
use ruma::ServerName;

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

/// What a browser shows at `/`: a server name is letters, digits and `.-:[]`, so nothing of it is markup.
pub(super) fn page(server_name: &ServerName) -> impl IntoResponse + Clone + Send + use<> {
    let html = formatdoc! {"
        <!doctype html>
        <html lang=\"en\"><meta charset=\"utf-8\"><title>{server_name}</title>
        <h1>{server_name}</h1>
        <p>This is a Matrix homeserver. It works.</p>
        <p>To log in, open a Matrix client (Element, Cinny, nheko, ...), choose \"other homeserver\" and give it this address.</p>
        <p>Accounts are made with a registration token: the first one is printed where the server was started, others come from
        its admin.</p>
        </html>
    "};
    (
        [(
            header::CONTENT_SECURITY_POLICY,
            "default-src 'none'; frame-ancestors 'none'",
        )],
        Html(html),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn page_names_the_server_and_how_to_log_in() {
        for name in ["localhost", "house.test:8448", "[::1]:80"] {
            let response = page(name.try_into().unwrap()).into_response();
            let kind = response.headers()["content-type"].to_str().unwrap();
            assert!(kind.starts_with("text/html"), "{kind}");
            let body = axum::body::to_bytes(response.into_body(), 10_000)
                .await
                .unwrap();
            let text = String::from_utf8(body.to_vec()).unwrap();
            assert!(text.contains(&format!("<h1>{name}</h1>")) && text.contains("To log in"));
        }
    }

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
