//! What is done to each homeserver, and what is looked at meanwhile.

use std::time::{Duration, Instant};

use futures_util::{StreamExt, TryStreamExt};
use reqwest::Client;

use super::{
    arrivals::Arrivals,
    figures::{Figures, Unit, number},
    person::Person,
    server::Server,
};

/// How many people talk at once.
pub(crate) const SENDERS: usize = 50;
/// In how many rooms.
const ROOMS_OF_SENDERS: usize = 10;
/// How many rooms are made at once.
const MADE_AT_ONCE: usize = 8;
/// How often the initial sync is asked for.
const INITIAL_SYNCS: usize = 5;
/// How often a sync is asked for that has nothing new.
const EMPTY_SYNCS: usize = 50;
/// The limit of the first initial sync; each further one asks for one more.
const FIRST_LIMIT: usize = 20;
/// Between two messages of one person: what the one before left to be done is done then.
const PAUSE: Duration = Duration::from_millis(10);

/// Many people talk, until there are so many events.
pub(crate) async fn talk(
    server: &Server,
    http: &Client,
    events: usize,
    figures: &mut Figures,
) -> anyhow::Result<()> {
    let names = (0..SENDERS).map(|number| format!("sender{number}"));
    let people: Vec<Person> = futures_util::stream::iter(names)
        .map(|name| async move { Person::register(http, &server.url, &name).await })
        .buffered(MADE_AT_ONCE)
        .try_collect()
        .await?;
    let mut rooms = Vec::new();
    for group in people.chunks(SENDERS / ROOMS_OF_SENDERS) {
        let others: Vec<&Person> = group.iter().skip(1).collect();
        rooms.push(group[0].room("Talk", &others).await?);
    }
    let each = events.div_ceil(SENDERS);
    let (cpu, began) = (server.process()?.cpu_seconds()?, Instant::now());
    let talking = people.iter().enumerate().map(|(number, person)| {
        let room = &rooms[number * ROOMS_OF_SENDERS / SENDERS];
        async move {
            let mut took = Vec::new();
            for message in 0..each {
                took.push(person.say(room, &format!("talk-{message}")).await?.1);
            }
            anyhow::Ok(took)
        }
    });
    let took = futures_util::future::try_join_all(talking).await?.concat();
    let sent = number(took.len());
    let seconds = began.elapsed().as_secs_f64();
    let cpu = server.process()?.cpu_seconds()? - cpu;
    figures.add("50 senders: events", Unit::PerSecond, sent / seconds);
    figures.add(
        "50 senders: CPU for an event",
        Unit::Ms,
        cpu * 1000.0 / sent,
    );
    figures.add_times("50 senders: `PUT send`", &took);
    Ok(())
}

/// Somebody has many rooms, and logs in on a new device.
pub(crate) async fn many_rooms(
    server: &Server,
    http: &Client,
    rooms: usize,
    figures: &mut Figures,
) -> anyhow::Result<Person> {
    let owner = Person::register(http, &server.url, "owner").await?;
    let began = Instant::now();
    futures_util::stream::iter(0..rooms)
        .map(|number| {
            let owner = &owner;
            async move { owner.room(&format!("Room {number}"), &[]).await.map(drop) }
        })
        .buffer_unordered(MADE_AT_ONCE)
        .try_collect::<()>()
        .await?;
    figures.add(
        "rooms made",
        Unit::PerSecond,
        number(rooms) / began.elapsed().as_secs_f64(),
    );
    Ok(owner)
}

/// The first sync of somebody with many rooms, and the next ones in which nothing is new.
pub(crate) async fn initial_sync(owner: &Person, figures: &mut Figures) -> anyhow::Result<()> {
    let (mut took, mut size, mut since) = (Vec::new(), 0, String::new());
    for number in 0..INITIAL_SYNCS {
        let began = Instant::now();
        (size, since) = owner.initial_sync(FIRST_LIMIT + number).await?;
        took.push(began.elapsed());
    }
    // The first one finds nothing in memory.
    figures.add_time("initial sync, the first", took[0]);
    took.sort_unstable();
    figures.add_time("initial sync, median of 5", took[INITIAL_SYNCS / 2]);
    figures.add(
        "initial sync, size",
        Unit::MiB,
        number(size) / f64::from(1 << 20),
    );
    let mut took = Vec::new();
    for _ in 0..EMPTY_SYNCS {
        let began = Instant::now();
        since = owner.sync_at_once(&since).await?;
        took.push(began.elapsed());
    }
    figures.add_times("sync with nothing new", &took);
    Ok(())
}

/// How a message gets from one person to others, one message after the other.
pub(crate) struct Ways {
    speaker: Person,
    with_ghost: String,
    with_listener: String,
    /// When messages reached the other client.
    synced: Arrivals,
    /// What a request costs at least that does nothing, after the same pause.
    nothing: Vec<Duration>,
    answered: Vec<Duration>,
    to_appservice: Vec<Duration>,
    to_client: Vec<Duration>,
}

impl Ways {
    /// Two rooms: one with a user of the application service, one with somebody who syncs from now on.
    pub(crate) async fn open(server: &Server, http: &Client) -> anyhow::Result<Self> {
        let speaker = Person::register(http, &server.url, "speaker").await?;
        let listener = Person::register(http, &server.url, "listener").await?;
        let ghost = Person::ghost(http, &server.url, "one").await?;
        let with_ghost = speaker.room("With a ghost", &[&ghost]).await?;
        let with_listener = speaker.room("With a client", &[&listener]).await?;
        let (_, since) = listener.initial_sync(FIRST_LIMIT).await?;
        let synced = Arrivals::default();
        // It ends with the homeserver, which cuts its connection.
        tokio::spawn(listener.listen(since, synced.clone()));
        Ok(Self {
            speaker,
            with_ghost,
            with_listener,
            synced,
            nothing: Vec::new(),
            answered: Vec::new(),
            to_appservice: Vec::new(),
            to_client: Vec::new(),
        })
    }

    /// Sends one message each way, and asks once for nothing.
    pub(crate) async fn send(&mut self, id: &str, delivered: &Arrivals) -> anyhow::Result<()> {
        self.nothing.push(self.speaker.versions().await?);
        tokio::time::sleep(PAUSE).await;
        let began = Instant::now();
        let (event, answered) = self.speaker.say(&self.with_ghost, id).await?;
        self.answered.push(answered);
        let arrived = delivered.of(&event).await?;
        self.to_appservice.push(arrived.duration_since(began));
        tokio::time::sleep(PAUSE).await;
        let began = Instant::now();
        let (event, _) = self.speaker.say(&self.with_listener, id).await?;
        let arrived = self.synced.of(&event).await?;
        self.to_client.push(arrived.duration_since(began));
        tokio::time::sleep(PAUSE).await;
        Ok(())
    }

    /// Forgets what was measured so far: connections and caches are warm now.
    pub(crate) fn forget(&mut self) {
        self.nothing.clear();
        self.answered.clear();
        self.to_appservice.clear();
        self.to_client.clear();
    }

    /// What it took.
    pub(crate) fn figures(&self, figures: &mut Figures) {
        for (name, took) in [
            ("`GET versions`", &self.nothing),
            ("`PUT send` answered", &self.answered),
            ("`PUT send` -> transaction", &self.to_appservice),
            ("`PUT send` -> other client's sync", &self.to_client),
        ] {
            figures.add_times(name, took);
        }
    }
}
