//! Whoever does not read long answers: what waits for them has a limit, and others get theirs.

use axum::body::Body;
use futures_util::FutureExt;
use http::{Response, StatusCode};
use http_body_util::BodyExt;
use tokio::task::unconstrained;

use crate::{
    byte_pool::UnreadResponses,
    byte_pool::{BytePool, PoolLimits},
    holder::Holder,
    limits::{SMALL_ANSWER_BYTES, UNREAD_BYTES_PER_USER},
};

const LONG: usize = 4 << 20;

fn user(number: usize) -> Holder {
    Holder::User(format!("@u{number}:b.c").try_into().unwrap())
}

/// The answer to a request that walks, as it goes to the connection.
async fn walk(answers: &UnreadResponses, holder: Holder, bytes: usize) -> Response<Body> {
    let place = answers.reserve(&holder, None);
    match place.wait_for_room().await {
        Ok(()) => {}
        Err(error) => return crate::http::error_response(error),
    }
    place
        .hold(Response::new(Body::from(vec![b'x'; bytes])))
        .await
}

/// The answer, if it is given at once.
fn at_once(answers: &UnreadResponses, number: usize, bytes: usize) -> Option<Response<Body>> {
    unconstrained(walk(answers, user(number), bytes)).now_or_never()
}

async fn length(response: Response<Body>) -> usize {
    response
        .into_body()
        .collect()
        .await
        .unwrap()
        .to_bytes()
        .len()
}

#[tokio::test]
async fn unread_answers_of_one_user_are_limited_and_others_get_theirs() {
    let answers = UnreadResponses::default();
    let mut unread = Vec::new();
    let mut waiting = Vec::new();
    for _ in 0..150 {
        let mut one = Box::pin(walk(&answers, user(1), LONG));
        match unconstrained(&mut one).now_or_never() {
            Some(response) if response.status() == StatusCode::OK => unread.push(response),
            Some(response) => assert_eq!(response.status(), StatusCode::TOO_MANY_REQUESTS),
            None => waiting.push(one),
        }
    }
    assert_eq!(unread.len(), UNREAD_BYTES_PER_USER / LONG);
    assert_eq!(answers.pool.held(), UNREAD_BYTES_PER_USER);
    assert!(!waiting.is_empty(), "some wait, with nothing in hand");
    for bytes in [0, 100, SMALL_ANSWER_BYTES] {
        let place = answers.reserve(&user(1), None);
        let small = place.hold(Response::new(Body::from(vec![b'x'; bytes])));
        let small = unconstrained(small).now_or_never().expect("at once");
        assert_eq!(length(small).await, bytes);
    }
    let other = at_once(&answers, 2, LONG).expect("a share of its own");
    assert_eq!(length(other).await, LONG);
    // One that is read makes room for one that waits.
    assert_eq!(length(unread.pop().unwrap()).await, LONG);
    let next = unconstrained(&mut waiting[0]).now_or_never();
    assert_eq!(length(next.expect("there is room")).await, LONG);
    drop((unread, waiting));
    assert_eq!(answers.pool.held(), 0);
}

#[tokio::test(start_paused = true)]
async fn unread_answers_of_many_users_give_way_to_one_who_reads() {
    let (users, each) = (4, 2);
    let pool = BytePool::new(PoolLimits {
        total: users * each * LONG,
        ..UnreadResponses::limits()
    });
    let answers = UnreadResponses { pool };
    let mut unread = Vec::new();
    for number in 0..users {
        for _ in 0..each {
            unread.push(at_once(&answers, number, LONG).unwrap());
        }
    }
    assert_eq!(answers.pool.held(), users * each * LONG);
    let waits = walk(&answers, user(99), LONG);
    tokio::pin!(waits);
    let cut = async {
        // A connection is closed then; here the next piece fails.
        loop {
            tokio::time::sleep(std::time::Duration::from_secs(1)).await;
            for (place, response) in unread.iter_mut().enumerate() {
                if response.body_mut().frame().await.unwrap().is_err() {
                    return unread.swap_remove(place);
                }
            }
        }
    };
    let gone = tokio::select! {
        response = &mut waits => panic!("{response:?}"),
        gone = cut => gone,
    };
    drop(gone);
    assert_eq!(length(waits.await).await, LONG);
}

#[tokio::test(start_paused = true)]
async fn answer_that_finds_no_room_in_time_is_refused() {
    let answers = UnreadResponses::default();
    let mut unread = at_once(&answers, 1, 2 * UNREAD_BYTES_PER_USER).expect("it is alone");
    let reads = async {
        // Fast enough not to give way.
        while let Some(frame) = unread.body_mut().frame().await {
            frame.unwrap();
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
    };
    let refused = tokio::select! {
        refused = walk(&answers, user(1), LONG) => refused,
        () = reads => panic!("it is read for longer"),
    };
    assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS);
}
