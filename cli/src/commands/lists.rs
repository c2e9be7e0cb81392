//! `russet pipeline list`, `russet workflow list`, `russet job list`.

mod fetch;
mod rows;

use std::time::Duration;

use super::OutputArgs;
use crate::client::{ConnectionArgs, Filter};
use crate::error::Result;
use crate::exit::Exit;
use crate::render::{self, Format, numbers, table::Table};

use self::fetch::{Length, fetch_list};
use self::rows::Row;

pub(crate) use self::rows::pipeline_state;

/// Order of a list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
enum Sort {
    /// The newest first
    #[default]
    Newest,
    /// The oldest first
    Oldest,
    /// Longest duration first
    Duration,
}

/// Which pipelines, or parts of them, are listed.
#[derive(clap::Args, Debug)]
pub(crate) struct ListArgs {
    /// Only those of this project
    #[arg(long)]
    project: Option<String>,
    /// Only those of this branch
    #[arg(long)]
    branch: Option<String>,
    /// Only those that this one submitted
    #[arg(long, value_name = "NAME")]
    author: Option<String>,
    /// Only those in this state: queued, running, on_hold, or an outcome such as failed
    #[arg(long)]
    state: Option<String>,
    /// Only those submitted from this time on: an age such as 2h or 7d, or 2026-11-30T08:00:00Z
    #[arg(long, value_name = "TIME", value_parser = parse_moment)]
    since: Option<u64>,
    /// Only those submitted before this time
    #[arg(long, value_name = "TIME", value_parser = parse_moment)]
    until: Option<u64>,
    /// Order of the list. `duration` reads all that match, and refuses more than 10,000
    #[arg(long, value_enum, default_value_t, value_name = "ORDER")]
    sort: Sort,
    /// At most so many
    #[arg(long, value_name = "NUMBER", default_value_t = 50,
          value_parser = clap::value_parser!(u32).range(1..=10_000))]
    limit: u32,
    /// All of them
    #[arg(long, conflicts_with = "limit")]
    all: bool,
    /// Go on where an earlier list ended
    #[arg(long, value_name = "TOKEN")]
    page_token: Option<String>,
    #[command(flatten)]
    output: OutputArgs,
    #[command(flatten)]
    connection: ConnectionArgs,
}

/// Reads a moment in milliseconds since 1970: an age, or a time of RFC 3339.
fn parse_moment(text: &str) -> std::result::Result<u64, String> {
    if let Ok(age) = russet_text::parse_duration(text) {
        return Ok(before_now(age));
    }
    let moment: jiff::Timestamp = text.parse().map_err(|_| {
        "an age such as 2h, or a time such as 2026-11-30T08:00:00Z, is needed".to_owned()
    })?;
    u64::try_from(moment.as_millisecond()).map_err(|_| "it is before 1970".to_owned())
}

fn before_now(age: Duration) -> u64 {
    let age_ms = u64::try_from(age.as_millis()).unwrap_or(u64::MAX);
    numbers::now_ms().saturating_sub(age_ms)
}

/// Prints a list of pipelines, of workflows or of jobs.
pub(crate) async fn print_list<T: Row>(args: ListArgs) -> Result<Exit> {
    let client = args.connection.connect()?;
    let filter = Filter {
        project: args.project,
        branch: args.branch,
        author: args.author,
        state: args.state,
        since_ms: args.since,
        until_ms: args.until,
        is_oldest_first: args.sort == Sort::Oldest,
    };
    let length = match (args.sort, args.all) {
        (Sort::Duration, is_all) => Length::Longest(if is_all { None } else { Some(args.limit) }),
        (_, true) => Length::All,
        (_, false) => Length::First(args.limit),
    };
    let list = fetch_list::<T>(&client, &filter, length, args.page_token).await?;
    match args.output.output {
        Format::Json => render::print_json(&list.items)?,
        Format::Text => {
            let mut table = Table::new(&T::HEADINGS);
            list.items.iter().for_each(|item| table.row(item.cells(numbers::now_ms())));
            render::print_text(&table.render(T::NONE))?;
        }
    }
    if let Some(more) = list.more {
        render::print_note(more);
    }
    Ok(Exit::Success)
}

#[cfg(test)]
mod tests {
    use super::parse_moment;
    use crate::render::numbers::now_ms;

    #[test]
    fn a_moment_is_an_age_or_a_time() {
        assert_eq!(parse_moment("1970-01-01T00:00:01Z"), Ok(1000));
        let hour_ago = parse_moment("1h").unwrap();
        assert!(hour_ago <= now_ms() - 3_600_000 && hour_ago > now_ms() - 3_700_000);
        for bad in ["yesterday", "", "1969-01-01T00:00:00Z"] {
            assert!(parse_moment(bad).is_err(), "{bad}");
        }
    }
}
