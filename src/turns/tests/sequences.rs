//! How random sequences of steps are tried: how many, and in a time that passes by itself.

use proptest::prelude::ProptestConfig;

/// How many sequences are tried, unless `TURNS_PROPERTY_CASES` says another number.
const CASES: u32 = 48;

pub(super) fn config() -> ProptestConfig {
    let chosen = std::env::var("TURNS_PROPERTY_CASES").ok();
    ProptestConfig {
        cases: chosen.and_then(|cases| cases.parse().ok()).unwrap_or(CASES),
        max_shrink_iters: 256,
        ..ProptestConfig::default()
    }
}

/// Runs one sequence to its end. Whenever everything waits, time goes on to what happens next.
pub(super) fn run(sequence: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .unwrap();
    runtime.block_on(sequence);
}
