//! The command line.
//!
//! Sub-commands for people who start here, and the flags of the mautrix bridges (`-c`, `-r`, `-g`,
//! `-v`) for those who have run a bridge before. Exit codes are theirs too, see [`ExitCode`].

use std::{
    io::{self, Write},
    path::{Path, PathBuf},
    time::Duration,
};

use clap::{ArgAction, Args, CommandFactory, Parser, Subcommand};
use ruma::{OwnedServerName, OwnedUserId};
use url::Url;

use crate::config::{self, BackendKind};

#[cfg(feature = "embedded")]
mod backup;
mod demo;
mod doctor;
mod exit;
mod health;
#[cfg(feature = "embedded")]
mod homeserver;
mod init;
mod letta;
mod logging;
mod mcp;
mod probe;
mod registration;
#[cfg(feature = "embedded")]
mod registration_token;
mod run;
mod steps;
mod tokens;

pub use doctor::{Advice, Check, checks};
pub use exit::{ExitCode, Failure};
pub use steps::HomeserverKind;

/// What every command gives back.
type Outcome = Result<(), Failure>;

/// Puts every Letta agent into Matrix as a person of its own.
///
/// With `-c` and no command, the bridge runs.
#[derive(Debug, Parser)]
#[command(version, disable_version_flag = true)]
struct Cli {
    #[command(flatten)]
    files: Files,
    /// Make new tokens, write them into the configuration, and write the registration.
    #[arg(short, long)]
    generate_registration: bool,
    /// Print the version.
    #[arg(short = 'v', short_alias = 'V', long, action = ArgAction::Version)]
    version: Option<bool>,
    #[command(subcommand)]
    command: Option<Command>,
}

/// The two files of a bridge.
#[derive(Debug, Args)]
struct Files {
    /// The configuration [default: config.yaml].
    #[arg(short, long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The registration [default: registration.yaml beside the configuration].
    #[arg(short, long, global = true, value_name = "FILE")]
    registration: Option<PathBuf>,
}

impl Files {
    fn config(&self) -> &Path {
        self.config.as_deref().unwrap_or(Path::new("config.yaml"))
    }

    fn registration(&self) -> PathBuf {
        let beside = || self.config().with_file_name("registration.yaml");
        self.registration.clone().unwrap_or_else(beside)
    }
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Write config.yaml and registration.yaml, and say what to do with them.
    ///
    /// Run again, it changes only what its flags say. Every key of the configuration can be set
    /// with a `BRIDGE_SECTION__KEY` variable and is written as well.
    Init(InitArgs),
    /// Run the bridge.
    Run(RunArgs),
    /// Run the bridge with a few scripted agents, to see what it is like. No Letta is needed.
    Demo(DemoArgs),
    /// Write the registration that fits the configuration.
    Registration(RegistrationArgs),
    /// Run only the homeserver, without the bridge: for other bridges, or to keep it up while this one restarts.
    ///
    /// It is configured as Tuwunel is: a `tuwunel.toml`, `TUWUNEL_KEY` in the environment, `-O key=value`.
    #[cfg(feature = "embedded")]
    Homeserver(HomeserverArgs),
    /// Back up the database of the embedded homeserver, look at backups, bring one back.
    ///
    /// The homeserver is the one of the bridge's configuration, or of the `tuwunel.toml` that is named. While it runs, an admin
    /// writes `!admin server backup-database` instead of `backup create`; both make the same backups.
    #[cfg(feature = "embedded")]
    Backup(BackupArgs),
    /// Make a new registration token for the embedded homeserver, instead of one that was lost.
    ///
    /// Stop the bridge before. While it runs, an admin writes `!admin token issue --once`.
    #[cfg(feature = "embedded")]
    Token(TokenArgs),
    /// Look for everything that could be wrong, and say how to fix it.
    Doctor,
    /// Ask the running bridge whether it is ready: exit code 0 if it is.
    Health,
    /// Be the tools of an agent on standard input and output (MCP), for programs that know no other way.
    ///
    /// `MATRIX_AGENT_TOKEN` says which agent it is; an admin makes the token with `!letta token <agent>`. The bridge has to run.
    Mcp(McpArgs),
}

