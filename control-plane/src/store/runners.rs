//! Table `runners`: who claims. A claim is the only registration there is.

use russet_protocol::admin::{RunnerItem, RunnerStatus};
use russet_protocol::machine::{MachineReport, MachineState};
use russet_protocol::resource_class::ResourceClass;
use russet_protocol::runner::{ClaimRequest, HeldSlot};
use russet_protocol::ssh::SshOffer;
use russet_protocol::xcode::Xcode;

use super::abilities::{SshLevel, offer_from_row};
use super::conn::Link;
use super::rows::{json_maybe, parse, to_json};
use super::sql::{Lock, Row, query};
use super::{Conn, StoreError, WriteTx};
use crate::claimants::{Claimant, Claimants};
use crate::machines::bounded_report;
use crate::text::{cut_text, rfc3339};

/// The most that is kept of each thing that a runner says about itself, in bytes.
const ABOUT_LIMIT: usize = 255;

/// The most that is kept of how far an update is, in bytes.
const UPDATE_LIMIT: usize = 4096;

/// The most slots that are listed of a runner, and the most bytes of each reason.
const MAX_HELD_SLOTS: usize = 64;
const REASON_LIMIT: usize = 1024;

/// The most Xcodes of a runner that are kept, the most names of each, and the most bytes of a text.
const MAX_XCODES: usize = 64;
const MAX_NAMES: usize = 8;
const MAX_NAME_BYTES: usize = 128;

/// The most simulator runtimes, and reasons to take no tasks, that are kept of a runner.
const MAX_RUNTIMES: usize = 64;
const MAX_HOLDS: usize = 8;

/// The most bytes of a machine's state.
const MAX_MACHINE_BYTES: usize = 32 * 1024;

/// Time after which a runner of a single task leaves the lists, in milliseconds.
const SINGLE_TASK_KEPT_MS: i64 = 24 * 3600 * 1000;

/// Returns the moment before which the last claim of a runner of a single task is too long ago to
/// be listed, in milliseconds since 1970.
pub(crate) fn expired_ms(now_ms: i64) -> i64 {
    now_ms - SINGLE_TASK_KEPT_MS
}

/// A runner and the last time at which it was heard of: class, name, milliseconds since 1970.
pub(crate) type Sighting = (String, String, i64);

/// What is kept of a runner.
#[derive(Clone, Debug)]
pub(crate) struct RunnerRow {
    /// It as it is told, without what follows from other tables and from the time.
    pub(crate) item: RunnerItem,
    /// Last time at which a server heard of it, in milliseconds since 1970.
    pub(crate) last_ms: i64,
    /// Time of its goodbye, if it did not come back.
    pub(crate) left_ms: Option<i64>,
}

fn from_row(row: &Row, now_ms: i64) -> Result<RunnerRow, StoreError> {
    let item = item_from_row(row, now_ms)?;
    Ok(RunnerRow { item, last_ms: row.try_get("last_ms")?, left_ms: row.try_get("left_ms")? })
}

fn item_from_row(row: &Row, now_ms: i64) -> Result<RunnerItem, StoreError> {
    let claimants: Option<Claimants> = json_maybe(row, "claimants")?;
    let rival = claimants.as_ref().and_then(|claimants| claimants.rival(now_ms));
    Ok(RunnerItem {
        resource_class: parse(row, "class")?,
        hostname: row.try_get("hostname")?,
        name: row.try_get("name")?,
        first_connected: rfc3339(row.try_get("first_ms")?),
        last_connected: rfc3339(row.try_get("last_ms")?),
        last_used: row.try_get::<Option<i64>>("last_used_ms")?.map(rfc3339),
        version: row.try_get("version")?,
        ip: row.try_get("ip")?,
        update: json_maybe(row, "update_state")?,
        status: RunnerStatus::Idle,
        rival: rival.map(|rival| rival.host.clone()),
        held_slots: json_maybe(row, "held_slots")?.unwrap_or_default(),
        xcodes: json_maybe(row, "xcodes")?,
        ssh: offer_from_row(row)?,
        runtimes: json_maybe(row, "runtimes")?.unwrap_or_default(),
        holds: json_maybe(row, "holds")?.unwrap_or_default(),
        state: MachineState::Unknown,
        reason: None,
        tasks: Vec::new(),
        pause: None,
        machine: json_maybe::<MachineReport>(row, "machine")?,
    })
}

/// Returns all runners that are listed.
pub(crate) async fn list(conn: &mut Conn, now_ms: i64) -> Result<Vec<RunnerRow>, StoreError> {
    let rows =
        query("SELECT * FROM runners WHERE single_task = 0 OR last_ms >= $1 ORDER BY class, name")
            .bind(expired_ms(now_ms))
            .fetch_all(&mut *conn)
            .await?;
    rows.iter().map(|row| from_row(row, now_ms)).collect()
}

