//! `russet pipeline list`.

use std::time::Duration;

use russet_protocol::admin::Pipeline;
use russet_protocol::outcome::{Outcome, Phase};

use super::OutputArgs;
use crate::client::{ConnectionArgs, PipelineFilter};
use crate::error::Result;
use crate::exit::Exit;
use crate::render::{self, Format, numbers, table::Table};

/// Which pipelines are listed.
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
    /// Only those from this time on: an age such as 2h or 7d, or 2026-11-30T08:00:00Z
    #[arg(long, value_name = "TIME", value_parser = parse_moment)]
    since: Option<u64>,
    /// Only those before this time
    #[arg(long, value_name = "TIME", value_parser = parse_moment)]
    until: Option<u64>,
    /// At most so many
    #[arg(long, value_name = "NUMBER", default_value_t = 50,
          value_parser = clap::value_parser!(u32).range(1..=10_000))]
    limit: u32,
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

/// Runs the command.
pub(crate) async fn list(args: ListArgs) -> Result<Exit> {
    let client = args.connection.connect()?;
    let filter = PipelineFilter {
        project: args.project,
        branch: args.branch,
        author: args.author,
        state: args.state,
        since_ms: args.since,
        until_ms: args.until,
    };
    let most = usize::try_from(args.limit).unwrap_or(usize::MAX);
    let (mut items, mut token) = (Vec::new(), args.page_token);
    loop {
        let missing = u32::try_from(most - items.len()).unwrap_or(u32::MAX);
        let page = client.pipelines(&filter, missing, token.as_deref()).await?;
        items.extend(page.items);
        token = page.next_page_token;
        if token.is_none() || items.len() >= most {
            break;
        }
    }
    match args.output.output {
        Format::Json => render::print_json(&items)?,
        Format::Text => render::print_text(&pipelines_table(items))?,
    }
    if let Some(token) = token {
        render::print_note(format_args!("There are more: --page-token {token}"));
    }
    Ok(Exit::Success)
}

/// The state of a whole pipeline in one word: that of the last runs of its workflows.
pub(super) fn pipeline_state(pipeline: &Pipeline) -> &'static str {
    let phases = || pipeline.current_workflows().map(|workflow| workflow.phase);
    if phases().any(|phase| phase == Phase::Running) {
        return Phase::Running.as_str();
    }
    let mut jobs = pipeline.current_workflows().flat_map(|workflow| &workflow.jobs);
    if jobs.any(|job| job.phase == Phase::OnHold) {
        return Phase::OnHold.as_str();
    }
    if let Some(waits) = phases().find(|phase| *phase != Phase::Ended) {
        return waits.as_str();
    }
    let mut outcomes = pipeline.current_workflows().filter_map(|workflow| workflow.outcome);
    outcomes.find(|outcome| !outcome.is_success()).unwrap_or(Outcome::Success).as_str()
}

fn pipelines_table(items: Vec<Pipeline>) -> String {
    let mut table = Table::new(&["ID", "PROJECT", "NUMBER", "BRANCH", "STATE", "SUBMITTED"]);
    for item in items {
        let state = pipeline_state(&item).to_owned();
        table.row([
            item.id.to_string(),
            item.project,
            item.number.to_string(),
            item.branch.unwrap_or_default(),
            state,
            numbers::local_time(item.created_ms),
        ]);
    }
    table.render("No pipelines.")
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
