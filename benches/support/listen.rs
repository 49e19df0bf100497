//! Doubles of peers are served in the bench's own process, so that all instants come from one clock.

use axum::{Router, serve::ListenerExt};
use tokio::net::TcpListener;

/// Serves `router` on a free port and answers where.
pub(crate) async fn listen(router: Router) -> anyhow::Result<String> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    let url = format!("http://{}", listener.local_addr()?);
    let listener = listener.tap_io(|stream| drop(stream.set_nodelay(true)));
    tokio::spawn(async move { axum::serve(listener, router).await });
    Ok(url)
}