/// Notes times at which runners were heard of; one that is known to be later stays.
pub(crate) async fn note_seen(tx: &mut WriteTx, seen: &[Sighting]) -> Result<(), StoreError> {
    let text = match tx.link {
        Link::SqliteReader(_) | Link::SqliteWriter(_) => super::sqlite::NOTE_SEEN,
        Link::PostgresReader(_) | Link::PostgresTx(_) => super::postgres::NOTE_SEEN,
    };
    query(text).bind(to_json(&seen)?).execute(tx).await?;
    Ok(())
}

/// Notes that a runner claims, and forgets runners of a single task that are long gone. Returns a
/// warning where another agent claims under the same name.
pub(crate) async fn touch(
    tx: &mut WriteTx,
    class: &ResourceClass,
    runner: &ClaimRequest,
    now_ms: i64,
) -> Result<Option<String>, StoreError> {
    query("DELETE FROM runners WHERE single_task = 1 AND last_ms < $1")
        .bind(expired_ms(now_ms))
        .execute(tx)
        .await?;
    // Again, and in the transaction: people may have renamed it since the call came in.
    let given = super::runner_names::given_name(tx, class, &runner.name).await?;
    let name = given.as_deref().unwrap_or(&runner.name);
    let earlier = claimants(tx, class, name).await?;
    let claimants = Claimants::after(earlier.clone(), claimant(runner, now_ms));
    if claimants.is_news(earlier.as_ref()) {
        let hosts = (&runner.hostname, claimants.rival(now_ms).map(|rival| &rival.host));
        tracing::warn!(%class, runner = runner.name, ?hosts, "two agents claim under one name");
    }
    let facts = Facts::of(runner)?;
    query(
        "INSERT INTO runners (class, name, hostname, ip, version, first_ms, last_ms, \
         update_state, single_task, claimants, held_slots, xcodes, runtimes, holds, machine, left_ms, ssh) \
         VALUES ($1, $2, $3, $4, $5, $6, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16) \
         ON CONFLICT (class, name) DO UPDATE SET hostname = excluded.hostname, ip = excluded.ip, \
         version = excluded.version, last_ms = excluded.last_ms, \
         update_state = excluded.update_state, single_task = excluded.single_task, \
         claimants = excluded.claimants, held_slots = excluded.held_slots, \
         xcodes = excluded.xcodes, runtimes = excluded.runtimes, holds = excluded.holds, \
         machine = excluded.machine, left_ms = excluded.left_ms, ssh = excluded.ssh",
    )
    .bind(class.as_str())
    .bind(name)
    .bind(facts.hostname)
    .bind(facts.ip)
    .bind(facts.version)
    .bind(now_ms)
    .bind(facts.update)
    .bind(facts.single_task)
    .bind(to_json(&claimants)?)
    .bind(facts.held_slots)
    .bind(facts.xcodes)
    .bind(facts.runtimes)
    .bind(facts.holds)
    .bind(facts.machine)
    .bind(facts.is_leaving.then_some(now_ms))
    .bind(SshLevel::of_offer(facts.ssh) as i64)
    .execute(tx)
    .await?;
    let warning = |rival: &Claimant| {
        format!(
            "another agent, on `{}`, claims under the name `{}` too: give each a name of its own",
            rival.host, runner.name
        )
    };
    Ok(claimants.rival(now_ms).map(warning))
}

/// Statements of a runner about itself, as they are stored.
#[derive(Debug, PartialEq, Eq)]
struct Facts {
    hostname: String,
    ip: String,
    version: String,
    update: Option<String>,
    single_task: bool,
    held_slots: Option<String>,
    xcodes: Option<String>,
    runtimes: Option<String>,
    holds: Option<String>,
    machine: Option<String>,
    is_leaving: bool,
    ssh: Option<SshOffer>,
}

impl Facts {
    fn of(runner: &ClaimRequest) -> Result<Self, StoreError> {
        // A longer one is none that our agent writes.
        let update = runner.update.as_ref().map(to_json).transpose()?;
        Ok(Self {
            hostname: cut_text(&runner.hostname, ABOUT_LIMIT).to_owned(),
            ip: cut_text(&runner.ip, ABOUT_LIMIT).to_owned(),
            version: cut_text(&runner.version, ABOUT_LIMIT).to_owned(),
            update: update.filter(|text| text.len() <= UPDATE_LIMIT),
            single_task: runner.single_task,
            held_slots: held_slots(runner)?,
            xcodes: xcodes(runner)?,
            runtimes: texts(&runner.runtimes, MAX_RUNTIMES, ABOUT_LIMIT)?,
            holds: texts(&runner.holds, MAX_HOLDS, REASON_LIMIT)?,
            machine: machine(runner)?,
            is_leaving: runner.machine.as_ref().is_some_and(|machine| machine.is_leaving),
            ssh: runner.ssh,
        })
    }

    fn from_row(row: &Row) -> Result<Self, StoreError> {
        Ok(Self {
            hostname: row.try_get("hostname")?,
            ip: row.try_get("ip")?,
            version: row.try_get("version")?,
            update: row.try_get("update_state")?,
            single_task: row.try_get("single_task")?,
            held_slots: row.try_get("held_slots")?,
            xcodes: row.try_get("xcodes")?,
            runtimes: row.try_get("runtimes")?,
            holds: row.try_get("holds")?,
            machine: row.try_get("machine")?,
            is_leaving: row.try_get::<Option<i64>>("left_ms")?.is_some(),
            ssh: offer_from_row(row)?,
        })
    }
}

