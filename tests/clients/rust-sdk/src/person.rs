//! A person at the SDK: registered, logged in, syncing one way or the other.

use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use matrix_sdk::config::SyncSettings;
use matrix_sdk::ruma::OwnedUserId;
use matrix_sdk::ruma::RoomId;
use matrix_sdk::ruma::api::client::account::register;
use matrix_sdk::ruma::api::client::uiaa::{AuthData, Dummy, RegistrationToken};
use matrix_sdk::{Client, Room, RoomState};
use matrix_sdk_ui::sync_service::{State, SyncService};
use tokio::sync::Mutex;
use tokio::task::JoinHandle;

use crate::Options;
use crate::steps::until;

pub const PASSWORD: &str = "correct-horse-battery-staple-42";

/// How long the homeserver may wait in one classic sync.
const LONG_POLL: Duration = Duration::from_secs(10);
/// More stages than any flow has that we know.
const STAGES: usize = 6;

enum Sync {
    Not,
    Classic(JoinHandle<()>),
    Sliding(Box<SyncService>),
}

/// A logged-in device of somebody.
pub struct Person {
    pub client: Client,
    pub id: OwnedUserId,
    pub sliding: bool,
    sync: Mutex<Sync>,
}

/// A name nobody has yet.
pub fn fresh(prefix: &str) -> String {
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap_or_default();
    format!("{prefix}{:x}", now.as_nanos())
}

/// Registers through whatever the homeserver asks first: nothing, or a token.
pub async fn register(options: &Options, name: &str) -> Result<()> {
    let client = Client::builder()
        .homeserver_url(&options.url)
        .build()
        .await?;
    let mut auth = None;
    for _ in 0..STAGES {
        let mut request = register::v3::Request::new();
        request.username = Some(name.to_owned());
        request.password = Some(PASSWORD.to_owned());
        request.inhibit_login = true;
        request.auth = auth.take();
        let error = match client.matrix_auth().register(request).await {
            Ok(_) => return Ok(()),
            Err(error) => error,
        };
        let Some(asked) = error.as_uiaa_response() else {
            bail!(error)
        };
        ensure!(asked.auth_error.is_none(), "{:?}", asked.auth_error);
        let flow = asked.flows.first().context("no flow")?;
        let mut stages = flow.stages.iter();
        let stage = stages
            .find(|stage| !asked.completed.contains(stage))
            .context("nothing left to do, and still not done")?;
        auth = Some(answer(stage.as_str(), asked.session.clone(), options)?);
    }
    bail!("the authentication never ends")
}

fn answer(stage: &str, session: Option<String>, options: &Options) -> Result<AuthData> {
    match stage {
        "m.login.dummy" => {
            let mut dummy = Dummy::new();
            dummy.session = session;
            Ok(AuthData::Dummy(dummy))
        }
        "m.login.registration_token" => {
            let token = options
                .token
                .clone()
                .context("it asks for a registration token")?;
            let mut token = RegistrationToken::new(token);
            token.session = session;
            Ok(AuthData::RegistrationToken(token))
        }
        other => bail!("it asks for {other}"),
    }
}

impl Person {
    /// Logs in on a new device that knows nothing.
    pub async fn log_in(options: &Options, name: &str) -> Result<Self> {
        let client = Client::builder()
            .server_name_or_homeserver_url(&options.url)
            .build()
            .await?;
        client
            .matrix_auth()
            .login_username(name, PASSWORD)
            .initial_device_display_name("matrix-sdk driver")
            .request_refresh_token()
            .send()
            .await?;
        let id = client.user_id().context("not logged in")?.to_owned();
        Ok(Self {
            client,
            id,
            sliding: options.sliding,
            sync: Mutex::new(Sync::Not),
        })
    }

    /// Syncs once and then on and on.
    pub async fn start(&self) -> Result<()> {
        self.client.event_cache().subscribe()?;
        let sync = if self.sliding {
            self.start_sliding().await?
        } else {
            self.start_classic().await?
        };
        *self.sync.lock().await = sync;
        self.client
            .encryption()
            .wait_for_e2ee_initialization_tasks()
            .await;
        Ok(())
    }

    async fn start_classic(&self) -> Result<Sync> {
        self.client.sync_once(SyncSettings::new()).await?;
        let client = self.client.clone();
        Ok(Sync::Classic(tokio::spawn(async move {
            let settings = SyncSettings::new().timeout(LONG_POLL);
            if let Err(error) = client.sync(settings).await {
                eprintln!("the sync ended: {error}");
            }
        })))
    }

    async fn start_sliding(&self) -> Result<Sync> {
        let service = SyncService::builder(self.client.clone()).build().await?;
        service.start().await;
        let list = service.room_list_service().all_rooms().await?;
        let mut loading = list.loading_state();
        until(|| {
            let running = matches!(service.state().get(), State::Running);
            let loaded = matches!(
                loading.next_now(),
                matrix_sdk_ui::room_list_service::RoomListLoadingState::Loaded { .. }
            );
            async move { (running && loaded).then_some(()) }
        })
        .await?;
        Ok(Sync::Sliding(Box::new(service)))
    }

    /// Stops to sync.
    pub async fn stop(&self) {
        match std::mem::replace(&mut *self.sync.lock().await, Sync::Not) {
            Sync::Not => {}
            Sync::Classic(task) => task.abort(),
            Sync::Sliding(service) => service.stop().await,
        }
    }

    /// With sliding sync a client says which room it looks at, and then gets all of it.
    pub async fn look_at(&self, room: &RoomId) {
        if let Sync::Sliding(service) = &*self.sync.lock().await {
            service
                .room_list_service()
                .subscribe_to_rooms(&[room])
                .await;
        }
    }

    pub fn room(&self, room: &RoomId) -> Result<Room> {
        self.client.get_room(room).context("the room is unknown")
    }

    /// Waits until the own membership in a room is this.
    pub async fn wait_for(&self, room: &RoomId, state: RoomState) -> Result<Room> {
        until(|| async {
            self.client
                .get_room(room)
                .filter(|room| room.state() == state)
        })
        .await
    }

    /// Logs out; the token must be worthless afterwards.
    pub async fn log_out(&self) -> Result<()> {
        self.client.matrix_auth().logout().await?;
        ensure!(self.client.whoami().await.is_err(), "still welcome");
        Ok(())
    }
}
