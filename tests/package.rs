//! An installer package over an agent that runs: its real scripts, killed at each line, with the real
//! russet-boot and a task that is long under way. Whatever is killed, what the agent shows is true, a
//! person's pause stays, the machine claims again, and the next installation finishes.
//!
//! The scripts are run by bash in its POSIX mode, which is `/bin/sh` of a Mac. What differs from a
//! Mac's is in the first lines of each: the root, and the names of the bundle and its program.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use russet_protocol::local::{Hold, HoldOwner, Status, Update};
use russet_protocol::outcome::Outcome;

use crate::support::admin::assert_outcome;
use crate::support::farm::Farm;
use crate::support::installation::{can_run_service, russet_boot};
use crate::support::release::script;
use crate::support::{checkout, config, run, russet, wait_for};

/// Longest run of a script, whatever the agent does.
const MAX_SCRIPT_TIME: Duration = Duration::from_secs(60);

/// Kills the script before it comes to a line, and writes down the lines that it comes to.
const KILLER: &str = "set -o functrace\n\
    trap 'echo $LINENO >>\"$TEST_LINES\"; [ \"$LINENO\" != \"$TEST_KILL_AT\" ] || kill -KILL $$' DEBUG\n";

/// A machine with an agent, as the scripts of a package see it.
struct Machine {
    farm: Farm,
}

impl Machine {
    /// With these lines below `runner:`.
    fn start(runner: &[&str]) -> Self {
        let mut farm = Farm::prepare("  probation: 60s\n", runner);
        let root = farm.agent.layout.root().to_owned();
        for directory in ["var/log", "tools", "scripts"] {
            std::fs::create_dir_all(root.join(directory)).unwrap();
        }
        farm.agent.bootstrap();
        farm.agent.wait_proved(None);
        let machine = Self { farm };
        // Nobody has said anything about the package, and no bundle tells its version.
        machine.tool("PlistBuddy", "exit 1");
        for name in ["preinstall", "postinstall"] {
            machine.prepare_script(name);
        }
        machine
    }

    fn root(&self) -> &Path {
        self.farm.agent.layout.root()
    }

    fn incoming(&self) -> PathBuf {
        self.farm.agent.layout.incoming()
    }

    fn tool(&self, name: &str, text: &str) {
        write_program(
            &self.root().join("tools").join(name),
            format!("#!/bin/sh\n{text}\n").as_bytes(),
        );
    }

    fn prepare_script(&self, name: &str) {
        let text = std::fs::read_to_string(checkout().join("pkg-scripts").join(name)).unwrap();
        let root = self.root().display().to_string();
        let lines = [
            ("root=''", format!("root='{root}'")),
            ("app=RussetAgent.app", "app=agent".to_owned()),
            ("inside=Contents/MacOS/russet", "inside=russet".to_owned()),
            ("below=''", format!("below='--root {root}'")),
            ("options=''", format!("options='--root {root} --no-users'")),
            (
                "preferences=$root/Library/Preferences/dev.russet.agent",
                "preferences=$root/etc/russet".to_owned(),
            ),
        ];
        let mut made = KILLER.to_owned();
        for line in text.lines() {
            let other = lines.iter().find(|(of_a_mac, _)| *of_a_mac == line);
            match other {
                Some((_, here)) => made.push_str(here),
                None if line.starts_with("PATH=") => {
                    made.push_str(&format!("PATH='{root}/tools:/usr/bin:/bin'"));
                }
                None => made.push_str(line),
            }
            made.push('\n');
        }
        assert!(made.contains(&format!("root='{root}'")) && made.contains("inside=russet"));
        std::fs::write(self.root().join("scripts").join(name), made).unwrap();
    }