/// Returns the state of a runner's machine, as it is stored; none where it says nothing.
fn machine(runner: &ClaimRequest) -> Result<Option<String>, StoreError> {
    let text = runner.machine.as_deref().map(|machine| to_json(&bounded_report(machine)));
    // A longer one is none that our agent writes.
    Ok(text.transpose()?.filter(|text| text.len() <= MAX_MACHINE_BYTES))
}

/// Returns true where the last claim was of the same agent and said the same: there is nothing to
/// note but that it is here.
pub(crate) async fn is_registered(
    conn: &mut Conn,
    class: &ResourceClass,
    runner: &ClaimRequest,
    now_ms: i64,
) -> Result<bool, StoreError> {
    let row = query("SELECT * FROM runners WHERE class = $1 AND name = $2")
        .bind(class.as_str())
        .bind(&runner.name)
        .fetch_optional(conn)
        .await?;
    let Some(row) = row else { return Ok(false) };
    let claimants: Option<Claimants> = json_maybe(&row, "claimants")?;
    let is_same = claimants.is_some_and(|all| all.is_alone(&claimant(runner, now_ms)));
    Ok(is_same && Facts::from_row(&row)? == Facts::of(runner)?)
}

/// Returns the slots that cannot be used, as they are stored; none where all can.
fn held_slots(runner: &ClaimRequest) -> Result<Option<String>, StoreError> {
    let held = runner.held_slots.iter().take(MAX_HELD_SLOTS).map(|slot| HeldSlot {
        number: slot.number,
        reason: cut_text(&slot.reason, REASON_LIMIT).to_owned(),
    });
    let held: Vec<HeldSlot> = held.collect();
    if held.is_empty() { Ok(None) } else { to_json(&held).map(Some) }
}

/// Returns the Xcodes of a runner, as they are stored; none where it says nothing of them.
fn xcodes(runner: &ClaimRequest) -> Result<Option<String>, StoreError> {
    let Some(all) = &runner.xcodes else { return Ok(None) };
    let short = |text: &String| cut_text(text, MAX_NAME_BYTES).to_owned();
    let shortened = |xcode: &Xcode| Xcode {
        version: short(&xcode.version),
        build: xcode.build.as_ref().map(short),
        names: xcode.names.iter().take(MAX_NAMES).map(short).collect(),
        ..*xcode
    };
    let all: Vec<Xcode> = all.iter().take(MAX_XCODES).map(shortened).collect();
    to_json(&all).map(Some)
}

/// Returns texts of a runner, as they are stored; none where there are none.
fn texts(all: &[String], count: usize, bytes: usize) -> Result<Option<String>, StoreError> {
    let all: Vec<&str> = all.iter().take(count).map(|text| cut_text(text, bytes)).collect();
    if all.is_empty() { Ok(None) } else { to_json(&all).map(Some) }
}

/// Returns the runners of a class that are listed.
pub(crate) async fn of_class(
    conn: &mut Conn,
    class: &ResourceClass,
    now_ms: i64,
) -> Result<Vec<RunnerRow>, StoreError> {
    let rows = query(
        "SELECT * FROM runners WHERE class = $1 AND (single_task = 0 OR last_ms >= $2) ORDER BY name",
    )
    .bind(class.as_str())
    .bind(expired_ms(now_ms))
    .fetch_all(conn)
    .await?;
    rows.iter().map(|row| from_row(row, now_ms)).collect()
}

/// Returns who claimed under a name lately.
async fn claimants(
    tx: &mut WriteTx,
    class: &ResourceClass,
    name: &str,
) -> Result<Option<Claimants>, StoreError> {
    let row = query("SELECT claimants FROM runners WHERE class = $1 AND name = $2")
        .bind(class.as_str())
        .bind(name)
        .lock(Lock::Of("runners"))
        .fetch_optional(tx)
        .await?;
    row.map_or(Ok(None), |row| json_maybe(&row, "claimants"))
}

/// Returns who claims. An agent that does not say which process it is, is told by its host.
fn claimant(runner: &ClaimRequest, at_ms: i64) -> Claimant {
    let by_host = || format!("{} {}", runner.hostname, runner.ip);
    let identity = runner.instance.as_ref().map_or_else(by_host, ToString::to_string);
    let (identity, host) =
        (cut_text(&identity, ABOUT_LIMIT), cut_text(&runner.hostname, ABOUT_LIMIT));
    Claimant { identity: identity.to_owned(), host: host.to_owned(), at_ms }
}

/// Notes that a runner got a task.
pub(crate) async fn mark_used(
    tx: &mut WriteTx,
    class: &ResourceClass,
    name: &str,
    now_ms: i64,
) -> Result<(), StoreError> {
    query("UPDATE runners SET last_used_ms = $1 WHERE class = $2 AND name = $3")
        .bind(now_ms)
        .bind(class.as_str())
        .bind(name)
        .execute(tx)
        .await?;
    Ok(())
}
