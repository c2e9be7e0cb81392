//! Calls that buttons make, and the pages afterwards. Pure.

use std::collections::BTreeMap;

use axum::http::Method;
use russet_text::{encode_component, encode_segment, parse_duration};
use serde_json::{Value, json};

use super::actions::Action;
use super::session::return_place;
use super::view::machine_url;
use crate::api::Call;

/// Contents of a form, by the names of its fields.
pub(super) type Fields = BTreeMap<String, String>;

/// Time that the button adds to a hold, in milliseconds.
const EXTENSION_MS: u64 = 30 * 60 * 1000;

/// A field of a form, without spaces around it; `None` where it is empty.
fn field<'a>(fields: &'a Fields, name: &str) -> Option<&'a str> {
    fields.get(name).map(|text| text.trim()).filter(|text| !text.is_empty())
}

/// Returns the call for an action; `by` is the name of the one who asks, which may be empty.
///
/// # Errors
///
/// Words about a field that cannot be read.
pub(super) fn call_for(action: Action, fields: &Fields, by: &str) -> Result<Call, String> {
    let id = encode_segment(field(fields, "id").unwrap_or_default());
    let call = |method, path: String| Call { method, path, body: Value::Null };
    // The name goes along where the call has a place for it.
    let named = |path: String| {
        let mark = if path.contains('?') { '&' } else { '?' };
        let by = Some(by).filter(|by| !by.is_empty());
        let by = by.map(|by| format!("{mark}as={}", encode_component(by)));
        call(Method::POST, path + &by.unwrap_or_default())
    };
    let runners =
        |path: &str, body| Call { body, ..call(Method::POST, format!("/api/v3/runner/{path}")) };
    Ok(match action {
        Action::CancelPipeline => named(format!("/api/v3/pipelines/{id}/cancel")),
        Action::RerunPipeline => named(format!("/api/v3/pipelines/{id}/rerun")),
        Action::RerunFailedOfPipeline => {
            named(format!("/api/v3/pipelines/{id}/rerun?from_failed=true"))
        }
        Action::PinPipeline => call(Method::PUT, format!("/api/v3/pipelines/{id}/pin")),
        Action::UnpinPipeline => call(Method::DELETE, format!("/api/v3/pipelines/{id}/pin")),
        Action::DeletePipeline => call(Method::DELETE, format!("/api/v3/pipelines/{id}")),
        Action::RerunWorkflow => named(format!("/api/v3/workflows/{id}/rerun")),
        Action::RerunFailedOfWorkflow => {
            named(format!("/api/v3/workflows/{id}/rerun?from_failed=true"))
        }
        Action::CancelJob => named(format!("/api/v3/jobs/{id}/cancel")),
        Action::RerunJob => named(format!("/api/v3/jobs/{id}/rerun")),
        Action::RerunFailedTests => named(format!("/api/v3/jobs/{id}/rerun?failed_tests=true")),
        Action::RerunWithSsh => named(format!("/api/v3/jobs/{id}/ssh/rerun")),
        Action::ExtendSsh => Call {
            body: json!({"by_ms": EXTENSION_MS}),
            ..named(format!("/api/v3/jobs/{id}/ssh/extend"))
        },
        Action::EndSsh => named(format!("/api/v3/jobs/{id}/ssh/end")),
        Action::DeleteArtifact => {
            // As one segment: what it says is the name of an artifact and nothing else.
            let path = encode_segment(field(fields, "path").unwrap_or_default());
            call(Method::DELETE, format!("/api/v3/jobs/{id}/artifacts/{path}"))
        }
        Action::ApproveJob => named(format!("/api/v3/jobs/{id}/approve")),
        Action::DenyJob => named(format!("/api/v3/jobs/{id}/deny")),
        Action::PauseRunner => runners("pause", pause_body("pause", fields, by)?),
        Action::DrainRunner => runners("pause", pause_body("drain", fields, by)?),
        Action::ResumeRunner => runners("resume", runner_body(fields)),
        Action::RemoveRunner => runners("remove", runner_body(fields)),
        Action::RenameRunner => {
            runners("rename", json!({"runner": field(fields, "runner"), "to": field(fields, "to")}))
        }
    })
}

