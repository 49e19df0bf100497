//! Panics as values.

use std::{any::Any, fmt, panic::AssertUnwindSafe};

use futures_util::FutureExt;

/// What a task said when it panicked.
#[derive(Debug)]
pub struct Panic(String);

impl fmt::Display for Panic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<Box<dyn Any + Send>> for Panic {
    fn from(payload: Box<dyn Any + Send>) -> Self {
        let text = payload
            .downcast_ref::<&str>()
            .map(|text| (*text).to_owned())
            .or_else(|| payload.downcast_ref::<String>().cloned());
        Self(text.unwrap_or_else(|| "panic without a message".to_owned()))
    }
}

/// Runs a future to its end, or to its panic.
///
/// What the future shares with others must be consistent after every statement: that holds for all
/// that lies in the journal, whose commits are atomic, and for our mutexes, which ignore poisoning.
pub async fn catch_panic<F: Future>(future: F) -> Result<F::Output, Panic> {
    AssertUnwindSafe(future)
        .catch_unwind()
        .await
        .map_err(Panic::from)
}
