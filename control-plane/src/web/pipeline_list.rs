//! The list of pipelines: a form of filters, and pages of it, older and newer.
//!
//! Everything is in the address, so that a page can be kept and sent, and works without scripts. A page
//! begins behind a pipeline and not after a number of them, so it shows the same while others come.
//! The way back is the beginnings of the pages before it.

use askama::Template;
use axum::extract::{Query, State};
use axum::response::{IntoResponse, Response};
use jiff::civil::Date;
use jiff::tz::Offset;
use russet_protocol::admin::Pipeline;
use russet_text::encode_component;
use serde::Deserialize;

use super::errors::{ErrorPage, PageError, render_html};
use super::view;
use super::visit::Visit;
use crate::people::Reach;
use crate::state::App;
use crate::store::pipeline_pages::{Filter, OPEN_PIPELINES, OUTCOMES, Place, read_page};
use crate::store::projects;

/// Number of pipelines of a page.
const PAGE_LENGTH: u32 = 50;

/// The most pages that are remembered on the way back; before those comes the first.
const MAX_EARLIER: usize = 20;

/// The most projects that are offered for a choice.
const MAX_PROJECTS: usize = 500;

/// Sign between the beginnings of earlier pages in an address.
const BETWEEN: char = '~';

/// Query of the page, as the form sends it: empty fields filter nothing.
#[derive(Clone, Debug, Default, Deserialize)]
pub(super) struct Wanted {
    #[serde(default)]
    project: String,
    #[serde(default)]
    branch: String,
    #[serde(default)]
    author: String,
    #[serde(default)]
    state: String,
    /// First day, UTC.
    #[serde(default)]
    since: String,
    /// Last day, UTC.
    #[serde(default)]
    until: String,
    /// Beginning of the page.
    #[serde(default)]
    page: String,
    /// Beginnings of the pages before it; that of the first is not among them.
    #[serde(default)]
    earlier: String,
}

/// A field of the query that cannot be read. Its message is for people.
#[derive(Debug, thiserror::Error)]
pub(super) enum UnreadableFilter {
    #[error("`{0}` is not a day: write it as 2026-11-30")]
    Day(String),
    #[error("`{0}` is not a state: one of {states} is", states = states().join(", "))]
    State(String),
    #[error("the address of this page is not complete: begin at the first page")]
    Page,
}

/// Returns the states that may be asked for.
fn states() -> Vec<&'static str> {
    [&OPEN_PIPELINES[..], &OUTCOMES].concat()
}

impl Wanted {
    /// Returns the filter and the beginning of the page.
    fn read(&self) -> Result<(Filter, Option<Place>), UnreadableFilter> {
        let state = field(&self.state);
        if let Some(unknown) = state.filter(|state| !states().contains(state)) {
            return Err(UnreadableFilter::State(unknown.to_owned()));
        }
        let filter = Filter {
            project: field(&self.project).map(str::to_owned),
            branch: field(&self.branch).map(str::to_owned),
            author: field(&self.author).map(str::to_owned),
            state: state.map(str::to_owned),
            since_ms: field(&self.since).map(|day| start_of(day, 0)).transpose()?,
            until_ms: field(&self.until).map(|day| start_of(day, 1)).transpose()?,
            ..Filter::default()
        };
        let place = |text| Place::parse(text).ok_or(UnreadableFilter::Page);
        Ok((filter, field(&self.page).map(place).transpose()?))
    }

    /// Returns true where the list is not that of all pipelines.
    fn is_filtered(&self) -> bool {
        let Self { project, branch, author, state, since, until, .. } = self;
        [project, branch, author, state, since, until].into_iter().any(|text| field(text).is_some())
    }

    /// Returns the address of a page of the same list.
    fn address(&self, page: &str, earlier: &[&str]) -> String {
        let earlier = earlier.join(&BETWEEN.to_string());
        let fields = [
            ("project", &*self.project),
            ("branch", &self.branch),
            ("author", &self.author),
            ("state", &self.state),
            ("since", &self.since),
            ("until", &self.until),
            ("page", page),
            ("earlier", &earlier),
        ];
        let fields = fields.into_iter().filter_map(|(name, text)| Some((name, field(text)?)));
        let pairs: Vec<String> =
            fields.map(|(name, text)| format!("{name}={}", encode_component(text))).collect();
        match pairs.is_empty() {
            true => "/pipelines".to_owned(),
            false => format!("/pipelines?{}", pairs.join("&")),
        }
    }

    fn earlier_pages(&self) -> Vec<&str> {
        self.earlier.split(BETWEEN).filter(|text| Place::parse(text).is_some()).collect()
    }

    /// Returns the address of the page of older pipelines, which begins at this place.
    fn older(&self, next: &Place) -> String {
        let mut earlier = self.earlier_pages();
        earlier.extend(field(&self.page));
        let from = earlier.len().saturating_sub(MAX_EARLIER);
        self.address(&next.to_string(), earlier.get(from..).unwrap_or_default())
    }

