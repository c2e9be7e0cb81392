//! Running times of bundles, by which one of two bad versions is chosen.

use std::time::Duration;

use crate::files;

/// Bundles that are remembered.
const MAX_BUNDLES: usize = 8;

/// Seconds that bundles ran, the one that ended last at the end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct RunTimes(Vec<(String, u64)>);

impl RunTimes {
    /// Adds a run of a bundle.
    pub(crate) fn add(&mut self, bundle: &str, ran: Duration) {
        let seconds = self.of(bundle).saturating_add(ran.as_secs());
        self.0.retain(|(known, _)| known != bundle);
        self.0.push((bundle.to_owned(), seconds));
        self.0.drain(..self.0.len().saturating_sub(MAX_BUNDLES));
    }

    /// Returns the seconds that a bundle ran, 0 for one that is not known.
    pub(crate) fn of(&self, bundle: &str) -> u64 {
        self.0.iter().find(|(known, _)| known == bundle).map_or(0, |(_, seconds)| *seconds)
    }

    /// Text of the file [`files::RAN`].
    pub(crate) fn text(&self) -> String {
        let line =
            |(bundle, seconds): &(String, u64)| format!("ran {} {seconds}\n", files::word(bundle));
        self.0.iter().map(line).collect()
    }

    /// Reads that text. Other lines are left out.
    pub(crate) fn parse(text: &str) -> Self {
        let parse = |line: &str| {
            let (bundle, seconds) = line.strip_prefix("ran ")?.split_once(' ')?;
            Some((bundle.to_owned(), seconds.parse().ok()?))
        };
        Self(text.lines().filter_map(parse).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::RunTimes;
    use std::time::Duration;

    #[test]
    fn run_times_add_up_are_read_as_they_were_written_and_the_oldest_are_forgotten() {
        let mut ran = RunTimes::default();
        for bundle in 0..20_u64 {
            ran.add(&bundle.to_string(), Duration::from_secs(bundle));
        }
        ran.add("19", Duration::from_secs(100));
        assert_eq!((ran.of("19"), ran.of("12"), ran.of("3")), (119, 12, 0));
        assert_eq!(RunTimes::parse(&ran.text()), ran);
        assert_eq!(RunTimes::parse("ran x\n\0\nran y 1\nran z -1\n").text(), "ran y 1\n");
    }
}
