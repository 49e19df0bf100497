//! What comes when everything has ended: nothing, or the same program from the beginning, because an admin said so.

use std::{env, ffi::OsString, os::unix::process::CommandExt, process::Command};

use anyhow::Context;

/// The option whose commands were done and are not done again.
const EXECUTE: &str = "--execute";

/// What comes after the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(
    not(feature = "embedded"),
    expect(dead_code, reason = "only the embedded homeserver has an admin room")
)]
pub(super) enum ExitAction {
    /// Nothing.
    End,
    /// This program, in the same process and with the same command line.
    Restart,
}

impl ExitAction {
    /// Returns if nothing comes.
    pub(super) fn run(self) -> anyhow::Result<()> {
        if self == Self::End {
            return Ok(());
        }
        let program = env::current_exe().context("cannot start anew")?;
        let arguments = without_commands(env::args_os().skip(1));
        // Only what failed comes back from there.
        let error = Command::new(program).args(arguments).exec();
        Err(error).context("cannot start anew")
    }
}

fn without_commands(arguments: impl Iterator<Item = OsString>) -> Vec<OsString> {
    let (mut kept, mut skips) = (Vec::new(), false);
    for argument in arguments {
        let text = argument.to_string_lossy();
        let (option, inline) = (
            text == EXECUTE,
            text.strip_prefix(EXECUTE)
                .is_some_and(|rest| rest.starts_with('=')),
        );
        if !(skips || option || inline) {
            kept.push(argument.clone());
        }
        skips = option && !skips;
    }
    kept
}

#[test]
fn commands_are_not_done_again() {
    let line = "run --execute --execute -c x.yaml --execute=b --execute c -v";
    let kept = without_commands(line.split(' ').map(OsString::from));
    assert_eq!(kept, ["run", "-c", "x.yaml", "-v"]);
}
