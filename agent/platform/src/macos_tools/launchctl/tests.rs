//! Answers of launchctl as people have posted them, with their sources, under our label.

use super::{is_disabled, parse_print};
use crate::command::Tools;
use crate::command::testing::fake_tool;
use crate::job::AGENT;

/// wazuh/wazuh-packages#2206 (macOS 10.14), shortened in the middle.
const RUNNING: &str = "\
dev.russet.agent = {
        active count = 1
        path = /Library/LaunchDaemons/dev.russet.agent.plist
        state = running

        program = /opt/russet/russet-boot
        arguments = {
                /opt/russet/russet-boot
        }

        default environment = {
                PATH => /usr/bin:/bin:/usr/sbin:/sbin
        }

        environment = {
                XPC_SERVICE_NAME => dev.russet.agent
        }

        domain = com.apple.xpc.launchd.domain.system
        minimum runtime = 10
        exit timeout = 5
        runs = 3
        successive crashes = 0
        pid = 1486
        immediate reason = one-shot
        forks = 3
        execs = 1
        initialized = 1
        last exit code = 0

        event triggers = {
        }

        endpoints = {
        }
}
";

/// A job in its throttle window: the state as synaptent/aragora#6668 reports it, `78: EX_CONFIG`
/// as posted by several for macOS 26. The whole is assumed: inner blocks of newer releases have a
/// `state` of their own, and whether they have a `pid` is not known.
const THROTTLED: &str = "\
system/dev.russet.agent = {
\tactive count = 0
\tpath = /Library/LaunchDaemons/dev.russet.agent.plist
\ttype = LaunchDaemon
\tstate = spawn scheduled

\tprogram = /opt/russet/russet-boot
\tresource coalition = {
\t\tID = 611
\t\tstate = active
\t\tpid = 1
\t}
\truns = 54
\tlast exit code = 78: EX_CONFIG
\tjob state = spawn failed
}
";

fn is_agent_disabled(text: &str) -> bool {
    is_disabled(text, AGENT.label)
}

#[test]
fn a_running_job_has_a_pid_and_its_last_exit() {
    let state = parse_print(RUNNING);
    assert_eq!((state.pid, state.last_exit), (Some(1486), Some(0)));
    assert_eq!((state.words.as_str(), state.throttled, state.loaded), ("running", false, true));
}

#[test]
fn a_throttled_job_is_known_by_its_own_state_and_not_by_that_of_a_block_in_it() {
    let state = parse_print(THROTTLED);
    assert_eq!((state.pid, state.last_exit, state.throttled), (None, Some(78), true));
    assert_eq!(state.words, "spawn scheduled");
}

#[test]
fn a_job_that_never_ran_and_nonsense_have_no_last_exit() {
    let text = "system/dev.russet.agent = {\n\tstate = running\n\tpid = 7\n\tlast exit code = (never exited)\n}\n";
    assert_eq!((parse_print(text).pid, parse_print(text).last_exit), (Some(7), None));
    for text in ["", "}", "{{{", "state = running", "a = {\nstate = "] {
        assert_eq!(parse_print(text).pid, None, "{text}");
    }
}

#[test]
fn both_ways_of_writing_what_is_disabled_are_understood() {
    // The forms of macOS 12 and later, and of 11 and earlier (munki and nix-installer read both).
    let new = "\tdisabled services = {\n\t\t\"com.apple.ftpd\" => disabled\n\t\t\"dev.russet.agent\" => disabled\n\t}\n";
    let old = "disabled services = {\n\t\"dev.russet.agent\" => true\n}\n";
    assert!(is_agent_disabled(new) && is_agent_disabled(old));
    let enabled = "disabled services = {\n\t\"dev.russet.agent\" => enabled\n\t\"dev.russet.agent.x\" => disabled\n}\n";
    assert!(!is_agent_disabled(enabled));
    assert!(!is_agent_disabled("disabled services = {\n\t\"dev.russet.agent\" => false\n}\n"));
    assert!(!is_agent_disabled(""));
}

#[test]
fn exit_codes_are_told_apart_and_explained() {
    let dir = tempfile::tempdir().unwrap();
    // Messages: NixOS/nix-installer#1148 (5, 3), Jackett/Jackett#14822 (125), the 113 of
    // hobocy and others for the system domain; 119 is assumed.
    fake_tool(
        dir.path(),
        "launchctl",
        "case $1 in
        bootstrap) echo 'Bootstrap failed: 5: Input/output error' >&2
          echo 'Try re-running the command as root for richer errors.' >&2; exit 5 ;;
        kickstart) echo 'Could not find service \"dev.russet.agent\" in domain for system' >&2; exit 113 ;;
        enable) echo 'Could not enable service: 125: Domain does not support specified action' >&2; exit 125 ;;
        print) echo 'Boom' >&2; exit 64 ;;
        esac",
    );
    let tools = Tools::below(dir.path());
    let plist = std::path::Path::new("/Library/LaunchDaemons/dev.russet.agent.plist");
    let said = |command, doing| {
        let error = super::run_launchctl(command, doing, &AGENT).unwrap_err();
        (error.to_string(), error.hint().unwrap_or_default())
    };
    let (text, hint) = said(super::bootstrap(&tools, plist), "load the job");
    assert!(
        text.starts_with("launchd could not load the job: the job is loaded already, or"),
        "{text}"
    );
    assert!(text.contains("exit code 5: Bootstrap failed: 5: Input/output error"), "{text}");
    assert!(hint.contains("plutil") && hint.contains("bootout"), "{hint}");
    let (text, hint) = said(super::kickstart(&tools, &AGENT), "start the job");
    assert!(
        text.contains("the job is not loaded") && hint.contains("russet agent start"),
        "{text}"
    );
    let (text, hint) = said(super::enable(&tools, &AGENT), "enable the job");
    assert!(text.contains("domain") && hint.contains("sudo"), "{text}");
    let (text, _) = said(super::print(&tools, &AGENT), "print");
    assert!(text.contains("failed with exit code 64: Boom"), "{text}");
}
