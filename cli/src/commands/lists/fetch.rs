//! Reads a list over its pages, as much of it as is wanted.

use crate::client::{Client, Filter};
use crate::error::{CliError, Result};
use crate::exit::Exit;

use super::rows::Row;

/// Most elements that are sorted here. The control plane cannot: no index has durations, and sorted
/// within a page alone they would be in a wrong order.
const MAX_SORTED: usize = 10_000;

/// Part of a list that is wanted.
#[derive(Clone, Copy, Debug)]
pub(super) enum Length {
    /// All.
    All,
    /// The first so many.
    First(u32),
    /// This many with the longest duration, or all, in that order.
    Longest(Option<u32>),
}

/// Part of a list.
#[derive(Debug)]
pub(super) struct List<T> {
    pub(super) items: Vec<T>,
    /// Sentence that says how to see more; none: this is all.
    pub(super) more: Option<String>,
}

/// Reads a list.
///
/// # Errors
/// The control plane refuses it, or more match than can be sorted.
pub(super) async fn fetch_list<T: Row>(
    client: &Client,
    filter: &Filter,
    length: Length,
    token: Option<String>,
) -> Result<List<T>> {
    let most = match length {
        Length::All => usize::MAX,
        Length::First(most) => usize::try_from(most).unwrap_or(usize::MAX),
        Length::Longest(_) => MAX_SORTED,
    };
    let (mut items, mut token) = (Vec::new(), token);
    loop {
        let missing = u32::try_from(most - items.len()).unwrap_or(u32::MAX);
        let page = client.list_page::<T>(filter, missing, token.as_deref()).await?;
        items.extend(page.items);
        token = page.next_page_token;
        if token.is_none() || items.len() >= most {
            break;
        }
    }
    match length {
        Length::Longest(_) if token.is_some() => Err(too_many()),
        Length::Longest(most) => Ok(longest(items, most)),
        _ => {
            let more =
                token.map(|token| format!("There are more: --page-token {token} (or --all)"));
            Ok(List { items, more })
        }
    }
}

fn too_many() -> CliError {
    let message = format!("more than {MAX_SORTED} match, too many to sort by duration");
    CliError::new(Exit::Usage, message)
        .hint("narrow the list: --project, --branch, --state, --since, --until")
}

/// Sorts by duration, the longest first; what has not begun is last.
fn longest<T: Row>(mut items: Vec<T>, most: Option<u32>) -> List<T> {
    items.sort_by_cached_key(|item| std::cmp::Reverse(item.duration_ms()));
    let count = items.len();
    let most = most.and_then(|most| usize::try_from(most).ok()).unwrap_or(count);
    items.truncate(most);
    let more = (count > most).then(|| format!("These are {most} of {count}; --all lists the rest"));
    List { items, more }
}