    /// Runs a script of the package of this version, and kills it before this line.
    fn run_script(&self, name: &str, version: &str, kill_at: usize) -> Output {
        let start = Instant::now();
        let path = self.root().join("scripts").join(name);
        let text = std::fs::read_to_string(&path).unwrap();
        let made = self.root().join("scripts").join(format!("{name}-{version}"));
        std::fs::write(&made, text.replace("'@VERSION@'", &format!("'{version}'"))).unwrap();
        let output = Command::new("bash")
            .arg("--posix")
            .arg(&made)
            .args(["/tmp/Russet.pkg", "/", "/", "/"])
            .env("TEST_LINES", self.lines_file())
            .env("TEST_KILL_AT", kill_at.to_string())
            .stdin(Stdio::null())
            .output()
            .unwrap();
        assert!(start.elapsed() < MAX_SCRIPT_TIME, "{name} took {:?}", start.elapsed());
        output
    }

    fn lines_file(&self) -> PathBuf {
        self.root().join("scripts/lines")
    }

    /// Installs a version, and returns the lines that each script came to.
    fn install(&self, version: &str) -> [BTreeSet<usize>; 2] {
        let mut lines = [BTreeSet::new(), BTreeSet::new()];
        for (name, lines) in ["preinstall", "postinstall"].into_iter().zip(&mut lines) {
            if name == "postinstall" {
                self.put_payload(version);
            }
            std::fs::remove_file(self.lines_file()).ok();
            let output = self.run_script(name, version, 0);
            assert!(output.status.success(), "{name}: {}", text(&output));
            let seen = std::fs::read_to_string(self.lines_file()).unwrap();
            lines.extend(seen.lines().map(|line| line.parse::<usize>().unwrap()));
        }
        lines
    }

    /// Files that Installer puts in place between the scripts.
    fn put_payload(&self, version: &str) {
        let agent = self.incoming().join("agent");
        let app = self.incoming().join("menubar/Russet.app/Contents/MacOS");
        for directory in [&agent.join("agent"), &app] {
            std::fs::create_dir_all(directory).unwrap();
        }
        write_program(&agent.join("agent/russet"), &script(version, "exec \"$REAL\" \"$@\""));
        let mut boot = std::fs::read(russet_boot()).unwrap();
        boot.extend_from_slice(version.as_bytes());
        write_program(&agent.join("russet-boot"), &boot);
        write_program(&agent.join("uninstall.sh"), version.as_bytes());
        write_program(&app.join("russet-menubar"), version.as_bytes());
        let closed = std::fs::Permissions::from_mode(0o700);
        std::fs::set_permissions(self.incoming(), closed).unwrap();
    }

    fn status(&self) -> Status {
        wait_for("a status", || self.farm.status())
    }

    fn holds_of(&self, owner: HoldOwner) -> Vec<Hold> {
        self.status().holds.into_iter().filter(|hold| hold.owner == owner).collect()
    }

    fn is_waiting(status: &Status, version: &str) -> bool {
        status.update == Some(Update::WaitingForIdle { version: version.to_owned() })
    }

    /// Waits until a version is shown as waiting, with a hold of the installer's that ends.
    fn wait_waiting(&self, version: &str) {
        wait_for(&format!("{version} to wait: {}", self.farm.agent.log()), || {
            let status = self.farm.status()?;
            let mut holds = status.holds.iter();
            let hold = holds.find(|hold| hold.owner == HoldOwner::Installer)?;
            (Self::is_waiting(&status, version) && hold.until_ms.is_some()).then_some(())
        });
    }

    /// Waits until nothing is held for an installer's sake.
    fn wait_free(&self) {
        wait_for(&format!("no hold of an installer: {}", self.farm.agent.log()), || {
            let status = self.farm.status()?;
            let is_held = status.holds.iter().any(|hold| hold.owner == HoldOwner::Installer);
            (!is_held).then_some(())
        });
    }

    /// What is shown is true: a version waits, and holds claims, exactly where one is complete.
    fn check_shown(&self, version: &str) {
        let layout = &self.farm.agent.layout;
        let has_come =
            [self.incoming(), layout.arrived()].iter().any(|place| place.join("complete").exists());
        if has_come {
            self.wait_waiting(version);
        } else {
            self.wait_free();
        }
    }

