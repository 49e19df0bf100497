//! The task that tells one application service what happens: in order, one transaction at a time, until each is answered.
//!
//! Only an answer with 2xx counts. Everything else is tried again after a while, whether anything new happens or not, and at once
//! when the application service pings. What is on its way is noted before it goes out, so that it is repeated with the same id and
//! the same content after `kill -9`; only after a loss of power the end of it may differ. Nothing that is not on disk goes out.

use std::{sync::Arc, time::Duration};

use backon::{BackoffBuilder, ExponentialBuilder};
use http::Method;
use tokio_util::sync::CancellationToken;

use super::{
    Appservice, call::path_part, interest::Interest, record::Progress, transaction::Transaction,
};
use crate::{
    error::Result,
    rooms::Rooms,
    store::{Batch, tables},
    stream::{Position, Stream},
};

/// The first wait after a failure.
const RETRY_FIRST: Duration = Duration::from_secs(1);
/// The longest wait between two attempts.
const RETRY_LONGEST: Duration = Duration::from_mins(1);

/// After how many positions without anything to send the place that was reached is noted, to be there sooner after a restart.
const NOTE_EVERY: u64 = 20_000;

/// What the task of an application service works with.
#[derive(Debug)]
pub(super) struct Worker {
    appservice: Arc<Appservice>,
    rooms: Rooms,
    stream: Stream,
    stopping: CancellationToken,
    interest: Interest,
    progress: Progress,
    /// What was last noted as served.
    noted: Position,
}

impl Worker {
    /// A worker that goes on where the last one stopped; at the first time, with what happens from now on.
    pub(super) async fn new(
        appservice: Arc<Appservice>,
        rooms: Rooms,
        stream: Stream,
        stopping: CancellationToken,
    ) -> Result<Self> {
        let kept = rooms
            .store
            .get::<tables::AppserviceProgress>((appservice.id(),))?;
        let progress = if let Some(progress) = kept {
            progress
        } else {
            let progress = Progress {
                served: stream.visible(),
                ..Progress::default()
            };
            let noted = rooms
                .store
                .put::<tables::AppserviceProgress>((appservice.id(),), &progress);
            noted.await?;
            progress
        };
        Ok(Self {
            interest: Interest::new(appservice.clone(), rooms.clone()),
            appservice,
            rooms,
            stream,
            stopping,
            noted: progress.served,
            progress,
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
        let mut visible = self.stream.follow();
        let mut waits = waits();
        loop {
            let until = *visible.borrow_and_update();
            match self.serve(until).await {
                Ok(true) => {
                    waits = self::waits();
                    if self.progress.served >= until && visible.changed().await.is_err() {
                        return;
                    }
                }
                Ok(false) => self.pause(&mut waits).await,
                Err(error) => {
                    tracing::error!(appservice.id = self.appservice.id(), %error, "a transaction could not be made");
                    self.pause(&mut waits).await;
                }
            }
        }
    }

    async fn pause(&self, waits: &mut impl Iterator<Item = Duration>) {
        let wait = waits.next().unwrap_or(RETRY_LONGEST);
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = self.appservice.awake.notified() => {}
        }
    }

    /// Sends the next transaction, if there is one. Says whether it came through.
    async fn serve(&mut self, until: Position) -> Result<bool> {
        let until = self.progress.sending.unwrap_or(until);
        let after = self.progress.served;
        let transaction = Transaction::collect(
            &self.rooms,
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
            return Ok(true);
        }
        if self.progress.sending != Some(transaction.until) {
            self.progress.sending = Some(transaction.until);
            self.note().await?;
        }
        if !self.send(&transaction, after).await? {
            // The events are gone through once more, so who is where is read anew.
            self.interest = Interest::new(self.appservice.clone(), self.rooms.clone());
            return Ok(false);
        }
        self.progress.served = transaction.until;
        self.progress.sending = None;
        self.progress.delivered += 1;
        self.done(transaction).await?;
        Ok(true)
    }

    async fn send(&self, transaction: &Transaction, after: Position) -> Result<bool> {
        let id = transaction.id(after);
        let body = transaction.body(&self.rooms, &self.appservice)?;
        let path = format!("/_matrix/app/v1/transactions/{}", path_part(&id));
        let id = self.appservice.id();
        match self.appservice.call(Method::PUT, &path, Some(body)).await {
            Ok(answer) if answer.status.is_success() => return Ok(true),
            Ok(answer) => {
                tracing::warn!(appservice.id = id, status = %answer.status, "a transaction was refused");
            }
            Err(error) => {
                tracing::warn!(appservice.id = id, %error, "a transaction did not arrive");
            }
        }
        Ok(false)
    }

    /// Notes what was delivered. A service that hears of devices and keys has no other way to its messages to devices: they are
    /// delivered now.
    async fn done(&mut self, transaction: Transaction) -> Result<()> {
        let mut batch = self.rooms.store.batch();
        if self.appservice.registration.file().device_lists {
            for (user, device, position) in &transaction.carried {
                batch.delete::<tables::ToDevice>((user, device, *position))?;
            }
        }
        self.write(batch).await
    }

    async fn note(&mut self) -> Result<()> {
        self.write(self.rooms.store.batch()).await
    }

    async fn write(&mut self, mut batch: Batch) -> Result<()> {
        batch.put::<tables::AppserviceProgress>((self.appservice.id(),), &self.progress)?;
        self.rooms.store.commit_unsynced(batch).await?;
        self.noted = self.progress.served;
        Ok(())
    }
}

fn waits() -> impl Iterator<Item = Duration> {
    ExponentialBuilder::new()
        .with_min_delay(RETRY_FIRST)
        .with_max_delay(RETRY_LONGEST)
        .without_max_times()
        .with_jitter()
        .build()
}