#[derive(Debug, Args)]
struct InitArgs {
    /// The folder to write to.
    #[arg(long, value_name = "DIR", default_value = ".")]
    dir: PathBuf,
    /// What homeserver it is, to print the steps for it.
    #[arg(long, value_enum, default_value_t = HomeserverKind::Embedded)]
    homeserver: HomeserverKind,
    /// Where the bridge reaches the homeserver, like `http://localhost:8008`.
    #[arg(long, value_name = "URL", value_parser = address)]
    address: Option<Url>,
    /// The port that the embedded homeserver listens on [default: 6167].
    #[arg(long, value_name = "PORT", conflicts_with = "address")]
    port: Option<u16>,
    /// The server name: what stands after the colon in user ids.
    #[arg(long, value_name = "NAME")]
    domain: Option<OwnedServerName>,
    /// How to speak to Letta [default: found out by asking].
    #[arg(long, value_enum)]
    backend: Option<BackendKind>,
    /// Where Letta is, like `http://localhost:8283` or `ws://localhost:4500` [default: what
    /// `LETTA_BASE_URL` says].
    #[arg(long, visible_alias = "letta", value_name = "URL", value_parser = letta_address)]
    letta_url: Option<Url>,
    /// Your full user id; you are invited to the agents and may manage the bridge. Can be repeated.
    #[arg(long, value_name = "@USER:DOMAIN", value_parser = user_id)]
    admin: Vec<OwnedUserId>,
}

#[derive(Debug, Default, Args)]
struct RunArgs {
    /// Do an admin's command, like `users create-user bob`, once the embedded homeserver is there, and print the answer. Can be
    /// repeated. One that fails ends the program; `server shutdown` as the last one ends it too.
    #[arg(long, value_name = "COMMAND")]
    execute: Vec<String>,
}

#[derive(Debug, Args)]
struct DemoArgs {
    /// Use this homeserver, like `http://localhost:8008`, instead of the one that the bridge brings.
    #[arg(long, value_name = "URL", value_parser = address)]
    homeserver: Option<Url>,
    /// The port that the bridge's own homeserver listens on; 0 for any that is free.
    #[arg(
        long,
        value_name = "PORT",
        default_value_t = 6167,
        conflicts_with = "homeserver"
    )]
    port: u16,
    /// Print one line of JSON instead of words: `homeserver`, `user_id`, `password`, `space`.
    #[arg(long, conflicts_with = "homeserver")]
    json: bool,
    /// The server name: what stands after the colon in user ids.
    #[arg(long, value_name = "NAME", default_value = "localhost")]
    domain: OwnedServerName,
    /// The folder for the configuration and the data.
    #[arg(long, value_name = "DIR", default_value = "letta-demo")]
    data: PathBuf,
    /// Who is invited to the agents. Without it everybody on the server may talk to them.
    #[arg(long, value_name = "@USER:DOMAIN", value_parser = user_id)]
    admin: Option<OwnedUserId>,
}

#[cfg(feature = "embedded")]
#[derive(Debug, Args)]
struct HomeserverArgs {
    #[command(flatten)]
    sources: TuwunelArgs,
    #[command(flatten)]
    run: RunArgs,
}

/// The configuration of a homeserver alone.
#[cfg(feature = "embedded")]
#[derive(Clone, Debug, Args)]
struct TuwunelArgs {
    /// A `tuwunel.toml`. Can be repeated; the later one wins [env: `TUWUNEL_CONFIG`].
    #[arg(long, value_name = "FILE", global = true)]
    tuwunel_config: Vec<PathBuf>,
    /// Set one key, like `-O port=6167`: the value is TOML, so text stands in quotes.
    #[arg(short = 'O', long = "option", value_name = "KEY=VALUE", global = true)]
    option: Vec<String>,
}

#[cfg(feature = "embedded")]
#[derive(Debug, Args)]
struct BackupArgs {
    #[command(flatten)]
    sources: TuwunelArgs,
    /// The folder of the backups [default: `database_backup_path` of the configuration].
    #[arg(long, value_name = "DIR", global = true)]
    folder: Option<PathBuf>,
    #[command(subcommand)]
    what: BackupCommand,
}

#[cfg(feature = "embedded")]
#[derive(Debug, Subcommand)]
enum BackupCommand {
    /// Make a backup while the homeserver does not run.
    Create,
    /// List the backups, oldest first.
    List,
    /// Check that every file of a backup is there and whole: exit code 0 if so.
    Verify {
        /// Its number [default: the newest].
        id: Option<u32>,
    },
    /// Write a backup where the homeserver's database is to be. It refuses to touch a database that is there.
    Restore {
        /// Its number [default: the newest].
        id: Option<u32>,
        /// Write it here instead.
        #[arg(long, value_name = "DIR")]
        into: Option<PathBuf>,
    },
}

