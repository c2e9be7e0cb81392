//! The page of the audit log, for administrators.

use askama::Template;
use axum::extract::{Query, State};
use axum::response::Response;
use russet_protocol::people::{AuditItem, Permission};
use serde::Deserialize;

use super::errors::{PageError, render_html};
use super::visit::Visit;
use crate::people::{Needs, Reach, decide, events_within};
use crate::state::App;
use crate::store::audit_events::{self, Filter};
use crate::text::rfc3339;

/// Changes of a page.
const PAGE: u32 = 100;

#[derive(Debug, Template)]
#[template(path = "audit.html")]
struct AuditPage {
    who: String,
    namespace: String,
    target: String,
    items: Vec<AuditItem>,
    /// Id of the last, where there may be more.
    more: Option<String>,
}

impl AuditPage {
    fn time(&self, item: &AuditItem) -> String {
        rfc3339(i64::try_from(item.at_ms).unwrap_or(i64::MAX))
    }

    fn change(&self, item: &AuditItem) -> String {
        let text = |value: &Option<serde_json::Value>| value.as_ref().map(ToString::to_string);
        match (text(&item.before), text(&item.after)) {
            (Some(before), Some(after)) => format!("{before} → {after}"),
            (Some(before), None) => format!("{before} → removed"),
            (None, Some(after)) => after,
            (None, None) => String::new(),
        }
    }
}

/// Changes that are wanted.
#[derive(Debug, Deserialize)]
pub(super) struct Wanted {
    who: Option<String>,
    target: Option<String>,
    namespace: Option<String>,
    before: Option<String>,
}

pub(super) async fn audit_page(
    State(app): State<App>,
    visit: Visit,
    Query(wanted): Query<Wanted>,
) -> Result<Response, PageError> {
    decide(visit.session.rights(), Needs::Anywhere(Permission::Admin))
        .map_err(PageError::Denied)?;
    let given = |text: &Option<String>| text.clone().filter(|text| !text.trim().is_empty());
    let filter = Filter {
        who: given(&wanted.who),
        operation: None,
        target: given(&wanted.target),
        within: events_within(
            Reach::of(visit.session.rights(), Permission::Admin),
            given(&wanted.namespace),
        ),
        since_ms: 0,
        until_ms: i64::MAX,
        before: wanted.before,
    };
    let namespace = given(&wanted.namespace).unwrap_or_default();
    let items = audit_events::list(&mut app.store.read().await?, &filter, PAGE).await?;
    let is_full = items.len() >= PAGE as usize;
    let more = items.last().filter(|_| is_full).map(|item| item.id.clone());
    render_html(&AuditPage {
        who: filter.who.unwrap_or_default(),
        namespace,
        target: filter.target.unwrap_or_default(),
        items,
        more,
    })
}
