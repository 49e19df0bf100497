//! Accounts, profiles, devices, account data, tags, filters.

use serde_json::value::to_raw_value;

use super::*;
use crate::{
    accounts::record::{ShortToken, ShortTokenUse},
    clock,
    limits::*,
    store::tables,
    stream::Position,
    sync::record::AccountDatum,
};

pub(super) async fn probe(table: &mut Table) {
    names(table).await;
    profiles(table).await;
    short_tokens(table).await;
    devices(table).await;
    account_data(table).await;
    tags_and_filters(table).await;
}

async fn names(table: &mut Table) {
    let nobody = table.test.with_token("nobody", "");
    let register = |name: usize, device: &str| {
        let body = json!({
            "username": long(name), "password": "secret", "initial_device_display_name": device,
            "auth": { "type": "m.login.registration_token", "token": "token" },
        });
        post("/_matrix/client/v3/register?access_token=", body)
    };
    let around = "@:letta.test".len();
    table
        .row(
            "USER_ID_MAX_BYTES",
            &nobody,
            register(USER_ID_MAX_BYTES - around, ""),
            register(USER_ID_MAX_BYTES - around + 1, ""),
        )
        .await;
    table
        .row(
            "DEVICE_NAME_MAX_BYTES",
            &nobody,
            register(20, &long(DEVICE_NAME_MAX_BYTES)),
            register(21, &long(DEVICE_NAME_MAX_BYTES + 1)),
        )
        .await;
    let register = |name: usize, password: usize| {
        let body = json!({
            "username": long(name), "password": long(password),
            "auth": { "type": "m.login.registration_token", "token": "token" },
        });
        post("/_matrix/client/v3/register?access_token=", body)
    };
    let max = PASSWORD_MAX_BYTES;
    let (within, beyond) = (register(22, max), register(23, max + 1));
    table
        .row("PASSWORD_MAX_BYTES", &nobody, within, beyond)
        .await;
    let login = |device: usize| {
        let body = json!({
            "type": "m.login.password", "password": "secret", "device_id": long(device),
            "identifier": { "type": "m.id.user", "user": long(20) },
        });
        post("/_matrix/client/v3/login", body)
    };
    table
        .row(
            "DEVICE_ID_MAX_BYTES",
            &nobody,
            login(DEVICE_ID_MAX_BYTES),
            login(DEVICE_ID_MAX_BYTES + 1),
        )
        .await;
}

async fn profiles(table: &mut Table) {
    let (who, _) = table.somebody("profile").await;
    let field = |name: &str, value: Value| {
        let path = format!("/_matrix/client/v3/profile/{}/{name}", who.user_id);
        put(path, json!({ name: value }))
    };
    let text = |name: &str, length: usize| field(name, json!(long(length)));
    let name_max = DISPLAY_NAME_MAX_CHARS;
    table
        .row(
            "DISPLAY_NAME_MAX_CHARS",
            &who,
            text("displayname", name_max),
            text("displayname", name_max + 1),
        )
        .await;
    table
        .row(
            "AVATAR_URL_MAX_BYTES",
            &who,
            text("avatar_url", AVATAR_URL_MAX_BYTES),
            text("avatar_url", AVATAR_URL_MAX_BYTES + 1),
        )
        .await;
    let named = |length: usize| field(&long(length), json!(1));
    table
        .row(
            "PROFILE_FIELD_NAME_MAX_BYTES",
            &who,
            named(PROFILE_FIELD_NAME_MAX_BYTES),
            named(PROFILE_FIELD_NAME_MAX_BYTES + 1),
        )
        .await;
    let (who, _) = table.somebody("large").await;
    let large = |bytes: usize| {
        let path = format!("/_matrix/client/v3/profile/{}/org.example.x", who.user_id);
        put(path, padded(bytes, |text| json!({ "org.example.x": text })))
    };
    table
        .row(
            "PROFILE_MAX_BYTES",
            &who,
            large(PROFILE_MAX_BYTES),
            large(PROFILE_MAX_BYTES + 1),
        )
        .await;
    let status = |length: usize| {
        let path = format!("/_matrix/client/v3/presence/{}/status", who.user_id);
        put(
            path,
            json!({ "presence": "online", "status_msg": long(length) }),
        )
    };
    table
        .row(
            "PRESENCE_MESSAGE_MAX_BYTES",
            &who,
            status(PRESENCE_MESSAGE_MAX_BYTES),
            status(PRESENCE_MESSAGE_MAX_BYTES + 1),
        )
        .await;
}

async fn short_tokens(table: &mut Table) {
    let (who, _) = table.somebody("short").await;
    let now = u64::from(clock::now().0) + u64::try_from(OPENID_TOKEN_LIFE.as_millis()).unwrap();
    let token = ShortToken {
        device_id: None,
        user_id: who.user_id.clone(),
        purpose: ShortTokenUse::OpenId,
        expires: ruma::MilliSecondsSinceUnixEpoch(ruma::UInt::new_saturating(now)),
    };
    let mut batch = table.test.server.store.batch();
    for number in 1..SHORT_TOKENS_PER_USER {
        let mut digest = [7; 32];
        digest[0] = u8::try_from(number).unwrap();
        batch.put::<tables::ShortTokens>((digest,), &token).unwrap();
    }
    table.test.server.store.commit(batch).await.unwrap();
    let path = format!(
        "/_matrix/client/v3/user/{}/openid/request_token",
        who.user_id
    );
    let ask = || post(path.clone(), json!({}));
    table.row("SHORT_TOKENS_PER_USER", &who, ask(), ask()).await;
}

