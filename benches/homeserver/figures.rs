//! What was measured, and the table of it.

use std::time::Duration;

use super::measure::{milliseconds, percentile};

/// What one homeserver showed: rows of a table, in their order.
#[derive(Default)]
pub(crate) struct Figures {
    rows: Vec<(String, Unit, f64)>,
}

/// In what a figure is counted.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unit {
    /// Milliseconds.
    Ms,
    /// Mebibytes.
    MiB,
    /// So many a second.
    PerSecond,
}

impl Unit {
    fn show(self, figure: f64) -> String {
        match self {
            Self::Ms if figure >= 100.0 => format!("{figure:.0} ms"),
            Self::Ms => format!("{figure:.2} ms"),
            Self::MiB => format!("{figure:.1} MiB"),
            Self::PerSecond => format!("{figure:.0} /s"),
        }
    }
}

impl Figures {
    /// Adds a row.
    pub(crate) fn add(&mut self, name: &str, unit: Unit, figure: f64) {
        self.rows.push((name.to_owned(), unit, figure));
    }

    /// Adds a duration.
    pub(crate) fn add_time(&mut self, name: &str, time: Duration) {
        self.add(name, Unit::Ms, milliseconds(time));
    }

    /// Adds the median of durations and the value below which 99 % of them lie.
    pub(crate) fn add_times(&mut self, name: &str, times: &[Duration]) {
        for percent in [50, 99] {
            let figure = percentile(times, percent);
            self.add(&format!("{name} p{percent}"), Unit::Ms, figure);
        }
    }
}

/// Prints the figures side by side, and all but the first divided by the first.
pub(crate) fn print(columns: &[(String, Figures)]) {
    let Some((_, first)) = columns.first() else {
        return;
    };
    let names = columns.iter().map(|(name, _)| format!(" {name} |"));
    let ratios = columns.iter().skip(1).map(|_| " ratio |".to_owned());
    println!("| |{}", names.chain(ratios).collect::<String>());
    println!("|---|{}", "---:|".repeat(2 * columns.len() - 1));
    for (at, (name, unit, figure)) in first.rows.iter().enumerate() {
        let others = || columns.iter().filter_map(|(_, other)| other.rows.get(at));
        let cells = others().map(|(_, _, other)| unit.show(*other));
        let ratios = others()
            .skip(1)
            .map(|(_, _, other)| format!("{:.2}", other / figure));
        let row: Vec<String> = cells.chain(ratios).collect();
        println!("| {name} | {} |", row.join(" | "));
    }
}

/// A count as a number to calculate with; nothing here is counted beyond four billion.
pub(crate) fn number(count: usize) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}