    /// Takes what has arrived away, so that the next round begins as the first did.
    fn forget(&self) {
        for place in [self.farm.agent.layout.arrived(), self.incoming()] {
            std::fs::remove_dir_all(place).ok();
        }
        self.wait_free();
    }

    /// `russet agent VERB`.
    fn ask(&self, words: &[&str]) {
        let output = Command::new(russet())
            .arg("agent")
            .args(words)
            .arg("--socket")
            .arg(self.farm.agent.layout.state().join("agent.sock"))
            .output()
            .unwrap();
        assert!(output.status.success(), "{words:?}: {}", text(&output));
    }

    /// Waits until a version and everything beside it is in place.
    fn wait_finished(&self, version: &str) {
        self.farm.wait_installed(version);
        let layout = &self.farm.agent.layout;
        wait_for(&format!("the rest of {version}: {}", self.farm.agent.log()), || {
            (!layout.arrived().exists()).then_some(())
        });
        let ends_so = |path: &Path| std::fs::read(path).unwrap().ends_with(version.as_bytes());
        assert!(ends_so(&layout.boot()), "russet-boot is the one before");
        assert!(ends_so(&layout.code().join("uninstall.sh")));
        assert!(ends_so(&layout.menubar_executable()));
        assert!(layout.previous_executable().exists() && !self.incoming().exists());
    }
}

/// Another process writes it: a file that is open for writing cannot be executed.
fn write_program(path: &Path, bytes: &[u8]) {
    let mut install = Command::new("install")
        .args(["-m", "755", "/dev/stdin"])
        .arg(path)
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    install.stdin.take().unwrap().write_all(bytes).unwrap();
    assert!(install.wait().unwrap().success());
}

fn text(output: &Output) -> String {
    [&*output.stdout, &*output.stderr].map(String::from_utf8_lossy).concat()
}

#[test]
fn an_installation_that_is_killed_at_any_line_over_a_long_task_holds_nothing_and_the_next_finishes()
{
    if !can_run_service() {
        return;
    }
    let machine = Machine::start(&["slots: 2"]);
    let farm = &machine.farm;
    let go = farm.agent.file("go");
    let long = format!("echo begun; until test -e {}; do sleep 0.05; done", go.display());
    let pipeline = farm.server.admin.submit(&config(&[&run(&long)]));
    farm.server.admin.wait_for_output(&pipeline, "begun");

    let [before, after] = machine.install("9.0.0");
    machine.wait_waiting("9.0.0");
    assert!(before.len() > 25 && after.len() > 25, "{before:?} {after:?}");
    machine.forget();
    farm.claims();

    // A person's pause is nobody else's to lift, and holds nothing else back.
    let pause = |round: usize| match round % 4 {
        0 => machine.ask(&["pause", "--reason", "a new disk"]),
        2 => machine.ask(&["resume"]),
        _ => {}
    };
    let is_paused =
        || machine.holds_of(HoldOwner::Person).iter().any(|hold| hold.reason == "a new disk");
    for (round, line) in before.into_iter().enumerate() {
        pause(round);
        let output = machine.run_script("preinstall", "9.0.1", line);
        assert_eq!(output.status.signal(), Some(9), "line {line}: {}", text(&output));
        machine.check_shown("9.0.1");
        assert_eq!(is_paused(), round % 4 < 2, "line {line}");
    }
    machine.ask(&["resume"]);
    farm.claims();
    for (round, line) in after.into_iter().enumerate() {
        pause(round);
        let version = format!("9.1.{round}");
        machine.put_payload(&version);
        let output = machine.run_script("postinstall", &version, line);
        assert_eq!(output.status.signal(), Some(9), "line {line}: {}", text(&output));
        machine.check_shown(&version);
        assert_eq!(is_paused(), round % 4 < 2, "line {line}");
        machine.install(&version);
        machine.wait_waiting(&version);
        assert_eq!(is_paused(), round % 4 < 2, "line {line}");
        machine.forget();
    }
    machine.ask(&["resume"]);
    farm.claims();

    // The last one is let go on, by an agent that was killed meanwhile.
    machine.install("9.2.0");
    machine.wait_waiting("9.2.0");
    let agent = farm.pid().unwrap();
    kill(agent, Signal::SIGKILL).unwrap();
    farm.agent.wait_proved(Some(agent));
    machine.wait_waiting("9.2.0");
    machine.ask(&["pause", "--reason", "a new disk"]);
    assert_eq!(farm.installed(), None, "a task runs");
    std::fs::write(&go, "").unwrap();
    machine.wait_finished("9.2.0");
    farm.server.admin.wait(&pipeline);
    let job = farm.server.admin.only_job(&pipeline);
    assert_outcome(&farm.server.admin, &job, Outcome::Success);
    assert!(is_paused());
    machine.ask(&["resume"]);
    farm.claims();
}

