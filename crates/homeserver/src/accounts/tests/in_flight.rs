//! Requests that have shown what lets them in, and wait, when it ends: nothing comes of them.

use std::sync::Arc;

use ruma::OwnedUserId;
use tokio::task::JoinHandle;

use super::*;
use crate::{
    accounts::{Accounts, HashRequester, record::ShortTokenUse},
    http::tests::sockets::until,
    testing::TestUser,
};

const OLD: &str = "old-secret";
const NEW: &str = "new-secret";

/// What ends while a request waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ends {
    Password,
    Account,
    Device,
}

/// A user with a device, and what a request of theirs can show.
struct Shown {
    person: TestUser,
    login: String,
    refresh: String,
}

async fn shown(test: &Arc<TestServer>, name: &str) -> Shown {
    let accounts = &test.server.accounts;
    test.server
        .operations
        .create_account(name, Some(OLD))
        .await
        .unwrap();
    let mut body = password(name, OLD);
    body["refresh_token"] = true.into();
    let (_, session) = login(test, body).await;
    let mut person = test.with_token(name, session["access_token"].as_str().unwrap());
    session["device_id"]
        .as_str()
        .unwrap()
        .clone_into(&mut person.device_id);
    let device = person.device_id.as_str().into();
    accounts.suppress_seen_write(&person.user_id, device);
    let issued = accounts
        .issue_short_token(&person.user_id, Some(device), ShortTokenUse::Login, None)
        .await;
    let keys = crate::keys::tests::cross_signing_upload(&person);
    let upload = "/_matrix/client/v3/keys/device_signing/upload";
    person.post(upload, keys).await;
    Shown {
        person,
        login: issued.unwrap(),
        refresh: session["refresh_token"].as_str().unwrap().to_owned(),
    }
}

/// The end, in the queue for the account.
fn end(test: &Arc<TestServer>, person: &TestUser, what: Ends) -> JoinHandle<()> {
    let (test, person) = (test.clone(), person.clone());
    tokio::spawn(async move {
        let (server, accounts) = (&test.server, &test.server.accounts);
        let user = &person.user_id;
        let ended = match what {
            Ends::Password => {
                accounts
                    .set_password(user, NEW, &HashRequester::Admin, None)
                    .await
            }
            Ends::Account => {
                server
                    .operations
                    .end_account(user, SentContent::Kept, None)
                    .await
            }
            Ends::Device => {
                let devices = [person.device_id.clone().into()];
                server.operations.delete_devices(user, &devices, None).await
            }
        };
        ended.unwrap();
    })
}

fn queued(accounts: &Accounts, user: &OwnedUserId) -> usize {
    accounts.changing.interested(user)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_comes_of_what_was_shown_before_it_ended() {
    use Ends::{Account, Device, Password};
    let test = Arc::new(TestServer::start().await);
    let accounts = &test.server.accounts;
    let refused = StatusCode::FORBIDDEN;
    let unknown = StatusCode::UNAUTHORIZED;
    let cases = [
        ("login", Password, refused),
        ("login", Account, refused),
        ("token login", Password, refused),
        ("token login", Account, refused),
        ("token login", Device, refused),
        ("login token", Password, refused),
        ("login token", Device, unknown),
        ("refresh", Account, unknown),
        ("refresh", Device, unknown),
        ("openid", Account, unknown),
        ("openid", Device, unknown),
        ("delete device", Password, refused),
        ("delete devices", Password, refused),
        ("new password", Password, refused),
        ("deactivate", Password, refused),
        ("cross-signing", Password, refused),
    ];
    for (number, (what, ends, status)) in cases.into_iter().enumerate() {
        let shown = shown(&test, &format!("user{number}")).await;
        let (person, user) = (&shown.person, &shown.person.user_id);
        // Whoever asks gets its turn after the end, as a request does that was faster to show than to act.
        let held = accounts.lock(user).await;
        let ending = end(&test, person, ends);
        until(|| queued(accounts, user) == 2).await;
        let asked = tokio::spawn(ask(test.clone(), what, &shown));
        until(|| queued(accounts, user) == 3).await;
        drop(held);
        ending.await.unwrap();
        let (answered, answer) = asked.await.unwrap();
        assert_eq!(answered, status, "{what} {ends:?}: {answer}");
        let devices = accounts.devices(user).unwrap().len();
        assert_eq!(devices, usize::from(ends == Password), "{what} {ends:?}");
        if ends == Password {
            let (status, answer) = login(&test, password(user.localpart(), NEW)).await;
            assert_eq!(status, StatusCode::OK, "{what}: {answer}");
        }
    }
}

/// The request, with everything that it shows.
fn ask(
    test: Arc<TestServer>,
    what: &str,
    shown: &Shown,
) -> impl Future<Output = (StatusCode, Value)> + Send + use<> {
    let person = shown.person.clone();
    let mut auth = password(person.user_id.localpart(), OLD);
    auth["identifier"]["user"] = person.user_id.as_str().into();
    let (user, device) = (&person.user_id, &person.device_id);
    let (with_token, path, body) = match what {
        "login" => (false, "v3/login".to_owned(), auth),
        "token login" => {
            let body = json!({ "type": "m.login.token", "token": shown.login });
            (false, "v3/login".to_owned(), body)
        }
        "refresh" => {
            let body = json!({ "refresh_token": shown.refresh });
            (false, "v3/refresh".to_owned(), body)
        }
        "login token" => (
            true,
            "v1/login/get_token".to_owned(),
            json!({ "auth": auth }),
        ),
        "openid" => (
            true,
            format!("v3/user/{user}/openid/request_token"),
            json!({}),
        ),
        "delete device" => (
            true,
            format!("v3/devices/{device}"),
            json!({ "auth": auth }),
        ),
        "delete devices" => {
            let body = json!({ "auth": auth, "devices": [device] });
            (true, "v3/delete_devices".to_owned(), body)
        }
        "new password" => {
            let body = json!({ "auth": auth, "new_password": "third-secret" });
            (true, "v3/account/password".to_owned(), body)
        }
        "deactivate" => (
            true,
            "v3/account/deactivate".to_owned(),
            json!({ "auth": auth }),
        ),
        "cross-signing" => {
            let mut body = crate::keys::tests::cross_signing_upload(&person);
            body["auth"] = auth;
            (true, "v3/keys/device_signing/upload".to_owned(), body)
        }
        other => panic!("no such request: {other}"),
    };
    let method = match what {
        "delete device" => Method::DELETE,
        _ => Method::POST,
    };
    let path = format!("/_matrix/client/{path}");
    async move {
        if with_token {
            person.call(method, &path, body).await
        } else {
            test.call(method, &path, body).await
        }
    }
}
