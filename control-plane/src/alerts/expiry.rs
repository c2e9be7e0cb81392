//! Runner tokens that are about to expire. Pure.
//!
//! Each is told twice, 14 days and a day before its end, and stays on the overview after that until
//! it is revoked: a token that expired is refused, and its machine takes no tasks.

use russet_protocol::alerts::AlertKind;
use russet_text::one_line_within;

use super::decide::Key;
use crate::store::tokens::ExpiringToken;
use crate::text::rfc3339;

const DAY_MS: i64 = 86_400_000;

/// Kinds of alerts, each with the time before a token's end from which on it is open, in milliseconds.
const WARNINGS: [(AlertKind, i64); 2] =
    [(AlertKind::TokenExpires, 14 * DAY_MS), (AlertKind::TokenExpiresInADay, DAY_MS)];

/// Most characters of a nickname.
const MAX_CHARS: usize = 80;

/// Returns the time before which a token has to end for an alert to be open.
pub(super) fn horizon_ms(now_ms: i64) -> i64 {
    now_ms.saturating_add(14 * DAY_MS)
}

/// Returns the alerts of a token. One that was made to last no longer than a warning's time has no such
/// warning: it would be there from the first moment.
pub(super) fn token_alerts(
    token: &ExpiringToken,
    now_ms: i64,
) -> impl Iterator<Item = (Key, String)> + '_ {
    let (left_ms, life_ms) = (token.expires_ms - now_ms, token.expires_ms - token.created_ms);
    let is_open =
        move |(_, before_ms): &(AlertKind, i64)| life_ms > *before_ms && left_ms <= *before_ms;
    let subject = format!("{}/{}", token.class, token.id);
    WARNINGS
        .into_iter()
        .filter(is_open)
        .map(move |(kind, _)| ((kind, subject.clone()), describe_token(token)))
}

fn describe_token(token: &ExpiringToken) -> String {
    let (class, at) = (&token.class, rfc3339(token.expires_ms));
    let nickname = one_line_within(&token.nickname, MAX_CHARS);
    let name = if nickname.is_empty() { String::new() } else { format!(" `{nickname}`") };
    format!(
        "the token{name} of {class} expires at {at}: `russet token create {class}` makes another, and \
         `russet token delete {}` ends this alert",
        token.id
    )
}

#[cfg(test)]
mod tests {
    use russet_protocol::alerts::AlertKind;

    use super::{DAY_MS, token_alerts};
    use crate::store::tokens::ExpiringToken;

    fn kinds(life_days: i64, left_ms: i64) -> Vec<AlertKind> {
        let token = ExpiringToken {
            id: "t1".into(),
            class: "acme/mini".to_owned(),
            nickname: "mini-7\u{1b}".to_owned(),
            created_ms: 0,
            expires_ms: life_days * DAY_MS,
        };
        let now_ms = token.expires_ms - left_ms;
        let alerts: Vec<_> = token_alerts(&token, now_ms).collect();
        assert!(alerts.iter().all(|(_, detail)| !detail.contains('\u{1b}')));
        alerts.into_iter().map(|((kind, _), _)| kind).collect()
    }

    #[test]
    fn a_token_is_told_of_fourteen_days_and_a_day_before_its_end_and_not_from_its_beginning() {
        let (soon, day) = (AlertKind::TokenExpires, AlertKind::TokenExpiresInADay);
        assert_eq!(kinds(90, 14 * DAY_MS + 1), []);
        assert_eq!(kinds(90, 14 * DAY_MS), [soon]);
        assert_eq!(kinds(90, DAY_MS), [soon, day]);
        assert_eq!(kinds(90, -DAY_MS), [soon, day], "an expired one stays");
        assert_eq!(kinds(14, 14 * DAY_MS), []);
        assert_eq!(kinds(14, DAY_MS), [day]);
        assert_eq!(kinds(1, DAY_MS), []);
    }
}
