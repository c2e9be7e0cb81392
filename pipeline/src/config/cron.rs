//! The times of schedules. None is run by itself here, but a time that no scheduler could read is
//! a mistake all the same.

/// Advice on what to write instead.
pub(super) const HINT: &str = "it has five parts: minute, hour, day of the month, month, day of the week, as in `0 3 * * 1-5`";

const MONTHS: [&str; 12] =
    ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const DAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

/// A part of a time: what it is called, its least and greatest number, and the names of numbers,
/// from the least on.
struct Part {
    name: &'static str,
    least: u32,
    most: u32,
    names: &'static [&'static str],
}

const PARTS: [Part; 5] = [
    Part { name: "minute", least: 0, most: 59, names: &[] },
    Part { name: "hour", least: 0, most: 23, names: &[] },
    Part { name: "day of the month", least: 1, most: 31, names: &[] },
    Part { name: "month", least: 1, most: 12, names: &MONTHS },
    Part { name: "day of the week", least: 0, most: 7, names: &DAYS },
];

/// Mistakes in a time.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum InvalidCron {
    #[error("it has {0} parts, not {n}", n = PARTS.len())]
    Parts(usize),
    #[error("the {name} is `*` or from {least} to {most}")]
    Range { name: &'static str, least: u32, most: u32 },
}

/// Checks a time as crontab(5) has it.
///
/// # Errors
/// The mistake in it.
pub(super) fn check_cron(text: &str) -> Result<(), InvalidCron> {
    let words: Vec<&str> = text.split_whitespace().collect();
    if words.len() != PARTS.len() {
        return Err(InvalidCron::Parts(words.len()));
    }
    for (part, word) in PARTS.iter().zip(words) {
        for item in word.split(',') {
            if !part.has(item) {
                let Part { name, least, most, .. } = *part;
                return Err(InvalidCron::Range { name, least, most });
            }
        }
    }
    Ok(())
}

impl Part {
    /// Returns whether an item is `*`, a number or a range of them, with a step or without.
    fn has(&self, item: &str) -> bool {
        let (range, step) = item.split_once('/').unwrap_or((item, "1"));
        if !step.parse::<u32>().is_ok_and(|step| (1..=self.most).contains(&step)) {
            return false;
        }
        match range.split_once('-') {
            _ if range == "*" => true,
            None => self.number(range).is_some(),
            Some((from, to)) => {
                self.number(from).zip(self.number(to)).is_some_and(|(from, to)| from <= to)
            }
        }
    }

    fn number(&self, text: &str) -> Option<u32> {
        let lower = text.to_ascii_lowercase();
        if let Some(at) = self.names.iter().position(|name| *name == lower) {
            return u32::try_from(at).ok().map(|at| at + self.least);
        }
        let is_plain = text.bytes().all(|byte| byte.is_ascii_digit());
        let number = text.parse().ok().filter(|_| is_plain)?;
        (self.least..=self.most).contains(&number).then_some(number)
    }
}

#[cfg(test)]
mod tests {
    use super::check_cron;

    #[test]
    fn times_of_crontab_are_times() {
        for good in ["0 0 * * *", "*/15 1-5,9 1 jan SUN", "0 0 31 12 7", "  5 4  * * mon-fri "] {
            assert_eq!(check_cron(good), Ok(()), "{good}");
        }
        for (bad, why) in [
            ("0 0 * *", "4 parts"),
            ("@daily", "1 parts"),
            ("60 0 * * *", "minute"),
            ("0 24 * * *", "hour"),
            ("0 0 0 * *", "day of the month"),
            ("0 0 * 13 *", "month"),
            ("0 0 * * sunday", "day of the week"),
            ("*/0 0 * * *", "minute"),
            ("5-1 0 * * *", "minute"),
            ("+1 0 * * *", "minute"),
            (", 0 * * *", "minute"),
        ] {
            let error = check_cron(bad).unwrap_err().to_string();
            assert!(error.contains(why), "{bad}: {error}");
        }
    }
}
