//! One homeserver of the run, from its first start to its last figure.

use std::{path::Path, time::Duration};

use anyhow::Context;
use reqwest::Client;

use super::{
    appservice,
    arrivals::Arrivals,
    figures::{Figures, Unit},
    measure::percentile,
    server::{Kind, Server},
    support::client,
    work::{self, Ways},
};

/// What is left of a start is done after this long.
const SETTLE: Duration = Duration::from_secs(3);

/// One homeserver, and what it showed so far.
pub(crate) struct Side {
    kind: Kind,
    times: usize,
    events: usize,
    rooms: usize,
    cold: Vec<Duration>,
    warm: Vec<Duration>,
    server: Option<Server>,
    http: Option<Client>,
    delivered: Arrivals,
    figures: Figures,
}

impl Side {
    /// Nothing has happened yet. `times` as much is done to it as to others.
    pub(crate) fn new(kind: Kind, times: usize, events: usize, rooms: usize) -> Self {
        Self {
            kind,
            times,
            events,
            rooms,
            cold: Vec::new(),
            warm: Vec::new(),
            server: None,
            http: None,
            delivered: Arrivals::default(),
            figures: Figures::default(),
        }
    }

    fn name(&self) -> String {
        match self.times {
            1 => self.kind.name().to_owned(),
            times => format!("{}, {times} times as much", self.kind.name()),
        }
    }

    /// Starts on an empty folder and once more on what that start has made. The last folder is kept.
    pub(crate) async fn start_from_nothing(&mut self, dir: &Path) -> anyhow::Result<()> {
        let appservice = appservice::start(self.delivered.clone()).await?;
        let number = self.cold.len();
        let dir = dir.join(format!("{} {} {number}", self.kind.name(), self.times));
        let mut server = Server::new(self.kind, dir, &appservice).await?;
        self.cold.push(server.start().await?);
        server.stop().await?;
        self.warm.push(server.start().await?);
        server.stop().await?;
        self.server = Some(server);
        Ok(())
    }

    /// Looks at it while nobody does anything.
    pub(crate) async fn idle(&mut self) -> anyhow::Result<()> {
        let add = |figures: &mut Figures, name, times: &[Duration]| {
            figures.add(name, Unit::Ms, percentile(times, 50));
        };
        add(&mut self.figures, "cold start, median", &self.cold);
        add(&mut self.figures, "warm start, median", &self.warm);
        let server = self.server.as_mut().context("it was never started")?;
        server.start().await?;
        tokio::time::sleep(SETTLE).await;
        self.memory("RSS idle")
    }

    /// Fills it with events and rooms.
    pub(crate) async fn fill(&mut self) -> anyhow::Result<()> {
        // A client of its own, so that no connection to an earlier start is left in it.
        let http = client()?;
        let server = self.server.as_ref().context("it was never started")?;
        work::talk(server, &http, self.events, &mut self.figures).await?;
        self.memory("RSS after the events")?;
        let server = self.server.as_ref().context("it was never started")?;
        let owner = work::many_rooms(server, &http, self.rooms, &mut self.figures).await?;
        self.memory("RSS after the rooms")?;
        self.http = Some(http);
        let server = self.server.as_mut().context("it was never started")?;
        server.stop().await?;
        let took = server.start().await?;
        self.figures.add_time("warm start with all of it", took);
        let disk = server.disk_mib()?;
        self.figures.add("disk", Unit::MiB, disk);
        tokio::time::sleep(SETTLE).await;
        self.memory("RSS after that start")?;
        work::initial_sync(&owner, &mut self.figures).await?;
        self.memory("RSS after the initial syncs")
    }

    fn memory(&mut self, name: &'static str) -> anyhow::Result<()> {
        let server = self.server.as_ref().context("it was never started")?;
        let mib = server.process()?.memory_mib("VmRSS")?;
        self.figures.add(name, Unit::MiB, mib);
        Ok(())
    }

    /// Brings the people together whose messages are measured one by one.
    pub(crate) async fn open_ways(&self) -> anyhow::Result<Ways> {
        let (server, http) = self.running()?;
        Ways::open(server, http).await
    }

    /// Sends so many messages each way.
    pub(crate) async fn send(
        &self,
        ways: &mut Ways,
        name: &str,
        messages: usize,
    ) -> anyhow::Result<()> {
        for number in 0..messages {
            ways.send(&format!("{name}-{number}"), &self.delivered)
                .await?;
        }
        Ok(())
    }

    /// Ends it; gives what it showed.
    pub(crate) async fn end(mut self, ways: &Ways) -> anyhow::Result<(String, Figures)> {
        ways.figures(&mut self.figures);
        self.memory("RSS at the end")?;
        if let Some(server) = &mut self.server {
            server.stop().await?;
        }
        Ok((self.name(), self.figures))
    }

    fn running(&self) -> anyhow::Result<(&Server, &Client)> {
        let server = self.server.as_ref().context("it was never started")?;
        Ok((server, self.http.as_ref().context("it was never filled")?))
    }
}
