//! Tasks in a session at the screen, with tools in the place of macOS's.

use std::path::Path;

use russet_launch_agent::config::{Config, Session};
use russet_launch_agent::launch::{Event, ExitReason, Options};
use russet_platform::clock::{Clock, Hand};
use russet_platform::command::Tools;
use russet_protocol::outcome::Outcome;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::support::{Bench, script_agent, task, until, write_program};

const MINUTE: std::time::Duration = std::time::Duration::from_secs(60);

/// An account without rights, which every system has, in the place of the one at the screen.
const ACCOUNT: &str = "nobody";

/// The session of the account as `ioreg -a` prints it.
fn registry(more: &str) -> String {
    let user = nix::unistd::User::from_name(ACCOUNT).unwrap().unwrap();
    format!(
        "<plist version=\"1.0\"><dict><key>IOConsoleUsers</key><array><dict>\
         <key>kCGSSessionOnConsoleKey</key><true/><key>kCGSessionLoginDoneKey</key><true/>\
         <key>kCGSSessionUserIDKey</key><integer>{}</integer>{more}</dict></array></dict></plist>",
        user.uid
    )
}

const LOCKED: &str = "<key>CGSSessionScreenIsLocked</key><true/>";

/// Puts a session there at once: half of one, which the agent might read, says that nothing is locked.
fn put_session(bench: &Bench, more: &str) {
    let new = bench.file("session.new");
    std::fs::write(&new, registry(more)).unwrap();
    std::fs::rename(new, bench.file("session")).unwrap();
}

/// launchctl(1) and ioreg(8): the account is logged in where the file `session` is there, which
/// says how.
fn fake_tools(dir: &Path) -> Tools {
    let launchctl = format!(
        "#!/bin/sh\ncase $1 in print) [ -e {0}/session ] || exit 113 ;;\n\
         asuser) echo \"asuser $2\" >> {0}/modes; shift 2; exec \"$@\" ;; *) exit 64 ;; esac\n",
        dir.display()
    );
    write_program(&dir.join("launchctl"), &launchctl);
    write_program(&dir.join("ioreg"), &format!("#!/bin/sh\ncat {}/session\n", dir.display()));
    Tools::below(dir)
}

fn at_the_screen(bench: &Bench) -> Config {
    let mut config = bench.config("");
    config.classes[0].session = Session::Gui { user: ACCOUNT.to_owned() };
    config
}

/// Answer of the agent on its socket.
async fn status(socket: &Path) -> String {
    let Ok(mut line) = tokio::net::UnixStream::connect(socket).await else { return String::new() };
    let request = "GET /v1/status HTTP/1.1\r\nHost: agent\r\nConnection: close\r\n\r\n";
    line.write_all(request.as_bytes()).await.unwrap();
    let mut text = String::new();
    line.read_to_string(&mut text).await.unwrap();
    text
}

/// Lets minutes pass until it is so: the session is looked at once a minute.
async fn until_status_has(socket: &Path, part: &str, hand: &Hand) {
    for _ in 0..3000 {
        if status(socket).await.contains(part) {
            return;
        }
        hand.advance(MINUTE);
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    panic!("the status never has `{part}`: {}", status(socket).await);
}

#[tokio::test]
async fn a_locked_screen_holds_its_class_says_so_and_lets_go_once_it_is_unlocked() {
    if !russet_test_skip::can_be_root("to run tasks as another account") {
        return;
    }
    let bench = Bench::new().await;
    let done = r#"printf '{"version":1,"allocation":"%s","outcome":"success","reported":true}' "$ALLOCATION" > "$SPOOL/result.json"; chown --reference "$SPOOL" "$SPOOL/result.json"; exit 0"#;
    let exe = script_agent(bench.dir.path(), done);
    let tools = fake_tools(bench.dir.path());
    let config = at_the_screen(&bench);
    let socket = config.local_api.socket.clone();
    bench.plane.queue("class-token", task("a1"));
    let (clock, hand) = Clock::manual("boot");
    let options = Options { tools, clock, ..Options::new(exe) };
    let mut agent = bench.start_with(config, options);
    until_status_has(&socket, "is not logged in at the screen", &hand).await;
    put_session(&bench, LOCKED);
    until_status_has(&socket, "the screen of nobody is locked", &hand).await;
    assert!(bench.plane.claims().is_empty(), "a task was claimed behind a locked screen");
    put_session(&bench, "");
    until("the class claims", || {
        hand.advance(MINUTE);
        !bench.plane.claims().is_empty()
    })
    .await;
    let ended = agent.event(|event| matches!(event, Event::Ended { .. })).await;
    assert_eq!(ended, Event::Ended { slot: 1, outcome: Some(Outcome::Success) });
    until("the slot is cleaned", || bench.modes().contains(&"clean a1".to_owned())).await;
    let modes = bench.modes();
    assert!(modes[0].starts_with("asuser ") && modes[1] == "run a1", "{modes:?}");
    assert_eq!(agent.drain().await, ExitReason::Stopped);
}
