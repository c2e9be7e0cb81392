//! Warnings before the end of a certificate. Pure.
//!
//! The first comes 30 days before, the second 7 days before; both stay until the certificate is
//! renewed. One that was made for a short time is renewed late by design (ACME clients: when a
//! third of its time is left), so it has its warnings when a quarter and an eighth are left.

const DAY_S: i64 = 86_400;

/// Warning about the end of a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Warning {
    /// It ends within 30 days.
    Soon,
    /// It ends within a week, or has ended.
    VerySoon,
}

/// Returns the warnings that are due, for a certificate's first and last second since 1970.
pub(crate) fn due_warnings(
    (not_before_s, not_after_s): (i64, i64),
    now_s: i64,
) -> impl Iterator<Item = Warning> {
    let life_s = not_after_s.saturating_sub(not_before_s).max(0);
    let left_s = not_after_s.saturating_sub(now_s);
    let due = [
        (Warning::Soon, (30 * DAY_S).min(life_s / 4)),
        (Warning::VerySoon, (7 * DAY_S).min(life_s / 8)),
    ];
    due.into_iter().filter(move |(_, before_s)| left_s <= *before_s).map(|(warning, _)| warning)
}

#[cfg(test)]
mod tests {
    use super::{DAY_S, Warning, due_warnings};

    fn due(life_days: i64, left_s: i64) -> Vec<Warning> {
        let end_s = life_days * DAY_S;
        due_warnings((0, end_s), end_s - left_s).collect()
    }

    #[test]
    fn a_certificate_is_told_of_thirty_and_seven_days_before_its_end() {
        let (soon, very) = (Warning::Soon, Warning::VerySoon);
        assert_eq!(due(365, 30 * DAY_S + 1), []);
        assert_eq!(due(365, 30 * DAY_S), [soon]);
        assert_eq!(due(365, 7 * DAY_S), [soon, very]);
        assert_eq!(due(365, -DAY_S), [soon, very], "an expired one stays");
    }

    #[test]
    fn one_that_a_machine_renews_in_time_is_not_told_of() {
        assert_eq!(due(90, 30 * DAY_S), [], "Let's Encrypt's are renewed at this time");
        assert_eq!(due(90, 22 * DAY_S), [Warning::Soon]);
        assert_eq!(due(6, 2 * DAY_S), []);
        assert_eq!(due(6, DAY_S), [Warning::Soon]);
        assert_eq!(due(0, 1), [], "not from its beginning");
    }
}
