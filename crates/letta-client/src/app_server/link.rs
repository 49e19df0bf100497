//! One socket, held open: connects, says what it is given, tells what comes, connects again.
//!
//! The task lives as long as somebody wants its news. It knows nothing of what it carries.

use std::{sync::Arc, time::Duration};

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use futures_util::{SinkExt, StreamExt};
use tokio::{
    sync::{Notify, mpsc},
    time::{sleep, timeout},
};
use tokio_tungstenite::tungstenite::Message;

use super::{
    address::{Address, Socket},
    wire::{self, Inbound},
};
use crate::error::BackendError;

/// The most frames on their way to a server that does not read.
const OUTGOING_MAX: usize = 4_096;

/// The longest wait before another attempt, as a multiple of the first.
const BACKOFF_MAX: u32 = 16;

/// Which of the two sockets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SocketRole {
    /// What we say goes over this one.
    Main,
    /// Only listens: while it is there, the server does not take us for gone when the other breaks.
    Guard,
}

/// What happens on a socket.
#[derive(Debug)]
pub(super) enum SocketEvent {
    Up(SocketRole),
    /// An attempt to connect has failed.
    Failed(SocketRole, BackendError),
    Down(SocketRole, BackendError),
    Frame(SocketRole, Inbound),
}

/// The near end of a socket.
pub(super) struct SocketHandle {
    outgoing: mpsc::Sender<String>,
    reconnect: Arc<Notify>,
}

/// How a link behaves.
#[derive(Clone, Copy, Debug)]
pub(super) struct SocketTimeouts {
    /// Before the first attempt to connect again.
    pub(super) reconnect_delay: Duration,
    /// For the next frame or ping.
    pub(super) idle_timeout: Duration,
}

impl SocketHandle {
    /// Starts to connect.
    pub(super) fn start(
        line: SocketRole,
        address: Arc<Address>,
        pace: SocketTimeouts,
        news: mpsc::Sender<SocketEvent>,
    ) -> Self {
        let (outgoing, orders) = mpsc::channel(OUTGOING_MAX);
        let reconnect = Arc::new(Notify::new());
        let task = Task {
            line,
            address,
            pace,
            news,
            orders,
            reconnect: reconnect.clone(),
        };
        #[expect(
            clippy::disallowed_methods,
            reason = "it ends when the hub that holds its channel ends"
        )]
        tokio::spawn(task.run());
        Self {
            outgoing,
            reconnect,
        }
    }

    /// Gives a frame to the socket. `false`: it takes none.
    pub(super) fn send(&self, frame: String) -> bool {
        self.outgoing.try_send(frame).is_ok()
    }

    /// Somebody waits: try again now.
    pub(super) fn reconnect_now(&self) {
        self.reconnect.notify_one();
    }
}

struct Task {
    line: SocketRole,
    address: Arc<Address>,
    pace: SocketTimeouts,
    news: mpsc::Sender<SocketEvent>,
    orders: mpsc::Receiver<String>,
    reconnect: Arc<Notify>,
}

impl Task {
    async fn run(mut self) {
        let mut backoff = self.backoff();
        loop {
            let opened = tokio::select! {
                opened = self.address.open() => opened,
                () = self.news.closed() => return,
            };
            let news = match opened {
                Ok(socket) => {
                    backoff = self.backoff();
                    // What was said to the socket before this one is asked again by who said it.
                    while self.orders.try_recv().is_ok() {}
                    if self.news.send(SocketEvent::Up(self.line)).await.is_err() {
                        return;
                    }
                    match self.carry(socket).await {
                        Some(why) => SocketEvent::Down(self.line, why),
                        None => return,
                    }
                }
                Err(why) => SocketEvent::Failed(self.line, why),
            };
            if self.news.send(news).await.is_err() {
                return;
            }
            let pause = backoff.next().unwrap_or(self.pace.reconnect_delay);
            sleep(self.pace.reconnect_delay.min(pause)).await;
            let rest = pause.saturating_sub(self.pace.reconnect_delay);
            tokio::select! {
                () = sleep(rest) => {}
                () = self.reconnect.notified() => {}
            }
        }
    }

    /// Carries frames until the socket breaks. `None`: nobody wants its news any more.
    async fn carry(&mut self, mut socket: Socket) -> Option<BackendError> {
        loop {
            tokio::select! {
                order = self.orders.recv() => {
                    let order = order?;
                    let sent = timeout(self.pace.idle_timeout, socket.send(Message::text(order)));
                    match sent.await {
                        Ok(Ok(())) => {}
                        Ok(Err(error)) => return Some(self.address.unreachable(error)),
                        Err(_) => return Some(self.silent()),
                    }
                }
                frame = timeout(self.pace.idle_timeout, socket.next()) => match frame {
                    Ok(Some(Ok(Message::Text(text)))) => {
                        if let Some(frame) = wire::read(text) {
                            self.news.send(SocketEvent::Frame(self.line, frame)).await.ok()?;
                        }
                    }
                    Ok(Some(Ok(Message::Close(close)))) => {
                        let why = close.map(|close| close.reason.to_string());
                        let why = why.filter(|why| !why.is_empty());
                        let why = why.unwrap_or("the server has closed the socket".to_owned());
                        return Some(self.address.unreachable(why));
                    }
                    // Pings are answered by the socket itself.
                    Ok(Some(Ok(_))) => {}
                    Ok(Some(Err(error))) => return Some(self.address.unreachable(error)),
                    Ok(None) => {
                        let why = "the socket has ended";
                        return Some(self.address.unreachable(why));
                    }
                    Err(_) => return Some(self.silent()),
                },
            }
        }
    }

    fn silent(&self) -> BackendError {
        let after = self.pace.idle_timeout;
        BackendError::Silent { after }
    }

    fn backoff(&self) -> ExponentialBackoff {
        let first = self.pace.reconnect_delay;
        ExponentialBuilder::default()
            .with_jitter()
            .with_min_delay(first)
            .with_max_delay(first * BACKOFF_MAX)
            .without_max_times()
            .build()
    }
}