async fn devices(table: &mut Table) {
    let (who, _) = table.somebody("devices").await;
    let name = |length: usize| {
        let path = format!("/_matrix/client/v3/devices/{}", who.device_id);
        put(path, json!({ "display_name": long(length) }))
    };
    table
        .row(
            "DEVICE_NAME_MAX_BYTES",
            &who,
            name(DEVICE_NAME_MAX_BYTES),
            name(DEVICE_NAME_MAX_BYTES + 1),
        )
        .await;
    let delete = |count: usize| {
        let devices: Vec<String> = (0..count).map(|number| format!("D{number}")).collect();
        post(
            "/_matrix/client/v3/delete_devices",
            json!({ "devices": devices }),
        )
    };
    table
        .row_with(
            "DEVICES_DELETED_AT_ONCE",
            &who,
            // The password is missing.
            StatusCode::UNAUTHORIZED,
            delete(DEVICES_DELETED_AT_ONCE),
            delete(DEVICES_DELETED_AT_ONCE + 1),
        )
        .await;
}

async fn account_data(table: &mut Table) {
    let (who, room) = table.somebody("data").await;
    let user = who.user_id.clone();
    let datum = |kind: &str, bytes: usize| {
        let path = format!("/_matrix/client/v3/user/{user}/rooms/{room}/account_data/{kind}");
        put(path, padded(bytes, |text| json!({ "x": text })))
    };
    table
        .row(
            "ACCOUNT_DATUM_MAX_BYTES",
            &who,
            datum("large", ACCOUNT_DATUM_MAX_BYTES),
            datum("large", ACCOUNT_DATUM_MAX_BYTES + 1),
        )
        .await;
    table
        .row(
            "ACCOUNT_DATA_TYPE_MAX_BYTES",
            &who,
            datum(&long(ACCOUNT_DATA_TYPE_MAX_BYTES), 10),
            datum(&long(ACCOUNT_DATA_TYPE_MAX_BYTES + 1), 10),
        )
        .await;
    for (name, types, bytes) in [
        ("ACCOUNT_DATA_TYPES_MAX", ACCOUNT_DATA_TYPES_MAX, 10),
        ("ACCOUNT_DATA_MAX_BYTES", 4, ACCOUNT_DATA_MAX_BYTES / 4),
    ] {
        let (who, _) = table.somebody(&name.to_lowercase()).await;
        let content = padded(bytes, |text| json!({ "x": text }));
        let stored = AccountDatum {
            position: Position(0),
            content: to_raw_value(&content).unwrap(),
            deleted: false,
        };
        let mut batch = table.test.server.store.batch();
        for number in 1..types {
            let key = (&who.user_id, "", &*format!("kind{number}"));
            batch.put::<tables::AccountData>(key, &stored).unwrap();
        }
        table.test.server.store.commit(batch).await.unwrap();
        let one = |kind: &str, content: Value| {
            let path = format!(
                "/_matrix/client/v3/user/{}/account_data/{kind}",
                who.user_id
            );
            put(path, content)
        };
        let (last, beyond) = (one("last", content), one("beyond", json!({})));
        table.row(name, &who, last, beyond).await;
    }
}

async fn tags_and_filters(table: &mut Table) {
    let (who, room) = table.somebody("tags").await;
    let user = who.user_id.clone();
    let tag = |name: &str| {
        let path = format!("/_matrix/client/v3/user/{user}/rooms/{room}/tags/{name}");
        put(path, json!({}))
    };
    table
        .row(
            "TAG_NAME_MAX_BYTES",
            &who,
            tag(&long(TAG_NAME_MAX_BYTES)),
            tag(&long(TAG_NAME_MAX_BYTES + 1)),
        )
        .await;
    for number in 2..TAGS_PER_ROOM {
        let (method, path, body) = tag(&format!("u.{number}"));
        who.ok(method, &path, body).await;
    }
    table
        .row("TAGS_PER_ROOM", &who, tag("u.last"), tag("u.beyond"))
        .await;

    let path = format!("/_matrix/client/v3/user/{user}/filter");
    let filter = |bytes: usize| {
        let filter = padded(bytes, |text| json!({ "event_fields": [text] }));
        post(path.clone(), filter)
    };
    table
        .row(
            "FILTER_MAX_BYTES",
            &who,
            filter(FILTER_MAX_BYTES),
            filter(FILTER_MAX_BYTES + 1),
        )
        .await;
    let mut batch = table.test.server.store.batch();
    for number in 2..FILTERS_PER_USER {
        let key = (&user, &*format!("filter{number}"));
        batch.put::<tables::Filters>(key, &json!({})).unwrap();
    }
    table.test.server.store.commit(batch).await.unwrap();
    table
        .row("FILTERS_PER_USER", &who, filter(100), filter(101))
        .await;
}
