//! The embedded homeserver: opened, joined to the bridge, served.
//!
//! The bridge calls it as it calls any other, with Matrix requests as bytes, and is called the same way; only the sockets in
//! between are left out. What belongs to both (the registration, the tokens) is made here at every start: it never leaves the
//! process.

use std::{path::Path, sync::OnceLock, time::Duration};

use anyhow::Context;
use axum::{
    Router,
    extract::Request,
    routing::{MethodRouter, any, get},
};
use homeserver::{
    AppserviceRegistration, Delivery, ListenError, Listeners, Server, Software, command_name,
    connections,
};
use ruma::OwnedUserId;
use system::{condition::StoreCondition, private};
use tower::ServiceExt;
use tracing::{info, warn};

use super::{DemoUser, ExitAction};
use crate::{
    appservice::readiness,
    cli::{ExitCode, Failure},
    config::{Config, Level},
    registration::{Registration, new_token},
    tools::mcp,
    workers::Tasks,
};
pub use settings::settings;

mod greeting;
mod settings;

/// How long the registration token for the first user is good.
const FIRST_TOKEN_LIFE: Duration = Duration::from_hours(24);

/// What the homeserver says it is: this program.
const SOFTWARE: Software = Software {
    name: env!("CARGO_PKG_NAME"),
    version: env!("CARGO_PKG_VERSION"),
};

/// The homeserver in this process.
pub(super) struct EmbeddedHomeserver {
    server: Server,
    address: OnceLock<String>,
}

impl EmbeddedHomeserver {
    /// Opens the database, and makes the tokens that the two parts know each other by.
    pub(super) async fn open(
        config: &mut Config,
        demo_user: Option<&DemoUser>,
    ) -> anyhow::Result<Self> {
        config.appservice.as_token = new_token();
        config.appservice.hs_token = new_token();
        let settings = settings(config)?;
        let folder = settings::folder(config);
        if settings.database.database_path.starts_with(&folder) {
            private::tighten(&folder)?;
        }
        let server = open(settings).await?;
        if let Some(demo_user) = demo_user {
            server
                .ensure_account(&demo_user.user_id, &demo_user.password)
                .await?;
        }
        Ok(Self {
            server,
            address: OnceLock::new(),
        })
    }

    /// Whether its database can be written.
    pub(super) fn condition(&self) -> StoreCondition {
        self.server.store_condition().clone()
    }

    /// What it answers, as a service.
    pub(super) fn router(&self) -> Router {
        self.server.router()
    }

    /// Where clients of this machine reach it, once it listens.
    pub(super) fn address(&self) -> String {
        self.address.get().cloned().unwrap_or_default()
    }

    /// Tells it about the bridge, and listens. What is returned ends when the bridge does.
    pub(super) async fn serve(
        &self,
        config: &Config,
        bridge: Router,
        tasks: Tasks,
    ) -> anyhow::Result<impl Future<Output = anyhow::Result<()>> + Send + 'static> {
        let registration = Registration::new(config)?.to_yaml();
        let registration = AppserviceRegistration::from_yaml(&registration)?;
        self.server
            .add_appservice(registration, Delivery::InProcess(bridge.clone()))
            .await?;
        // Of what the bridge answers only its health is for everybody, and the tools for who shows a token; the rest is called in
        // process.
        let bridge_answers = any(async move |request: Request| bridge.oneshot(request).await);
        let front = Router::new()
            .route("/_matrix/mau/{*rest}", bridge_answers.clone())
            .route("/health", bridge_answers.clone())
            .route("/", self.page())
            .fallback_service(self.router());
        let front = if config.tools.mcp {
            front.route(mcp::PATH, bridge_answers)
        } else {
            front
        };
        self.serve_routes(front, tasks).await
    }

    /// What a browser shows at `/`.
    fn page(&self) -> MethodRouter {
        let page = greeting::page(&self.server.config().server_name);
        get(async move || page)
    }

    async fn serve_routes(
        &self,
        front: Router,
        tasks: Tasks,
    ) -> anyhow::Result<impl Future<Output = anyhow::Result<()>> + Send + 'static> {
        let listeners = self.listen().await?;
        let server = self.server.clone();
        let connections = connections(self.server.config());
        let served = listeners.serve(front, connections, async move {
            tasks.closing().await;
            // A client that waits for news would hold up the end, and be cut off by it.
            server.cancel_waiters();
        });
        Ok(async move {
            served.await;
            Ok(())
        })
    }

    async fn listen(&self) -> anyhow::Result<Listeners> {
        let config = self.server.config();
        let listeners = Listeners::bind(&config.listen).await.map_err(|error| {
            let fix = match &error {
                ListenError::Bind { .. } => {
                    ". Is another homeserver running? Change `homeserver.port`, or stop it."
                }
                ListenError::Nowhere | ListenError::Certificate(_) => "",
            };
            Failure::new(ExitCode::NoListener, format_args!("{error}{fix}"))
        })?;
        let name = &config.server_name;
        for address in listeners.addresses() {
            info!(%address, server_name = %name, "the homeserver listens");
        }
        if let Some(socket) = listeners.unix_socket_path() {
            info!(socket = %socket.display(), server_name = %name, "the homeserver listens");
        }
        // Set once: it is served once.
        let _: Result<(), String> = self.address.set(self.reached_at(&listeners));
        Ok(listeners)
    }

    /// Where clients reach what listens: by the name in the certificate, if there is one.
    fn reached_at(&self, listeners: &Listeners) -> String {
        let config = self.server.config();
        match (listeners.unix_socket_path(), listeners.addresses().first()) {
            (None, Some(first)) if config.listen.tls.certs.is_some() => {
                format!("https://{}:{}", config.server_name.host(), first.port())
            }
            (None, Some(first)) => format!("http://localhost:{}", first.port()),
            (socket, _) => format!("unix:{}", socket.unwrap_or(Path::new("")).display()),
        }
    }

    /// Prints where to point a client, and how the first user registers, whatever the log level is.
    pub(super) async fn greet(&self, config: &Config) {
        let admins = local_admins(config);
        let first = self
            .server
            .first_registration_token(&admins, FIRST_TOKEN_LIFE);
        let token = first.await.unwrap_or_else(|error| {
            warn!(%error, "could not make a registration token for the first user");
            None
        });
        let name = admins.first().map(|admin| admin.localpart());
        super::print_out(&greeting::text(&self.address(), name, token.as_deref()));
    }

    /// Does commands as an admin would, and says their answers.
    pub(super) async fn execute(&self, commands: &[String]) -> anyhow::Result<()> {
        for line in commands {
            let command = command_name(line);
            match self.server.execute(line).await {
                Ok(answer) => super::print_out(&format!("{answer}\n")),
                Err(reason) if self.server.config().admin.admin_execute_errors_ignore => {
                    warn!(command, reason, "a command failed");
                }
                Err(reason) => anyhow::bail!("{command}: {reason}"),
            }
        }
        Ok(())
    }

    /// Waits until an admin ends it with a command.
    pub(super) async fn shut_down(&self) {
        self.server.shutdown_requested().await;
    }

    /// Waits until a task of it has ended that it cannot do without: its name.
    pub(super) async fn failed(&self) -> &'static str {
        self.server.failed_task().await
    }

    /// Ends what it does and closes the database. Says what comes then.
    pub(super) async fn close(self) -> ExitAction {
        self.server.close().await;
        if self.server.restart_requested() {
            return ExitAction::Restart;
        }
        ExitAction::End
    }
}