#[test]
fn a_package_comes_before_an_update_and_what_an_update_overtook_is_dropped() {
    if !can_run_service() {
        return;
    }
    let machine = Machine::start(&[]);
    let farm = &machine.farm;
    let go = farm.agent.file("go");
    let long = format!("echo begun; until test -e {}; do sleep 0.05; done", go.display());
    let pipeline = farm.server.admin.submit(&config(&[&run(&long)]));
    farm.server.admin.wait_for_output(&pipeline, "begun");
    farm.publish(&farm.release("9.0.5"));
    farm.install();
    wait_for("an update that waits", || {
        Machine::is_waiting(&farm.status()?, "9.0.5").then_some(())
    });
    machine.install("9.0.4");
    machine.wait_waiting("9.0.4");
    std::fs::write(&go, "").unwrap();
    machine.wait_finished("9.0.4");
    // The update follows by itself, or is asked for, as any other.
    farm.install();
    farm.wait_installed("9.0.5");
    farm.server.admin.wait(&pipeline);

    // The script has refused it before; it was overtaken meanwhile.
    machine.install("9.0.3");
    wait_for(&format!("9.0.3 to be dropped: {}", farm.agent.log()), || {
        (!farm.agent.layout.arrived().exists()).then_some(())
    });
    machine.wait_free();
    farm.agent.wait_log("a newer version is installed by now");
    assert_eq!(farm.installed().as_deref(), Some("9.0.5"));
    farm.claims();
}

#[test]
fn a_package_whose_version_is_taken_back_is_dropped_and_everything_beside_it_stays() {
    if !can_run_service() {
        return;
    }
    let machine = Machine::start(&[]);
    let farm = &machine.farm;
    let layout = &farm.agent.layout;
    let boot = std::fs::read(layout.boot()).unwrap();
    let output = machine.run_script("preinstall", "9.0.1", 0);
    assert!(output.status.success(), "{}", text(&output));
    machine.put_payload("9.0.1");
    let program = machine.incoming().join("agent/agent/russet");
    write_program(
        &program,
        &script("9.0.1", "[ \"$2\" != run ] || exit 101\nexec \"$REAL\" \"$@\""),
    );
    let output = machine.run_script("postinstall", "9.0.1", 0);
    assert!(output.status.success(), "{}", text(&output));
    wait_for(&format!("9.0.1 to be taken back: {}", farm.agent.log()), || {
        farm.agent.bad().pop().filter(|bad| bad.version == "9.0.1")
    });
    farm.agent.wait_log("it was taken back");
    wait_for("nothing to be left", || (!layout.arrived().exists()).then_some(()));
    assert_eq!(std::fs::read(layout.boot()).unwrap(), boot);
    assert!(!layout.menubar_bundle().exists());
    farm.agent.wait_proved(None);
    machine.wait_free();
    farm.claims();
}
