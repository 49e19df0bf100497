//! Whoever is answered before its body was read gets to read the answer.

use super::*;

/// Spec: RFC 9112, section 9.6.
#[tokio::test]
async fn refusal_is_read_by_whoever_still_sends() {
    let served = start(Limits {
        linger_timeout: LONG,
        ..limits()
    })
    .await;
    let post = format!("POST /wait HTTP/1.1\r\nhost: a\r\ncontent-length: {LARGE}\r\n\r\n");
    for _ in 0..20 {
        let mut sends = served.connect(INNOCENT).await;
        sends.write_all(post.as_bytes()).await.unwrap();
        sends.write_all(&vec![b'x'; LARGE]).await.unwrap();
        // It reads only now.
        let mut answer = String::new();
        sends.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 405"), "{answer}");
    }
    served.until_open(0).await;
    served.end().await;
}

#[tokio::test]
async fn refused_body_that_does_not_end_is_not_read_for_ever() {
    let served = start(limits()).await;
    let post = format!(
        "POST /wait HTTP/1.1\r\nhost: a\r\ncontent-length: {}\r\n\r\n",
        u64::MAX
    );
    let mut silent = served.connect(ATTACKER).await;
    silent.write_all(post.as_bytes()).await.unwrap();
    let mut endless = served.connect(ATTACKER).await;
    endless.write_all(post.as_bytes()).await.unwrap();
    let sending = async { while endless.write_all(&[b'x'; 4_096]).await.is_ok() {} };
    tokio::time::timeout(PATIENCE, sending).await.unwrap();
    served.until_open(0).await;
    drop(silent);
    served.end().await;
}