    /// Returns the address of the page of newer pipelines; `None` on the first page.
    fn newer(&self) -> Option<String> {
        field(&self.page)?;
        let mut earlier = self.earlier_pages();
        let page = earlier.pop().unwrap_or_default();
        Some(self.address(page, &earlier))
    }
}

/// A field of the query without spaces around it; `None` where it is empty.
fn field(text: &str) -> Option<&str> {
    Some(text.trim()).filter(|text| !text.is_empty())
}

/// Returns the beginning, in milliseconds since 1970, of the day that is so many days after another.
fn start_of(day: &str, after: i64) -> Result<u64, UnreadableFilter> {
    let unreadable = || UnreadableFilter::Day(day.to_owned());
    let date: Date = day.parse().map_err(|_| unreadable())?;
    let date = date.checked_add(jiff::Span::new().days(after)).map_err(|_| unreadable())?;
    let time = Offset::UTC.to_timestamp(date.at(0, 0, 0, 0)).map_err(|_| unreadable())?;
    u64::try_from(time.as_millisecond()).map_err(|_| unreadable())
}

#[derive(Debug, Template)]
#[template(path = "pipelines.html")]
struct PipelinesPage {
    visit: Visit,
    wanted: Wanted,
    projects: Vec<String>,
    states: Vec<&'static str>,
    pipelines: Vec<Pipeline>,
    newer: Option<String>,
    older: Option<String>,
    now_ms: u64,
}

/// A page of the list.
pub(super) async fn pipelines_page(
    State(app): State<App>,
    visit: Visit,
    Query(wanted): Query<Wanted>,
) -> Result<Response, PageError> {
    let (mut filter, place) = match wanted.read() {
        Ok(read) => read,
        Err(error) => {
            let page = ErrorPage::unreadable(error.to_string(), "/pipelines".to_owned());
            return Ok(page.into_response());
        }
    };
    let mut conn = app.store.read().await?;
    let sight = visit.sight();
    let mut projects = projects::names(&mut conn).await?;
    projects.retain(|name| sight.covers_name(name));
    filter.within = (sight != Reach::Everywhere).then(|| projects.clone());
    let page = read_page(&mut conn, &filter, place, PAGE_LENGTH).await?;
    drop(conn);
    projects.truncate(MAX_PROJECTS);
    render_html(&PipelinesPage {
        visit,
        newer: wanted.newer(),
        older: page.next.as_ref().map(|next| wanted.older(next)),
        wanted,
        projects,
        states: states(),
        pipelines: page.items,
        now_ms: app.now_ms(),
    })
}

#[cfg(test)]
mod tests {
    use super::{MAX_EARLIER, Place, Wanted};

    fn place(number: u64) -> Place {
        Place { created_ms: number, id: format!("{number:x}") }
    }

    /// Returns the query of an address, as the page reads it.
    fn followed(address: &str) -> Wanted {
        let uri = format!("http://x{address}").parse().unwrap();
        axum::extract::Query::<Wanted>::try_from_uri(&uri).unwrap().0
    }

    #[test]
    fn one_comes_back_over_the_pages_that_one_came_by() {
        let first = Wanted { branch: "a&b =c".to_owned(), ..Wanted::default() };
        assert_eq!(first.newer(), None);
        let second = followed(&first.older(&place(3)));
        let third = followed(&second.older(&place(2)));
        assert_eq!((third.page.as_str(), third.branch.as_str()), ("2.2", "a&b =c"));
        let back = followed(&third.newer().unwrap());
        assert_eq!((back.page.as_str(), back.earlier.as_str()), ("3.3", ""));
        let back = followed(&back.newer().unwrap());
        assert_eq!((back.page.as_str(), back.newer()), ("", None));
    }

    #[test]
    fn the_way_back_is_bounded_and_then_leads_to_the_first_page() {
        let mut at = Wanted::default();
        for number in 0..200 {
            at = followed(&at.older(&place(number)));
        }
        assert!(at.older(&place(200)).len() < 1000);
        for _ in 0..=MAX_EARLIER {
            at = followed(&at.newer().unwrap());
        }
        assert_eq!(at.newer(), None);
    }

    #[test]
    fn days_are_those_of_utc_and_the_last_one_is_listed() {
        let days = Wanted {
            since: "2026-11-30".to_owned(),
            until: " 2026-11-30 ".to_owned(),
            ..Wanted::default()
        };
        let (filter, _) = days.read().unwrap();
        let day_ms = 86_400_000;
        assert_eq!(filter.until_ms.unwrap() - filter.since_ms.unwrap(), day_ms);
        assert_eq!(filter.since_ms.unwrap() % day_ms, 0);
        for wrong in ["30.11.2026", "2026-02-30", "1969-12-30", "9999-12-31", "x"] {
            let days = Wanted { until: wrong.to_owned(), ..Wanted::default() };
            assert!(days.read().is_err(), "{wrong}");
        }
        assert!(Wanted { state: "lost".to_owned(), ..Wanted::default() }.read().is_err());
        assert!(Wanted { page: "1'".to_owned(), ..Wanted::default() }.read().is_err());
    }
}
