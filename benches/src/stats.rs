//! Percentiles, and how they are printed.

use std::time::Duration;

/// Durations of one kind of thing.
#[derive(Debug, Default)]
pub(crate) struct Samples(Vec<Duration>);

impl Samples {
    /// Adds one.
    pub(crate) fn push(&mut self, sample: Duration) {
        self.0.push(sample);
    }

    /// The duration that `percent` of the samples do not exceed, in milliseconds.
    pub(crate) fn percentile(&mut self, percent: usize) -> f64 {
        self.0.sort_unstable();
        let last = self.0.len().saturating_sub(1);
        let index = (self.0.len() * percent / 100).min(last);
        self.0.get(index).map_or(f64::NAN, |sample| sample.as_secs_f64() * 1e3)
    }

    /// Prints p50, p99 and maximum.
    pub(crate) fn print(&mut self, what: &str) {
        println!(
            "{what:<34} p50 {:>8.2} ms   p99 {:>8.2} ms   max {:>8.2} ms   n {}",
            self.percentile(50),
            self.percentile(99),
            self.percentile(100),
            self.0.len()
        );
    }
}
