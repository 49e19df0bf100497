//! The task that tells one application service what happens: in order, one transaction at a time, until each is answered.
//!
//! Only an answer with 2xx counts. Everything else is tried again after a while, whether anything new happens or not, and at once
//! when the application service pings. What is on its way is noted before it goes out, so that it is repeated with the same id and
//! the same events after `kill -9`; only after a loss of power the end of it may differ. No event goes out that is not on disk.
//! What is of the moment only (typing, presence) is not tried again: it would be a lie by then.

use std::{sync::Arc, time::Duration};

use backon::{BackoffBuilder, ExponentialBuilder};
use bytes::Bytes;
use http::Method;
use tasks::catch_panic;
use tokio_util::sync::CancellationToken;

use super::{
    interest::Interest,
    transaction::{Transaction, TransactionSource},
};
use crate::{
    appservices::{Appservice, path_part, record::TransactionProgress},
    error::Result,
    limits::APPSERVICE_RETRY_MAX,
    store::{Batch, Store, tables},
    stream::{Position, Stream},
};

/// The first wait after a failure.
const RETRY_FIRST: Duration = Duration::from_secs(1);
/// After how many positions without anything to send the place that was reached is noted, to be there sooner after a restart.
const NOTE_EVERY: u64 = 2_000;

/// What the task of an application service works with.
#[derive(Debug)]
pub(super) struct Worker {
    appservice: Arc<Appservice>,
    source: TransactionSource,
    stream: Stream,
    stopping: CancellationToken,
    interest: Interest,
    progress: TransactionProgress,
    /// What was last noted as served.
    noted: Position,
    /// What was not answered yet, and has to be.
    waiting: Option<Outgoing>,
}

/// A transaction as it goes out, however often.
#[derive(Debug)]
struct Outgoing {
    transaction: Transaction,
    path: String,
    body: Bytes,
}

impl Worker {
    /// A worker that goes on where the last one stopped; at the first time, with what happens from now on.
    pub(super) async fn new(
        appservice: Arc<Appservice>,
        source: TransactionSource,
        stream: Stream,
        stopping: CancellationToken,
    ) -> Result<Self> {
        let store = &source.rooms.store;
        let kept = store.get::<tables::AppserviceProgress>((appservice.id(),))?;
        let progress = if let Some(progress) = kept {
            progress
        } else {
            let progress = TransactionProgress {
                served: stream.visible(),
                ..TransactionProgress::default()
            };
            store
                .put::<tables::AppserviceProgress>((appservice.id(),), &progress)
                .await?;
            progress
        };
        Ok(Self {
            interest: Interest::new(appservice.clone(), source.rooms.clone()),
            appservice,
            source,
            stream,
            stopping,
            noted: progress.served,
            progress,
            waiting: None,
        })
    }

    /// Works until the server stops or the application service is unregistered.
    pub(super) async fn run(mut self) {
        let (stopping, gone) = (self.stopping.clone(), self.appservice.gone.clone());
        tokio::select! {
            () = stopping.cancelled() => {}
            () = gone.cancelled() => {}
            () = self.follow() => {}
        }
    }

    async fn follow(&mut self) {
        let mut visible = self.stream.subscribe();
        let mut waits = waits();
        loop {
            let until = *visible.borrow_and_update();
            match catch_panic(self.serve(until)).await {
                Ok(Ok(true)) => {
                    waits = self::waits();
                    // There may be much to look through: others have their turn in between.
                    tokio::task::yield_now().await;
                    if self.progress.served >= until && visible.changed().await.is_err() {
                        return;
                    }
                }
                Ok(Ok(false)) => self.pause(&mut waits).await,
                Err(panic) => {
                    tracing::error!(appservice.id = self.appservice.id(), %panic, "making a transaction panicked; trying again");
                    self.waiting = None;
                    self.interest =
                        Interest::new(self.appservice.clone(), self.source.rooms.clone());
                    self.pause(&mut waits).await;
                }
                Ok(Err(error)) => {
                    tracing::error!(appservice.id = self.appservice.id(), %error, "a transaction could not be made");
                    // The events are gone through once more, so who is where is read anew.
                    self.interest =
                        Interest::new(self.appservice.clone(), self.source.rooms.clone());
                    self.pause(&mut waits).await;
                }
            }
        }
    }

