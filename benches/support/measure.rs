//! Times made into figures, and what the disk costs beneath them.

use std::{
    fs::File,
    io::Write,
    path::Path,
    time::{Duration, Instant},
};

/// How often the disk is asked how long an `fsync` takes.
const FSYNCS: usize = 200;

/// A duration in milliseconds.
pub(crate) fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

/// The value below which so many percent lie, in milliseconds.
pub(crate) fn percentile(times: &[Duration], percent: usize) -> f64 {
    let mut times = times.to_vec();
    times.sort_unstable();
    let at = (times.len() * percent / 100).min(times.len().saturating_sub(1));
    times.get(at).copied().map_or(f64::NAN, milliseconds)
}

/// What one durable write of 4 KiB costs there at least, on this disk and beside this other work.
pub(crate) fn fsync(dir: &Path) -> anyhow::Result<String> {
    let mut file = File::create(dir.join("fsync"))?;
    let mut times = Vec::new();
    for _ in 0..FSYNCS {
        let began = Instant::now();
        file.write_all(&[1; 4096])?;
        file.sync_data()?;
        times.push(began.elapsed());
    }
    let [p50, p99] = [50, 99].map(|percent| percentile(&times, percent));
    Ok(format!("p50 {p50:.2} ms, p99 {p99:.2} ms"))
}