fn runner_body(fields: &Fields) -> Value {
    json!({"runner": field(fields, "runner"), "resource_class": field(fields, "class")})
}

fn pause_body(kind: &str, fields: &Fields, by: &str) -> Result<Value, String> {
    let seconds = match field(fields, "for") {
        Some(text) => Some(parse_duration(text).map_err(|error| error.to_string())?.as_secs()),
        None => None,
    };
    let mut body = runner_body(fields);
    body["kind"] = json!(kind);
    body["reason"] = json!(field(fields, "reason"));
    body["by"] = json!(Some(by).filter(|by| !by.is_empty()));
    body["for_s"] = json!(seconds);
    Ok(body)
}

/// Returns the page to go to afterwards: the one that the button was on, unless that is gone.
pub(super) fn next_page(action: Action, fields: &Fields) -> String {
    let back = return_place(fields.get("back").map(String::as_str));
    let was_on_its_page = back.starts_with("/runners/");
    match action {
        Action::DeletePipeline => "/pipelines".to_owned(),
        Action::RemoveRunner if was_on_its_page => "/runners".to_owned(),
        Action::RenameRunner if was_on_its_page => {
            field(fields, "to").map_or_else(|| back.to_owned(), machine_url)
        }
        _ => back.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::actions::{ALL, Action};
    use super::{Fields, call_for, next_page};

    fn fields(pairs: &[(&str, &str)]) -> Fields {
        pairs.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect()
    }

    #[test]
    fn what_a_form_says_cannot_lead_to_another_call() {
        for action in ALL {
            let usual = call_for(action, &fields(&[("id", "x")]), "").unwrap();
            for id in ["../../runner/token", "a/../b", "a?b=c", "a#b", "\r\n", "..", ""] {
                let sent = fields(&[("id", id), ("back", "https://a.example")]);
                let call = call_for(action, &sent, "").unwrap();
                assert_eq!(call.method, usual.method);
                let (usual, path) = (usual.path.split('/'), call.path.split('/'));
                let differ: Vec<_> =
                    usual.zip(path).enumerate().filter(|(_, (a, b))| a != b).collect();
                assert!(differ.iter().all(|(at, _)| *at == 4), "{}", call.path);
                let plain = |c: char| c.is_ascii_alphanumeric() || "%.-_~".contains(c);
                let segment = differ.first().map_or("", |(_, (_, segment))| *segment);
                let segment = segment.split('?').next().unwrap();
                assert!(segment.chars().all(plain) && segment != "..", "{}", call.path);
                assert!(next_page(action, &sent).starts_with("/"));
            }
        }
    }

    #[test]
    fn the_name_of_the_one_who_asks_goes_along() {
        let sent = fields(&[("id", "7"), ("runner", "mini-1"), ("class", "a/b"), ("for", "2h")]);
        let path = |action| call_for(action, &sent, "Ana & Bo").unwrap().path;
        assert_eq!(path(Action::ApproveJob), "/api/v3/jobs/7/approve?as=Ana%20%26%20Bo");
        let again = "/api/v3/workflows/7/rerun?from_failed=true&as=Ana%20%26%20Bo";
        assert_eq!(path(Action::RerunFailedOfWorkflow), again);
        let pause = call_for(Action::PauseRunner, &sent, "Ana").unwrap().body;
        assert_eq!(
            (&pause["by"], &pause["for_s"], &pause["kind"]),
            (&"Ana".into(), &7200.into(), &"pause".into())
        );
        let wrong = fields(&[("runner", "mini-1"), ("for", "soon")]);
        assert!(call_for(Action::PauseRunner, &wrong, "").is_err());
    }
}
