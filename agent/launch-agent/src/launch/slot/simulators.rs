//! The wait for simulators at the start of a task.

use std::time::Duration;

use russet_platform::clock::whole_millis;
use russet_protocol::supervise::WarmUp;

/// A cold start: CoreSimulator mounts the runtimes, and makes the devices of all of them in a fresh
/// home. Two to four minutes were seen (dotnet/xharness #298); a Mac that was just updated takes
/// longer.
const READY_TIMEOUT: Duration = Duration::from_secs(10 * 60);

/// Asks until there is a device that can be used: while runtimes are being mounted, `simctl` lists
/// none or calls them unavailable. Where there is no runtime at all, there is nothing to wait for.
/// `$1` is xcrun(1), `$2` the pause between two questions in seconds.
const WAIT_FOR_DEVICES: &str = r#"
while :; do
    listed=$("$1" simctl list devices available) || exit
    case $listed in
    *'(Shutdown)'* | *'(Booted)'*)
        printf '%s\n' "$listed"
        exit
        ;;
    esac
    if ! "$1" simctl runtime list -j | grep -q '"state"'; then
        echo 'there is no simulator runtime on this Mac (russet agent prepare --runtimes iOS)'
        exit
    fi
    sleep "$2"
done
"#;

/// Returns what starts the simulators' service, and waits until it has devices.
pub(super) fn simulators_ready() -> WarmUp {
    let command = ["/bin/sh", "-c", WAIT_FOR_DEVICES, "simulators", "/usr/bin/xcrun", "5"];
    WarmUp {
        command: command.map(str::to_owned).to_vec(),
        lock: std::path::PathBuf::new(),
        timeout_ms: whole_millis(READY_TIMEOUT),
    }
}

#[cfg(test)]
mod tests {
    use super::{WAIT_FOR_DEVICES, simulators_ready};
    use russet_platform::command::Command;
    use russet_platform::command::testing::fake_tool;

    /// Answers of simctl as people posted them: of Xcode 16 while its runtime is being mounted, and
    /// once it is.
    const NONE_YET: &str =
        "== Devices ==\n-- Unavailable: com.apple.CoreSimulator.SimRuntime.iOS-18-2 --";
    const READY: &str = "== Devices ==\n-- iOS 18.2 --\n    iPhone 16 Pro \
                         (7D4C0F36-5F9C-4D4B-8A5E-0B8C8C1B9A11) (Shutdown) ";

    fn wait(script: &str) -> String {
        let dir = tempfile::tempdir().unwrap();
        fake_tool(dir.path(), "xcrun", script);
        let xcrun = dir.path().join("xcrun");
        let command = Command::new("/bin/sh").args(["-c", WAIT_FOR_DEVICES, "simulators"]);
        command.arg(xcrun).arg("0").run().unwrap().text()
    }

    #[test]
    fn devices_are_waited_for_while_their_runtime_is_being_mounted() {
        let script = format!(
            "case \"$2 $3\" in 'runtime list') echo '{{\"A\": {{\"state\" : \"Ready\"}}}}' ;;\n\
             *) echo x >> \"$0.asked\"; [ $(wc -l < \"$0.asked\") -gt 2 ] && echo '{READY}' || \
             echo '{NONE_YET}' ;; esac"
        );
        assert!(wait(&script).contains("iPhone 16 Pro"));
    }

    #[test]
    fn a_mac_without_runtimes_is_not_waited_for_and_says_what_to_do() {
        let said = wait("case \"$2\" in runtime) echo '{}' ;; *) echo '== Devices ==' ;; esac");
        assert!(said.contains("there is no simulator runtime"), "{said}");
        assert_eq!(wait("exit 72"), "");
    }

    #[test]
    fn a_cold_start_has_ten_minutes() {
        assert_eq!(simulators_ready().timeout_ms, 600_000);
    }
}
