//! Many bodies at a time, and slow ones: what they hold has a limit, and others get a permit.

use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use futures_util::{FutureExt, stream};
use http::{Method, StatusCode};
use serde_json::json;
use tokio::task::unconstrained;

use super::{Counted, ask};
use crate::{
    holder::Holder,
    http::body::{LONG_BODY_BYTES, ReadBody},
    limits::LONG_BODIES_AT_ONCE,
    permits::BodyPools,
    testing::TestServer,
};

fn anonymous(number: u32) -> Holder {
    Holder::Address(Some(std::net::Ipv4Addr::from_bits(number).into()))
}

fn member(number: usize) -> Holder {
    Holder::User(format!("@u{number}:b.c").try_into().unwrap())
}

/// The body, if there is a permit for it.
fn held(bodies: &BodyPools, body: Body, holder: &Holder) -> Option<ReadBody> {
    let read = unconstrained(bodies.read(body, holder, 1 << 20));
    read.now_or_never().map(Result::unwrap)
}

/// A body that begins and never ends.
fn endless(first: usize) -> Body {
    let first = stream::iter([Ok::<_, std::convert::Infallible>(Bytes::from(vec![
        b' ';
        first
    ]))]);
    Body::from_stream(futures_util::StreamExt::chain(first, stream::pending()))
}

#[tokio::test]
async fn anonymous_bodies_hold_no_more_than_their_pool() {
    let bodies = BodyPools::default();
    let mut reads = Vec::new();
    for number in 0..200 {
        let holder = anonymous(number / 50);
        let bodies = &bodies;
        reads.push(Box::pin(async move {
            bodies.read(endless(1), &holder, 64 << 10).await
        }));
    }
    for read in &mut reads {
        assert!(
            unconstrained(read).now_or_never().is_none(),
            "it waits for its permit or its end"
        );
    }
    // Four addresses with a share of 128 KiB each.
    assert_eq!(bodies.anonymous.available(), 1_024 - 4 * 128);
    let is_read = |holder: &Holder| {
        let read = bodies.read(Body::from("{}"), holder, 64 << 10);
        unconstrained(read).now_or_never().is_some()
    };
    assert!(!is_read(&anonymous(0)), "the flood waits behind itself");
    assert!(is_read(&anonymous(99)), "somebody else does not");
    assert!(is_read(&member(1)), "members have a pool of their own");
    drop(reads);
    assert_eq!(bodies.anonymous.available(), 1_024);
}

#[tokio::test]
async fn long_body_takes_a_permit_before_it_is_read() {
    let bodies = BodyPools::default();
    let mut reads = Vec::new();
    for _ in 0..10 {
        let (body, read) = Counted::body(LONG_BODY_BYTES + 1, true);
        reads.push((read, held(&bodies, body, &member(1))));
    }
    // Those that were read hold their permits until they are answered.
    let own = reads.iter().filter(|(_, held)| held.is_some()).count();
    assert_eq!(own, 2, "the share of one user");
    for (read, held) in &reads {
        let read = read.load(std::sync::atomic::Ordering::SeqCst);
        assert_eq!(read > 0, held.is_some(), "nothing is read without a permit");
    }
    let mut others = Vec::new();
    for number in 2..20 {
        let (body, _) = Counted::body(LONG_BODY_BYTES + 1, true);
        others.push(held(&bodies, body, &member(number)));
    }
    let placed = others.iter().flatten().count();
    assert_eq!(own + placed, LONG_BODIES_AT_ONCE);
    drop((reads, others));
    assert_eq!(bodies.long.available(), LONG_BODIES_AT_ONCE);
}

#[tokio::test]
async fn chunked_body_that_turns_out_long_takes_a_long_permit() {
    let bodies = BodyPools::default();
    let (short, _) = Counted::body(LONG_BODY_BYTES, false);
    let short = bodies.read(short, &member(1), 1 << 20).await.unwrap();
    assert_eq!(bodies.long.available(), LONG_BODIES_AT_ONCE);
    let (long, _) = Counted::body(LONG_BODY_BYTES + 1, false);
    let long = bodies.read(long, &member(1), 1 << 20).await.unwrap();
    assert_eq!(long.bytes.len(), LONG_BODY_BYTES + 1);
    assert_eq!(bodies.long.available(), LONG_BODIES_AT_ONCE - 1);
    drop((short, long));
    assert_eq!(bodies.long.available(), LONG_BODIES_AT_ONCE);
}

#[tokio::test(start_paused = true)]
async fn slow_body_is_given_up_and_full_pool_says_when_to_come_again() {
    let bodies = BodyPools::default();
    let status = |outcome: crate::error::Result<_>| match outcome.map(drop) {
        Err(crate::error::Error::Refused(refusal)) => refusal.status,
        other => panic!("{other:?}"),
    };
    let begun = tokio::time::Instant::now();
    let holder = anonymous(1);
    let slow = bodies.read(endless(100), &holder, 64 << 10);
    assert_eq!(status(slow.await), StatusCode::REQUEST_TIMEOUT);
    assert!(begun.elapsed() < Duration::from_mins(1));
    assert_eq!(bodies.anonymous.available(), 1_024);

    let taken = bodies.anonymous.acquire(&holder, 128).await.unwrap();
    let waits = bodies.read(Body::from("{}"), &holder, 64 << 10);
    assert_eq!(status(waits.await), StatusCode::TOO_MANY_REQUESTS);
    drop(taken);
}

#[tokio::test]
async fn permit_is_released_when_the_request_is_answered() {
    let test = TestServer::start().await;
    let alice = test.person("alice").await;
    let bodies = &test.server.body_pools;
    let free = || {
        [&bodies.anonymous, &bodies.authenticated, &bodies.long]
            .map(crate::permits::Permits::available)
    };
    let before = free();
    let data = format!("/_matrix/client/v3/user/{}/account_data/x", alice.user_id);
    for length in [10, LONG_BODY_BYTES, 1_000_000] {
        alice.put(&data, json!({ "a": "x".repeat(length) })).await;
        assert_eq!(alice.get(&data).await["a"].as_str().unwrap().len(), length);
        assert_eq!(free(), before);
    }
    let path = "/_matrix/client/v3/login";
    test.call(
        Method::POST,
        path,
        json!({ "type": "x", "a": "x".repeat(60_000) }),
    )
    .await;
    assert_eq!(free(), before);
}

/// What a body of few bytes can make a parser build has a limit, whatever it is built of.
#[tokio::test]
async fn small_json_that_grows_when_parsed_is_refused() {
    let test = TestServer::start().await;
    let alice = test.person("alice").await;
    for value in ["[]", "{}", r#"{"":0}"#, "[[[]]]"] {
        for (path, token, bytes) in [
            (
                "/_matrix/client/v3/delete_devices",
                Some(&*alice.token),
                1 << 20,
            ),
            ("/_matrix/client/v3/login", None, 25 << 20),
        ] {
            let many = (bytes - 100) / (value.len() + 1);
            let body = format!(
                r#"{{"auth":{{"type":"x","a":[{}]}}}}"#,
                vec![value; many].join(",")
            );
            let router = test.server.router();
            let (status, code) = ask(router, &Method::POST, path, token, Body::from(body)).await;
            let wanted = if token.is_some() {
                "M_BAD_JSON"
            } else {
                "M_TOO_LARGE"
            };
            assert_eq!(code, wanted, "{path} {value} {status}");
        }
    }
}