#[cfg(feature = "embedded")]
#[derive(Debug, Args)]
struct TokenArgs {
    /// Who can register with it, like `me` [default: the first admin in `permissions`].
    #[arg(value_name = "NAME")]
    name: Option<String>,
}

#[derive(Debug, Args)]
struct McpArgs {
    /// Where the running bridge has its MCP server.
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:6167/mcp", value_parser = address)]
    url: Url,
}

#[derive(Debug, Args)]
struct RegistrationArgs {
    /// Make new tokens. The homeserver needs the new file before the bridge works again.
    #[arg(long)]
    rotate_tokens: bool,
    /// Print it instead of writing it. Tokens that are missing are still made and written to the
    /// configuration.
    #[arg(long)]
    print: bool,
    /// What homeserver it is, to print the steps for it.
    #[arg(long, value_enum)]
    homeserver: Option<HomeserverKind>,
    /// Leave out the key that Conduit and conduwuit refuse.
    #[arg(long)]
    conduit: bool,
}

fn address(text: &str) -> Result<Url, String> {
    let wrong = || "expected an address like http://localhost:8008".to_owned();
    config::http_url::parse(text).ok_or_else(wrong)
}

fn letta_address(text: &str) -> Result<Url, String> {
    let wrong = || "expected an address like http://localhost:8283 or ws://localhost:4500";
    config::letta_url::parse(text).ok_or_else(|| wrong().to_owned())
}

fn user_id(text: &str) -> Result<OwnedUserId, String> {
    let wrong = |_| "expected a full user id like @alice:example.org".to_owned();
    OwnedUserId::try_from(text).map_err(wrong)
}

/// How long the end waits for what blocks a thread, say a name server that does not answer.
const BLOCKED_MAX: Duration = Duration::from_secs(2);

/// Runs the command line of this process.
pub fn main() -> std::process::ExitCode {
    let cli = Cli::parse();
    // Everything that is made has secrets in it, and libraries that make files ask for no mode.
    system::private::restrict_umask();
    provide_cryptography();
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            return Failure::new(ExitCode::Other, format_args!("cannot start: {error}")).report();
        }
    };
    let outcome = runtime.block_on(dispatch(cli));
    runtime.shutdown_timeout(BLOCKED_MAX);
    match outcome {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}

/// Chooses the cryptography for TLS of the whole process.
fn provide_cryptography() {
    // Fails only if there is a provider already, which then serves as well.
    drop(rustls::crypto::ring::default_provider().install_default());
}

async fn dispatch(cli: Cli) -> Outcome {
    let files = &cli.files;
    match cli.command {
        _ if cli.generate_registration => registration::generate(files),
        Some(Command::Init(args)) => Box::pin(init::init(&args)).await,
        Some(Command::Run(args)) => Box::pin(run::run(files, &args)).await,
        Some(Command::Demo(args)) => Box::pin(demo::demo(&args)).await,
        Some(Command::Registration(args)) => registration::registration(files, &args),
        #[cfg(feature = "embedded")]
        Some(Command::Homeserver(args)) => Box::pin(homeserver::homeserver(&args)).await,
        #[cfg(feature = "embedded")]
        Some(Command::Backup(args)) => backup::backup(files, &args).await,
        #[cfg(feature = "embedded")]
        Some(Command::Token(args)) => Box::pin(registration_token::token(files, &args)).await,
        Some(Command::Doctor) => doctor::doctor(files).await,
        Some(Command::Health) => health::health(files).await,
        Some(Command::Mcp(args)) => mcp::serve(&args).await,
        None if files.config.is_some() => Box::pin(run::run(files, &RunArgs::default())).await,
        None => {
            // Nothing is lost if nobody reads it.
            drop(Cli::command().print_help());
            Err(Failure::silent(ExitCode::Usage))
        }
    }
}

/// Writes to standard output. A reader who has gone away is no failure.
fn print_out(text: &str) {
    let mut out = io::stdout().lock();
    drop(out.write_all(text.as_bytes()).and_then(|()| out.flush()));
}

#[cfg(test)]
mod tests;
