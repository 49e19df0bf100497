//! Heads of requests that are too long.

use super::*;
use crate::connections::HEAD_BYTES_MAX;

#[tokio::test]
async fn head_beyond_its_limit_is_answered_431_however_it_is_made() {
    let served = start(limits()).await;
    let as_path = |size: usize| {
        let rest = head("/who?").len();
        head(&format!("/who?{}", "x".repeat(size - rest)))
    };
    let as_header = |size: usize| {
        let rest = head("/who").len() + "x: \r\n".len();
        let header = "x".repeat(size - rest);
        format!("GET /who HTTP/1.1\r\nhost: a\r\nx: {header}\r\n\r\n")
    };
    let as_headers = |size: usize| {
        let line = format!("x: {}\r\n", "x".repeat(995));
        let lines = line.repeat((size - head("/who").len()) / line.len());
        format!("GET /who HTTP/1.1\r\nhost: a\r\n{lines}\r\n")
    };
    for (size, passes) in [
        (60_000, true),
        (HEAD_BYTES_MAX - 200, true),
        (HEAD_BYTES_MAX + 2_000, false),
        (70_000, false),
        (130_000, false),
    ] {
        // hyper takes no longer path, and no more headers than a hundred.
        let heads = [as_header(size), as_headers(size), as_path(size.min(65_000))];
        for (shape, head) in heads.iter().take(if passes { 3 } else { 2 }).enumerate() {
            let mut stream = served.connect(INNOCENT).await;
            // The server may have answered before it has all of it.
            _ = stream.write_all(head.as_bytes()).await;
            let answer = first_piece(&mut stream).await.unwrap_or_default();
            let status = answer.split(' ').nth(1).unwrap_or_default().to_owned();
            assert_eq!(status == "200", passes, "{size} {shape}: {answer}");
            assert!(
                passes || matches!(&*status, "431" | ""),
                "{size} {shape}: {answer}"
            );
        }
    }
    served.end().await;
}
