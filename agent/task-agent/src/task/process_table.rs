//! Processes of a slot at the moment when its time is up.
//!
//! A step that hangs says nothing, and after the kill there is nothing left to look at. So the
//! processes stand in the task's log first: who waits for whom, since when, and who works.

use super::clean::SlotProcesses;
use super::clean::tally::one_line;
use crate::mask::Masks;
use russet_platform::os::{self, ProcessInfo, Usage};
use russet_text::format_size as size;

/// So many are shown; a fork bomb would fill the log.
const MOST_ROWS: usize = 100;

/// One process.
#[derive(Debug)]
struct Row {
    process: ProcessInfo,
    /// `None`: it ended while we looked.
    usage: Option<Usage>,
    command: String,
}

/// The table, for the log. Secrets in command lines are masked.
pub(crate) fn process_table(processes: &SlotProcesses, masks: &Masks) -> String {
    let mut processes = processes.list_running();
    processes.sort_by_key(|process| process.pid);
    let more = processes.len().saturating_sub(MOST_ROWS);
    processes.truncate(MOST_ROWS);
    let rows: Vec<Row> = processes
        .into_iter()
        .map(|process| {
            let command = os::command_line(process.pid);
            let command = command.unwrap_or_else(|| format!("[{}]", process.command));
            // Masked before it is cut: half a secret would not be found.
            let command = one_line(&masks.apply(&command));
            Row { usage: os::usage(process.pid), command, process }
        })
        .collect();
    render_rows(&rows, more)
}

fn render_rows(rows: &[Row], more: usize) -> String {
    let mut text = "its time is up; these processes of the task are running:\n\n".to_owned();
    add_row(&mut text, ["PID", "PPID", "S", "AGE", "CPU", "MEMORY", "COMMAND"]);
    for Row { process, usage, command } in rows {
        let [state, age, cpu, memory] = match usage {
            Some(usage) => [
                usage.state.to_string(),
                cpu_time(usage.age_ms),
                cpu_time(usage.cpu_ms),
                size(usage.resident_bytes),
            ],
            None => ["-"; 4].map(str::to_owned),
        };
        let (pid, parent) = (process.pid.to_string(), process.parent.to_string());
        add_row(&mut text, [&pid, &parent, &state, &age, &cpu, &memory, command]);
    }
    if rows.is_empty() {
        text.push_str("(none)\n");
    }
    if more > 0 {
        text.push_str(&format!("and {more} more\n"));
    }
    text
}

fn add_row(text: &mut String, [pid, parent, state, age, cpu, memory, command]: [&str; 7]) {
    let line =
        format!("{pid:>7} {parent:>7} {state:1} {age:>11} {cpu:>11} {memory:>10}  {command}");
    text.push_str(&line);
    text.push('\n');
}

/// `0:07.25`, `12:07.25`, `3:12:07`, `2-03:12:07`, as ps(1) shows times.
fn cpu_time(ms: u64) -> String {
    let (seconds, hundredths) = (ms / 1000, ms % 1000 / 10);
    let (days, hours) = (seconds / 86_400, seconds / 3600 % 24);
    let (minutes, seconds) = (seconds / 60 % 60, seconds % 60);
    match (days, hours) {
        (0, 0) => format!("{minutes}:{seconds:02}.{hundredths:02}"),
        (0, hours) => format!("{hours}:{minutes:02}:{seconds:02}"),
        (days, hours) => format!("{days}-{hours:02}:{minutes:02}:{seconds:02}"),
    }
}

#[cfg(test)]
mod tests {
    use super::{Row, cpu_time, render_rows};
    use russet_platform::os::{ProcessInfo, Usage};

    fn row(pid: i32, command: &str, usage: Option<Usage>) -> Row {
        let process = ProcessInfo {
            pid,
            parent: 1,
            session: pid,
            uid: 1,
            is_zombie: false,
            command: String::new(),
        };
        Row { process, usage, command: command.to_owned() }
    }

    #[test]
    fn the_table_shows_who_works_and_who_waits() {
        let usage =
            Usage { state: 'S', cpu_ms: 1250, resident_bytes: 3 << 20, age_ms: 3_600_000 + 65_000 };
        let rows = [row(12, "bash -c 'sleep 1'", Some(usage)), row(4_194_304, "[gone]", None)];
        assert_eq!(
            render_rows(&rows, 2),
            "its time is up; these processes of the task are running:\n\
             \n\
             \u{20}   PID    PPID S         AGE         CPU     MEMORY  COMMAND\n\
             \u{20}    12       1 S     1:01:05     0:01.25     3.1 MB  bash -c 'sleep 1'\n\
             4194304       1 -           -           -          -  [gone]\n\
             and 2 more\n"
        );
        assert!(render_rows(&[], 0).ends_with("(none)\n"));
    }

    #[test]
    fn times_read_as_those_of_ps() {
        for (ms, text) in [
            (0, "0:00.00"),
            (7259, "0:07.25"),
            (727_250, "12:07.25"),
            (11_527_000, "3:12:07"),
            (184_327_000, "2-03:12:07"),
        ] {
            assert_eq!(cpu_time(ms), text);
        }
    }
}
