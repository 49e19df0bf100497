//! The Rust matrix-sdk as a driver: what Element X stands on.
//!
//! `rust-sdk URL [--sliding] [--registration-token T]` registers two people and lets them live through everything that
//! people do in encrypted rooms, with classic sync or, with `--sliding`, with `SyncService` and its room list. One line
//! per step, one line of JSON at the end, and an exit code.
#![recursion_limit = "512"]

mod encryption;
mod history;
mod person;
mod rooms;
mod steps;

use std::process::ExitCode;

use person::{Person, fresh};
use steps::Steps;

/// What the command line asks for.
pub struct Options {
    pub url: String,
    pub sliding: bool,
    pub token: Option<String>,
}

fn options() -> Option<Options> {
    let mut options = Options {
        url: String::new(),
        sliding: false,
        token: None,
    };
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--sliding" => options.sliding = true,
            "--registration-token" => options.token = Some(arguments.next()?),
            url if options.url.is_empty() && !url.starts_with('-') => options.url = url.to_owned(),
            _ => return None,
        }
    }
    (!options.url.is_empty()).then_some(options)
}

#[tokio::main]
async fn main() -> ExitCode {
    let Some(options) = options() else {
        println!("usage: rust-sdk URL [--sliding] [--registration-token T]");
        return ExitCode::from(64);
    };
    let mut steps = Steps::new(if options.sliding {
        "rust-sdk-sliding"
    } else {
        "rust-sdk"
    });
    live(&mut steps, &options).await;
    steps.finish()
}

/// Everything. `None` means that a step failed without which the next ones make no sense.
async fn live(steps: &mut Steps, options: &Options) -> Option<()> {
    let (a, b) = (fresh("alice"), fresh("bob"));
    for name in [&a, &b] {
        steps
            .step("register", person::register(options, name))
            .await?;
    }
    let alice = steps
        .step("log in alice", Person::log_in(options, &a))
        .await?;
    let bob = steps
        .step("log in bob", Person::log_in(options, &b))
        .await?;
    for person in [&alice, &bob] {
        steps.step("sync", person.start()).await?;
    }
    encryption::cross_signing(steps, &alice, &bob).await;
    let recovery_key = encryption::recovery(steps, &alice).await?;
    let room = rooms::meet(steps, &alice, &bob).await?;
    history::talk(steps, &bob, &room).await?;
    encryption::new_device(steps, options, &a, &room, &recovery_key).await;
    rooms::world(steps, &alice, &bob, &room).await;
    rooms::part(steps, &alice, &bob, &room).await;
    for person in [&alice, &bob] {
        person.stop().await;
        steps.step("log out", person.log_out()).await;
    }
    Some(())
}
