//! The fuzz targets under `proptest`, on stable.
//!
//! Each meets its corpus, hostile texts where a stranger would put them, and what is made of both. Without `FUZZ_SECONDS` that is a
//! fixed number of inputs, the same each time; with it each target runs for so long, with other inputs each time.
#![allow(
    clippy::disallowed_methods,
    reason = "tests and measurements spawn what they need and ask what time it is"
)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on should stop"
)]

mod generate;
mod hostile;

use std::{
    cell::Cell,
    fs,
    path::Path,
    time::{Duration, Instant},
};

use fuzz::{TARGETS, Target};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

/// For how long each target runs, in seconds.
const SECONDS: &str = "FUZZ_SECONDS";
/// How many inputs each target meets if nobody says for how long.
const CASES: u32 = 256;
/// The most bytes of an input that is made: few for a quick look, or a debug build takes minutes.
const INPUT_BYTES_MAX: usize = 16_384;
const INPUT_BYTES_MAX_QUICK: usize = 2_048;
/// How often a hostile text repeats what is short.
const REPEATS: usize = 20_000;
const REPEATS_QUICK: usize = 1_000;
/// How many inputs are made between two looks at the clock.
const CASES_BETWEEN_LOOKS: u32 = 256;
/// The most steps in which a failing input is made smaller.
const SHRINKS_MAX: u32 = 2_000;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The inputs of a target that are kept with it, in the order of their names.
fn corpus(target: &Target) -> Vec<Vec<u8>> {
    let folder = root().join("corpus").join(target.name);
    let mut paths: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.sort();
    paths
        .into_iter()
        .map(|path| fs::read(path).unwrap())
        .collect()
}

fn run(name: &str) {
    let target = TARGETS.iter().find(|target| target.name == name).unwrap();
    let corpus = corpus(target);
    assert!(!corpus.is_empty(), "{name} has no corpus");
    for input in &corpus {
        (target.check)(input);
    }
    let seconds = std::env::var(SECONDS).ok();
    let seconds = seconds.map(|seconds| seconds.parse::<u64>().expect("FUZZ_SECONDS is a number"));
    let (repeats, bytes_max) = match seconds {
        Some(_) => (REPEATS, INPUT_BYTES_MAX),
        None => (REPEATS_QUICK, INPUT_BYTES_MAX_QUICK),
    };
    for text in hostile::texts(repeats) {
        let input = (target.wrap)(&text);
        (target.check)(&input);
        // Cut anywhere, also inside a character.
        (target.check)(&input[..input.len() - input.len() / 3]);
    }
    let config = Config {
        cases: if seconds.is_some() {
            CASES_BETWEEN_LOOKS
        } else {
            CASES
        },
        failure_persistence: None,
        max_shrink_iters: SHRINKS_MAX,
        ..Config::default()
    };
    let inputs = generate::inputs(target, corpus, bytes_max);
    let (begun, met) = (Instant::now(), Cell::new(0_u32));
    loop {
        // A runner that has had its number of inputs would make no more.
        let mut runner = match seconds {
            Some(_) => TestRunner::new(config.clone()),
            None => TestRunner::new_with_rng(
                config.clone(),
                TestRng::deterministic_rng(RngAlgorithm::ChaCha),
            ),
        };
        let before = met.get();
        let result = runner.run(&inputs, |input| {
            met.set(met.get() + 1);
            (target.check)(&input.0);
            Ok(())
        });
        if let Err(failure) = result {
            panic!("{name}: {failure}");
        }
        assert_eq!(met.get() - before, config.cases, "inputs that nobody met");
        let took = begun.elapsed();
        if seconds.is_none_or(|seconds| took >= Duration::from_secs(seconds)) {
            let (met, took) = (met.get(), took.as_secs_f64());
            let rate = f64::from(met) / took;
            println!("{name}: {met} inputs in {took:.1} s, {rate:.0} in a second");
            return;
        }
    }
}

macro_rules! targets {
    ($($name:ident),* $(,)?) => {
        $(
            #[test]
            fn $name() {
                run(stringify!($name));
            }
        )*

        #[test]
        fn every_target_has_a_test_and_a_program() {
            let tested = [$(stringify!($name)),*];
            assert_eq!(TARGETS.map(|target| target.name), tested);
            for name in tested {
                let program = root().join(format!("fuzz_targets/{name}.rs"));
                let program = fs::read_to_string(&program).unwrap();
                assert!(program.contains(&format!("fuzz::{name}::check(data)")), "{name}");
            }
        }
    };
}

targets!(
    push_rules,
    filters,
    sliding_sync,
    sse,
    app_server_frames,
    transaction,
    markdown,
    commands,
);

/// What `cargo build -p fuzz` links. In a build of the whole workspace cargo turns the features of all on.
#[test]
fn no_database_is_linked() {
    let tree = std::process::Command::new(env!("CARGO"))
        .args(["tree", "--locked", "--offline", "-p", "fuzz"])
        .args(["-e", "normal", "--prefix", "none"])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(tree.status.success(), "{}", tree.stderr.escape_ascii());
    let tree = String::from_utf8(tree.stdout).unwrap();
    assert!(tree.contains("matrix-appservice-letta "), "{tree}");
    assert!(!tree.to_lowercase().contains("rocksdb"), "{tree}");
}
