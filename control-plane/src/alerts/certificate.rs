//! The server's own certificate: about to expire, or not renewed. Pure.
//!
//! These are conditions of one server. Where several use the database, each looks after its own,
//! and after those of servers that are gone.

use std::collections::BTreeSet;

use russet_protocol::alerts::AlertKind;
use russet_text::one_line_within;

use super::decide::Key;
use crate::text::rfc3339;
use crate::tls::{Standing, Warning, due_warnings};

/// Most characters of a reason.
const MAX_CHARS: usize = 200;

/// Returns the alerts about the certificate of the server with this place.
pub(super) fn certificate_alerts(
    standing: &Standing,
    place: &str,
    now_ms: i64,
) -> Vec<(Key, String)> {
    let pair = &standing.pair;
    let expires = rfc3339(pair.not_after_s.saturating_mul(1000));
    let has_expired = pair.not_after_s < now_ms / 1000;
    let verb = if has_expired { "expired" } else { "expires" };
    let name = pair.names.first().map(|name| format!(" ({})", one_line_within(name, MAX_CHARS)));
    let name = name.unwrap_or_default();
    let expiring =
        due_warnings((pair.not_before_s, pair.not_after_s), now_ms / 1000).map(|warning| {
            let kind = match warning {
                Warning::Soon => AlertKind::CertificateExpires,
                Warning::VerySoon => AlertKind::CertificateExpiresInAWeek,
            };
            let detail = format!(
                "the certificate of {place}{name} {verb} at {expires}: renew its files; the server \
                 takes them up by itself"
            );
            ((kind, place.to_owned()), detail)
        });
    let fault = standing.fault.as_deref().map(|fault| {
        let fault = one_line_within(fault, MAX_CHARS);
        let detail = format!("{place} keeps its certificate from before: {fault}");
        ((AlertKind::CertificateNotRenewed, place.to_owned()), detail)
    });
    expiring.chain(fault).collect()
}

/// Leaves out the alerts that other servers look after.
pub(super) fn own_keys(open: &mut BTreeSet<Key>, other_places: &[String]) {
    open.retain(|(kind, subject)| !(kind.is_of_server() && other_places.contains(subject)));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_closes_its_own_alerts_and_those_of_servers_that_are_gone() {
        let key = |kind, subject: &str| (kind, subject.to_owned());
        let mut open = BTreeSet::from([
            key(AlertKind::CertificateExpires, "own:8080"),
            key(AlertKind::CertificateExpires, "other:8080"),
            key(AlertKind::CertificateNotRenewed, "gone:8080"),
            key(AlertKind::MachineLost, "other:8080"),
        ]);
        own_keys(&mut open, &["other:8080".to_owned()]);
        assert_eq!(
            open,
            BTreeSet::from([
                key(AlertKind::CertificateExpires, "own:8080"),
                key(AlertKind::CertificateNotRenewed, "gone:8080"),
                key(AlertKind::MachineLost, "other:8080"),
            ])
        );
    }
}
