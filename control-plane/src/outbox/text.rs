//! Messages as text, for people. Pure.

use russet_protocol::alerts::{AlertChanges, AlertItem};
use russet_text::one_line_within;

/// Most alerts that a text lists; a farm whose power failed has more.
const MAX_LISTED: usize = 20;

/// Most characters of a line.
const MAX_CHARS: usize = 300;

/// Returns the subject of a mail.
pub(super) fn subject(changes: &AlertChanges) -> String {
    let text = match (&changes.opened[..], &changes.resolved[..]) {
        ([], []) => "test message".to_owned(),
        ([one], []) => one.detail.clone(),
        ([], [one]) => format!("resolved: {}", one.detail),
        (opened, []) => format!("{} alerts", opened.len()),
        ([], resolved) => format!("{} alerts resolved", resolved.len()),
        (opened, resolved) => format!("{} alerts, {} resolved", opened.len(), resolved.len()),
    };
    format!("[russet] {}", one_line_within(&text, 120))
}

/// Returns the text of a message.
pub(super) fn body(changes: &AlertChanges) -> String {
    let mut lines = Vec::new();
    list(&mut lines, "", &changes.opened);
    list(&mut lines, "Resolved: ", &changes.resolved);
    if lines.is_empty() {
        lines.push("This is a test: alerts of Russet reach this target.".to_owned());
    }
    if let Some(server) = &changes.server {
        lines.push(server.clone());
    }
    lines.join("\n")
}

fn list(lines: &mut Vec<String>, before: &str, alerts: &[AlertItem]) {
    let listed = alerts.iter().take(MAX_LISTED);
    lines.extend(
        listed.map(|alert| format!("{before}{}", one_line_within(&alert.detail, MAX_CHARS))),
    );
    if alerts.len() > MAX_LISTED {
        lines.push(format!("{before}and {} more", alerts.len() - MAX_LISTED));
    }
}

/// Returns a text in which Slack finds no link and no mention
/// (api.slack.com/reference/surfaces/formatting, "Escaping text").
pub(super) fn escape_for_slack(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use russet_protocol::alerts::AlertKind;

    use super::*;

    fn alert(detail: &str) -> AlertItem {
        AlertItem {
            id: "1".to_owned(),
            kind: AlertKind::MachineLost,
            subject: "acme/mini/mini-7".to_owned(),
            detail: detail.to_owned(),
            opened_ms: 0,
            closed_ms: None,
        }
    }

    #[test]
    fn a_farm_without_power_is_one_short_message() {
        let opened = (0..40).map(|number| alert(&format!("mini-{number} is lost."))).collect();
        let changes = AlertChanges { opened, ..AlertChanges::default() };
        assert_eq!(subject(&changes), "[russet] 40 alerts");
        let text = body(&changes);
        assert_eq!(text.lines().count(), 21);
        assert!(text.ends_with("and 20 more"), "{text}");
    }

    #[test]
    fn text_of_machines_makes_no_lines_and_no_mentions() {
        let changes = AlertChanges {
            opened: vec![alert("mini\r\nBcc: all@example.com is <!channel>")],
            ..AlertChanges::default()
        };
        assert!(!subject(&changes).contains(['\r', '\n']));
        assert_eq!(body(&changes).lines().count(), 1);
        assert!(!escape_for_slack(&body(&changes)).contains('<'));
    }
}
