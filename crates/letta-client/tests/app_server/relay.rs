//! A relay in front of the App Server that breaks connections: a double for a bad network.

use std::sync::{Arc, Mutex};

use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    task::{AbortHandle, JoinHandle},
};

/// The relay. Connections are numbered by their age: the oldest that is open is 0.
pub(crate) struct Relay {
    pub(crate) port: u16,
    open: Arc<Mutex<Vec<AbortHandle>>>,
    task: JoinHandle<()>,
}

impl Relay {
    pub(crate) async fn start(to: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = listener.local_addr().expect("bound").port();
        let open: Arc<Mutex<Vec<AbortHandle>>> = Arc::default();
        let connections = open.clone();
        let task = tokio::spawn(async move {
            while let Ok((mut near, _)) = listener.accept().await {
                let carry = tokio::spawn(async move {
                    if let Ok(mut far) = TcpStream::connect(("127.0.0.1", to)).await {
                        let _ = copy_bidirectional(&mut near, &mut far).await;
                    }
                });
                let mut open = connections.lock().expect("no panic holds it");
                open.retain(|connection| !connection.is_finished());
                open.push(carry.abort_handle());
            }
        });
        Self { port, open, task }
    }

    /// Breaks one connection.
    pub(crate) fn break_one(&self, age: usize) {
        let mut open = self.open.lock().expect("no panic holds it");
        open.retain(|connection| !connection.is_finished());
        if age < open.len() {
            open.remove(age).abort();
        }
    }

    /// Breaks all connections at once.
    pub(crate) fn break_all(&self) {
        let mut open = self.open.lock().expect("no panic holds it");
        open.drain(..).for_each(|connection| connection.abort());
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.task.abort();
        self.break_all();
    }
}
