//! Which connections give way when there are too many.

use super::*;

/// Begins a request that never ends by itself.
async fn hold(served: &Served, from: &str, request: &str) -> TcpStream {
    let mut stream = served.connect(from).await;
    // It may be closed already, as another one takes its place.
    drop(stream.write_all(request.as_bytes()).await);
    stream
}

#[tokio::test]
async fn requests_that_only_wait_give_way_to_another_address() {
    let body = "POST /echo HTTP/1.1\r\nhost: a\r\ncontent-length: 60000\r\n\r\n{";
    for request in [&head("/poll"), body, &head("/large")] {
        let served = start(limits()).await;
        let mut own = served.connect(INNOCENT).await;
        own.write_all(head("/poll").as_bytes()).await.unwrap();
        served.until_waiting(1).await;
        let mut held = Vec::new();
        for _ in 0..30 {
            for from in [ATTACKER, "127.0.0.3"] {
                held.push(hold(&served, from, request).await);
            }
        }
        for _ in 0..5 {
            let mut innocent = served.connect(INNOCENT).await;
            let answer = ask(&mut innocent, "/").await.unwrap();
            assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        }
        assert!(served.connections.open() <= 20);
        served.answer.notify_waiters();
        let answer = first_piece(&mut own).await.unwrap();
        assert!(answer.ends_with("polled"), "it has fewer: {answer}");
        drop((held, own));
        served.end().await;
    }
}

#[tokio::test]
async fn waiting_requests_of_one_address_give_way_to_its_own() {
    let served = start(Limits {
        per_address_max: 3,
        ..limits()
    })
    .await;
    let mut held = Vec::new();
    for _ in 0..10 {
        held.push(hold(&served, ATTACKER, &head("/poll")).await);
    }
    let mut next = served.connect(ATTACKER).await;
    assert!(ask(&mut next, "/").await.unwrap().ends_with("hello"));
    drop((held, next));
    served.until_open(0).await;
    served.end().await;
}

#[tokio::test]
async fn clients_behind_one_proxy_are_told_apart() {
    let served = start(Limits {
        shared_addresses: vec!["127.0.0.3/32".parse().unwrap()],
        ..limits()
    })
    .await;
    let poll = |user: &str| {
        let user = format!("host: a\r\nuser: {user}");
        head("/poll").replace("host: a", &user)
    };
    let mut innocent = Vec::new();
    for _ in 0..3 {
        innocent.push(hold(&served, "127.0.0.3", &poll("innocent")).await);
    }
    served.until_waiting(3).await;
    let mut held = Vec::new();
    for _ in 0..60 {
        held.push(hold(&served, "127.0.0.3", &poll("evil")).await);
    }
    let mut next = served.connect("127.0.0.3").await;
    assert!(ask(&mut next, "/").await.unwrap().ends_with("hello"));
    served.answer.notify_waiters();
    for stream in &mut innocent {
        let answer = first_piece(stream).await.unwrap();
        assert!(answer.ends_with("polled"), "{answer}");
    }
    drop((innocent, held, next));
    served.until_open(0).await;
    served.end().await;
}

#[tokio::test]
async fn address_with_too_many_requests_is_refused_and_others_are_not() {
    let limits = Limits {
        per_address_max: 3,
        shared_addresses: vec!["127.0.0.3/32".parse().unwrap()],
        ..limits()
    };
    let served = start(limits).await;
    let mut asked = Vec::new();
    for (from, count) in [(ATTACKER, 3), ("127.0.0.3", 6)] {
        for _ in 0..count {
            let mut stream = served.connect(from).await;
            stream.write_all(head("/wait").as_bytes()).await.unwrap();
            asked.push(stream);
        }
    }
    served.until_waiting(9).await;
    let mut one_more = served.connect(ATTACKER).await;
    let refused = ask(&mut one_more, "/").await;
    assert!(
        refused.as_ref().map_or(true, String::is_empty),
        "{refused:?}"
    );
    let mut innocent = served.connect(INNOCENT).await;
    let answer = ask(&mut innocent, "/who").await.unwrap();
    assert!(answer.ends_with("Some(127.0.0.2)"), "{answer}");

    served.answer.notify_waiters();
    for stream in &mut asked {
        assert!(first_piece(stream).await.unwrap().ends_with("waited"));
    }
    // Its connections are idle now: the oldest gives way.
    let mut one_more = served.connect(ATTACKER).await;
    assert!(ask(&mut one_more, "/").await.unwrap().ends_with("hello"));
    drop((asked, innocent, one_more));
    served.end().await;
}
