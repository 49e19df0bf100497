//! Where an account ends: devices, account data and filters have a largest number.

use ruma::OwnedDeviceId;
use serde_json::value::to_raw_value;

use super::*;
use crate::{
    accounts::record::Device,
    limits::{ACCOUNT_DATA_TYPES_MAX, ACCOUNT_DATUM_MAX_BYTES, DEVICES_PER_USER, FILTERS_PER_USER},
    store::tables,
    sync::record::AccountDatum,
};

#[tokio::test]
async fn whoever_has_very_many_devices_logs_in_on_one_that_is_known() {
    let test = server().await;
    let user = ruma::user_id!("@alice:letta.test");
    registered(&test, "alice").await;
    let mut batch = test.server.store.batch();
    for number in 1..DEVICES_PER_USER {
        let device = OwnedDeviceId::from(format!("D{number}"));
        batch
            .put::<tables::Devices>((user, &*device), &Device::default())
            .unwrap();
    }
    test.server.store.commit(batch).await.unwrap();
    let (status, answer) = login(&test, password("alice", "secret")).await;
    assert_eq!(
        (status, &answer["errcode"]),
        (StatusCode::FORBIDDEN, &json!("M_FORBIDDEN"))
    );
    let mut known = password("alice", "secret");
    known["device_id"] = json!("D1");
    assert_eq!(login(&test, known).await.0, StatusCode::OK);
}

#[tokio::test]
async fn account_data_has_a_largest_size_and_number() {
    let test = TestServer::start().await;
    let alice = test.person("alice").await;
    let path = |kind: &str| {
        format!(
            "/_matrix/client/v3/user/{}/account_data/{kind}",
            alice.user_id
        )
    };
    let too_large = json!({ "text": "x".repeat(ACCOUNT_DATUM_MAX_BYTES) });
    let (status, answer) = alice.call(Method::PUT, &path("large"), too_large).await;
    assert_eq!(
        (status, &answer["errcode"]),
        (StatusCode::PAYLOAD_TOO_LARGE, &json!("M_TOO_LARGE"))
    );
    let mut batch = test.server.store.batch();
    let datum = AccountDatum {
        position: crate::stream::Position(0),
        deleted: false,
        content: to_raw_value(&json!({})).unwrap(),
    };
    for number in 0..ACCOUNT_DATA_TYPES_MAX {
        let kind = format!("kind{number}");
        batch
            .put::<tables::AccountData>((&alice.user_id, "", &*kind), &datum)
            .unwrap();
    }
    test.server.store.commit(batch).await.unwrap();
    let (status, _) = alice.call(Method::PUT, &path("one.more"), json!({})).await;
    assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE);
    alice.put(&path("kind7"), json!({ "changed": true })).await;
}

#[tokio::test]
async fn filters_have_a_largest_number_and_known_ones_stay_known() {
    let test = TestServer::start().await;
    let alice = test.person("alice").await;
    let path = format!("/_matrix/client/v3/user/{}/filter", alice.user_id);
    let known = json!({ "room": { "timeline": { "limit": 7 } } });
    let id = alice.post(&path, known.clone()).await["filter_id"].clone();
    let mut batch = test.server.store.batch();
    for number in 1..FILTERS_PER_USER {
        let id = format!("filter{number}");
        batch
            .put::<tables::Filters>((&alice.user_id, &*id), &json!({}))
            .unwrap();
    }
    test.server.store.commit(batch).await.unwrap();
    let another = json!({ "room": { "timeline": { "limit": 8 } } });
    let (status, _) = alice.call(Method::POST, &path, another).await;
    assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(alice.post(&path, known).await["filter_id"], id);
}