/// The admins whom the configuration names and who can have an account here.
fn local_admins(config: &Config) -> Vec<OwnedUserId> {
    let named = config.permissions.people();
    let admins = named.filter(|(user, level)| {
        *level == Level::Admin && user.server_name() == config.homeserver.domain
    });
    admins.map(|(user, _)| user.to_owned()).collect()
}

/// Makes a new registration token for a user of the embedded homeserver, which must not run meanwhile.
///
/// Without a name it is for the first admin whom the configuration names. What is returned is for people.
pub async fn renew_registration_token(
    config: &Config,
    localpart: Option<&str>,
) -> anyhow::Result<String> {
    let admins = local_admins(config);
    let admin = admins.first().map(|admin| admin.localpart());
    let Some(localpart) = localpart.or(admin) else {
        let why =
            "the configuration names no admin of this server: give the name that the token is for";
        return Err(Failure::new(ExitCode::Usage, why).into());
    };
    let server = open(settings(config)?).await?;
    let renewed = server
        .renew_registration_token(localpart, FIRST_TOKEN_LIFE)
        .await;
    server.close().await;
    if let Some(token) = renewed? {
        return Ok(greeting::renewed(localpart, &token));
    }
    let why = format_args!(
        "`{localpart}` has an account already; for a new password: run --execute 'users reset-password {localpart}'"
    );
    Err(Failure::new(ExitCode::Usage, why).into())
}

async fn open(settings: homeserver::Config) -> anyhow::Result<Server> {
    let path = settings.database.database_path.clone();
    let opened = Server::open_as(settings, SOFTWARE).await;
    opened.with_context(|| {
        format!(
            "cannot open the homeserver's database in {}",
            path.display()
        )
    })
}

/// Runs the homeserver alone until it is told to stop, for other bridges or for a bridge in a process of its own.
pub async fn homeserver_alone(
    settings: homeserver::Config,
    commands: &[String],
) -> anyhow::Result<()> {
    let mut signals = super::Signals::listen()?;
    super::prepare();
    let embedded = EmbeddedHomeserver {
        server: open(settings).await?,
        address: OnceLock::new(),
    };
    embedded.execute(commands).await?;
    let tasks = Tasks::default();
    let conditions = vec![embedded.condition()];
    let stores = conditions.clone();
    let front = Router::new()
        .route("/health", get(async move || readiness(true, &stores)))
        .route("/", embedded.page())
        .fallback_service(embedded.router());
    #[expect(
        clippy::disallowed_methods,
        reason = "its handle is waited for, and how it ends is how the process ends"
    )]
    let served = tokio::spawn(embedded.serve_routes(front, tasks.clone()).await?);
    let failed = tokio::select! {
        () = signals.terminated() => None,
        () = embedded.shut_down() => None,
        failure = super::until_lost(&conditions) => Some(failure),
        task = embedded.failed() => Some(super::task_failed(task)),
    };
    tasks.close();
    tasks.stop();
    if let Ok(served) = tokio::time::timeout(super::STOP_MAX, served).await {
        served.context("the listener failed")??;
    }
    let then = embedded.close().await;
    match failed {
        Some(failure) => Err(failure.into()),
        None => then.run(),
    }
}
