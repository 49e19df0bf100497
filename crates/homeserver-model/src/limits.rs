//! Every limit that has a number: what it bounds, its value and unit, and what a client sees when it is reached.
//!
//! The constants of the `catalogue` are what the code enforces, so a document that is made of it cannot fall behind the code.
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#rate-limiting>,
//! <https://spec.matrix.org/v1.19/client-server-api/#size-limits>

use std::time::Duration;

mod catalogue;

pub use catalogue::*;

/// How much a limit lets pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Amount {
    /// So many of what [`Limit::unit`] says.
    Count(u64),
    /// So long.
    Time(Duration),
}

impl From<usize> for Amount {
    fn from(count: usize) -> Self {
        Self::Count(u64::try_from(count).unwrap_or(u64::MAX))
    }
}

impl From<u32> for Amount {
    fn from(count: u32) -> Self {
        Self::Count(count.into())
    }
}

impl From<u64> for Amount {
    fn from(count: u64) -> Self {
        Self::Count(count)
    }
}

impl From<Duration> for Amount {
    fn from(time: Duration) -> Self {
        Self::Time(time)
    }
}

/// What happens when a limit is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LimitEffect {
    /// The request is refused with this status and error code, and nothing of it is stored.
    Refused(u16, &'static str),
    /// Something else, in words.
    Otherwise(&'static str),
}

/// A limit.
#[derive(Clone, Copy, Debug)]
pub struct Limit {
    /// The part of the document that it is in.
    pub section: &'static str,
    /// The name of its constant.
    pub name: &'static str,
    /// What it bounds.
    pub about: &'static str,
    /// How much it lets pass.
    pub amount: Amount,
    /// What the amount counts: `format_bytes`, `devices`.
    pub unit: &'static str,
    /// What happens when it is reached.
    pub reached: LimitEffect,
}

impl Limit {
    /// The value with its unit, for people.
    pub fn value(&self) -> String {
        match self.amount {
            Amount::Time(time) => humantime::format_duration(time).to_string(),
            Amount::Count(count) if self.unit == "bytes" => format_bytes(count),
            Amount::Count(count) => format!("{} {}", grouped(count), self.unit),
        }
    }
}

impl LimitEffect {
    /// In words.
    pub fn words(self) -> String {
        match self {
            Self::Refused(status, code) => format!("{status} `{code}`"),
            Self::Otherwise(words) => words.to_owned(),
        }
    }
}

/// A size in the largest unit that divides it.
pub fn format_bytes(count: u64) -> String {
    const UNITS: [(u64, &str); 3] = [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    let unit = UNITS
        .iter()
        .find(|(size, _)| count >= *size && count.is_multiple_of(*size));
    match unit {
        Some((size, name)) => format!("{} {name}", count / size),
        None => format!("{} bytes", grouped(count)),
    }
}

/// A number with a comma between thousands.
pub fn grouped(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
