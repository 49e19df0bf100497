//! Many bodies at a time, and slow ones: what they hold has a limit, and others get a permit.

use std::{pin::Pin, time::Duration};

use axum::body::Body;
use bytes::Bytes;
use futures_util::{FutureExt, stream};
use http::{Method, StatusCode};
use serde_json::json;
use tokio::task::unconstrained;

use super::{Counted, ask};
use crate::{
    byte_pool::BodyPools,
    holder::Holder,
    http::body::{LONG_BODY_BYTES, ReadBody},
    limits::{ANONYMOUS_BYTES, AUTHENTICATED_BYTES, LONG_BYTES, SMALL_BODY_BYTES},
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

/// Slow bodies of this holder, each of which has sent so many bytes and announced the longest.
fn slow_bodies(
    bodies: &BodyPools,
    holder: &Holder,
    number: usize,
    first: usize,
) -> Vec<Pin<Box<dyn Future<Output = crate::error::Result<ReadBody>> + Send>>> {
    let mut reads = Vec::new();
    for _ in 0..number {
        let (bodies, holder) = (bodies.clone(), holder.clone());
        let mut read = Box::pin(async move { bodies.read(endless(first), &holder, 8 << 20).await });
        _ = unconstrained(&mut read).now_or_never();
        reads.push(read as _);
    }
    reads
}

#[tokio::test]
async fn slow_bodies_hold_what_has_arrived_and_small_ones_need_nothing() {
    for (flood, first) in [(1, 1), (200, SMALL_BODY_BYTES), (200, 60_000)] {
        let bodies = BodyPools::default();
        let mut reads = Vec::new();
        for number in 0..40 {
            let each = usize::try_from(flood).unwrap();
            reads.extend(slow_bodies(&bodies, &anonymous(number), each, first));
            let user = member(usize::try_from(number).unwrap());
            reads.extend(slow_bodies(&bodies, &user, each, first));
        }
        let most = |number: usize| 80 * number * first.saturating_sub(SMALL_BODY_BYTES);
        assert!(bodies.anonymous.held() <= ANONYMOUS_BYTES.min(most(200)));
        assert!(bodies.authenticated.held() <= AUTHENTICATED_BYTES.min(most(200)));
        // A login and a message pass beside all of them, of the same holders, too.
        for holder in [anonymous(0), anonymous(99), member(0), member(99)] {
            for length in [2, 100, SMALL_BODY_BYTES] {
                let read = held(&bodies, Body::from(vec![b' '; length]), &holder);
                assert_eq!(
                    read.map(|read| read.bytes.len()),
                    Some(length),
                    "{holder:?}"
                );
            }
        }
        drop(reads);
        assert_eq!(bodies.anonymous.held() + bodies.authenticated.held(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn slow_bodies_of_many_give_way_to_one_that_arrives() {
    let bodies = BodyPools::default();
    let mut reads = Vec::new();
    // 40 accounts have sent all that they can have of the pool of long bodies, and go no further.
    for number in 0..40 {
        reads.extend(slow_bodies(&bodies, &member(number), 2, 7 << 20));
    }
    assert!(bodies.long.held() > LONG_BYTES - (8 << 20));
    let (mut refused, flood) = (0, futures_util::future::join_all(reads));
    let innocent = member(99);
    let one = bodies.read(Body::from(vec![b' '; 1 << 20]), &innocent, 1 << 20);
    tokio::pin!(one, flood);
    let read = tokio::select! {
        read = &mut one => read,
        all = &mut flood => {
            refused += all.len();
            one.await
        }
    };
    assert_eq!(read.unwrap().bytes.len(), 1 << 20, "{refused} were refused");
}

#[tokio::test]
async fn body_holds_its_bytes_until_it_is_answered() {
    let bodies = BodyPools::default();
    for announced in [false, true] {
        let (short, _) = Counted::body(LONG_BODY_BYTES, announced);
        let short = held(&bodies, short, &member(1)).unwrap();
        assert_eq!(bodies.long.held(), 0);
        let (long, _) = Counted::body(LONG_BODY_BYTES + 10, announced);
        let long = held(&bodies, long, &member(1)).unwrap();
        assert_eq!(long.bytes.len(), LONG_BODY_BYTES + 10);
        assert_eq!(bodies.long.held(), 10);
        let each = LONG_BODY_BYTES - SMALL_BODY_BYTES;
        assert_eq!(bodies.authenticated.held(), 2 * each);
        drop((short, long));
        assert_eq!(bodies.long.held() + bodies.authenticated.held(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn slow_body_is_given_up_and_full_pool_says_when_to_come_again() {
    let bodies = BodyPools::default();
    let status = |outcome: crate::error::Result<_>| match outcome.map(drop) {
        Err(crate::error::Error::Refused(refusal)) => refusal.status,
        other => panic!("{other:?}"),
    };
    let holder = anonymous(1);
    for (first, most) in [(100, 11), (2_000, 60)] {
        let begun = tokio::time::Instant::now();
        let slow = bodies.read(endless(first), &holder, 64 << 10);
        assert_eq!(status(slow.await), StatusCode::REQUEST_TIMEOUT);
        assert!(begun.elapsed() < Duration::from_secs(most));
        assert_eq!(bodies.anonymous.held(), 0);
    }
    let long = || Body::from(vec![b' '; 64 << 10]);
    let arrived = [(); 2].map(|()| held(&bodies, long(), &holder).unwrap());
    for read in &arrived {
        read.complete();
    }
    let waits = bodies.read(long(), &holder, 64 << 10);
    assert_eq!(status(waits.await), StatusCode::TOO_MANY_REQUESTS);
    drop(arrived);
    assert!(held(&bodies, long(), &holder).is_some());
}

#[tokio::test]
async fn permit_is_released_when_the_request_is_answered() {
    let test = TestServer::start().await;
    let alice = test.person("alice").await;
    let bodies = &test.server.body_pools;
    let free = || {
        [&bodies.anonymous, &bodies.authenticated, &bodies.long]
            .map(crate::byte_pool::BytePool::held)
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