    async fn pause(&self, waits: &mut impl Iterator<Item = Duration>) {
        let wait = waits.next().unwrap_or(APPSERVICE_RETRY_MAX);
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = self.appservice.awake.notified() => {}
        }
    }

    /// Sends the next transaction, if there is one. Says whether it came through.
    async fn serve(&mut self, until: Position) -> Result<bool> {
        let outgoing = match self.waiting.take() {
            Some(outgoing) => outgoing,
            None => match self.next(until).await? {
                Some(outgoing) => outgoing,
                None => return Ok(true),
            },
        };
        let arrived = self.send(&outgoing).await;
        if arrived {
            self.done(outgoing.transaction).await?;
        } else if outgoing.transaction.is_durable() {
            self.waiting = Some(outgoing);
        } else {
            self.progress.served = outgoing.transaction.until;
        }
        Ok(arrived)
    }

    /// The next transaction, noted as on its way; nothing if nothing concerns the application service.
    async fn next(&mut self, until: Position) -> Result<Option<Outgoing>> {
        let until = self.progress.sending.unwrap_or(until);
        let after = self.progress.served;
        let transaction = Transaction::collect(
            &self.source,
            &self.appservice,
            &mut self.interest,
            after,
            until,
        )?;
        if transaction.is_empty() {
            self.progress.served = transaction.until;
            self.progress.sending = None;
            if self.progress.served.0.saturating_sub(self.noted.0) > NOTE_EVERY {
                self.note().await?;
            }
            return Ok(None);
        }
        if transaction.is_durable() && self.progress.sending != Some(transaction.until) {
            self.progress.sending = Some(transaction.until);
            self.note().await?;
        }
        let path = format!(
            "/_matrix/app/v1/transactions/{}",
            path_part(&transaction.id(after))
        );
        Ok(Some(Outgoing {
            body: transaction.body(&self.source.rooms, &self.appservice)?,
            transaction,
            path,
        }))
    }

    async fn send(&self, outgoing: &Outgoing) -> bool {
        let (path, body) = (&outgoing.path, outgoing.body.clone());
        let id = self.appservice.id();
        match self.appservice.call(Method::PUT, path, Some(body)).await {
            Ok(answer) if answer.status.is_success() => return true,
            Ok(answer) => {
                tracing::warn!(appservice.id = id, status = %answer.status, "a transaction was refused");
            }
            Err(error) => {
                tracing::warn!(appservice.id = id, %error, "could not deliver a transaction");
            }
        }
        false
    }

    /// Notes what was delivered. A service that hears of devices and keys has no other way to its messages to devices: they are
    /// delivered now.
    async fn done(&mut self, transaction: Transaction) -> Result<()> {
        self.progress.served = transaction.until;
        self.progress.sending = None;
        self.progress.delivered += 1;
        if !transaction.is_durable() {
            return Ok(());
        }
        let mut batch = self.store().batch();
        if self.appservice.registration().file().device_lists {
            for (user, device, position) in &transaction.carried {
                batch.delete::<tables::ToDevice>((user, device, *position))?;
            }
        }
        self.write(batch).await
    }

    fn store(&self) -> &Store {
        &self.source.rooms.store
    }

    async fn note(&mut self) -> Result<()> {
        self.write(self.store().batch()).await
    }

    async fn write(&mut self, mut batch: Batch) -> Result<()> {
        batch.put::<tables::AppserviceProgress>((self.appservice.id(),), &self.progress)?;
        self.store().commit_unsynced(batch).await?;
        self.noted = self.progress.served;
        Ok(())
    }
}

fn waits() -> impl Iterator<Item = Duration> {
    ExponentialBuilder::new()
        .with_min_delay(RETRY_FIRST)
        .with_max_delay(APPSERVICE_RETRY_MAX)
        .without_max_times()
        .with_jitter()
        .build()
}
