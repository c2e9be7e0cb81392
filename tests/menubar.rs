//! The companion in a real tray: a real agent and control plane run tasks, and the menu is read
//! and clicked over D-Bus, as the tray does it.
//!
//! With `RUSSET_SCREENSHOTS=DIR`, pictures of the open menu in each state are left in `DIR`.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use russet_protocol::local::State;

use crate::support::desktop::{Desktop, Line};
use crate::support::farm::Farm;
use crate::support::installation::can_run_service;
use crate::support::{
    Agent, AgentOptions, CLASS, Process, Server, build_program, checkout, resident_bytes, test_dir,
    wait_for,
};

/// The companion in a tray.
struct Companion {
    desktop: Desktop,
    process: Process,
    item: String,
}

impl Companion {
    /// Starts one for the agent at a socket, where there is a desktop.
    fn start(socket: &Path) -> Option<Self> {
        let desktop = Desktop::start()?;
        let process = desktop.spawn(&mut command(socket));
        let item = desktop.wait_for_item(&process);
        Some(Self { desktop, process, item })
    }

    fn menu(&self) -> Vec<Line> {
        self.desktop.menu(&self.item).unwrap_or_default()
    }

    /// Every line, those of the menus below included.
    fn text(&self) -> String {
        fn text(lines: &[Line], all: &mut String) {
            for line in lines {
                all.push_str(&line.label);
                all.push('\n');
                text(&line.below, all);
            }
        }
        let mut all = String::new();
        text(&self.menu(), &mut all);
        all
    }

    /// Waits until all of this stands in the menu.
    #[track_caller]
    fn shows(&self, parts: &[&str]) -> String {
        let mut last = String::new();
        let what = format!("a menu with {parts:?}");
        let found = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            wait_for(&what, || {
                last = self.text();
                parts.iter().all(|part| last.contains(part)).then_some(())
            });
        }));
        assert!(found.is_ok(), "not all of {parts:?} stands in:\n{last}");
        last
    }

    #[track_caller]
    fn click(&self, label: &str) {
        let line = wait_for(label, || self.menu().into_iter().find(|line| line.label == label));
        assert!(line.is_enabled, "{label} cannot be chosen");
        self.desktop.click(&self.item, &line);
    }

    /// Chooses the recent task whose line has this in it.
    #[track_caller]
    fn click_recent(&self, part: &str) {
        let line = wait_for(part, || {
            let recent = self.menu().into_iter().find(|line| line.label == "Recent Tasks")?;
            recent.below.into_iter().find(|line| line.label.contains(part))
        });
        self.desktop.click(&self.item, &line);
    }

    /// Leaves a picture where pictures are wanted.
    fn photograph(&self, name: &str) {
        if let Some(dir) = std::env::var_os("RUSSET_SCREENSHOTS") {
            // Tests run in the folder of their package.
            let dir = checkout().join(PathBuf::from(dir));
            std::fs::create_dir_all(&dir).unwrap();
            self.desktop.photograph(&dir.join(format!("{name}.png")));
        }
    }
}

fn command(socket: &Path) -> Command {
    let mut command = Command::new(build_program("russet-menubar"));
    command.arg("--socket").arg(socket);
    command
}

/// A configuration with two jobs that run until the file is there.
fn two_jobs(go: &Path) -> String {
    let step = format!(
        "run:\n          name: Run the tests\n          command: |\n            until test -e {}; do sleep 0.05; done\n            echo the tests are done",
        go.display()
    );
    let job = |name: &str| {
        format!(
            "  {name}:\n    machine: true\n    resource_class: {}\n    steps:\n      - {step}\n",
            CLASS
        )
    };
    format!(
        "version: 2.1\njobs:\n{}{}workflows:\n  main:\n    jobs: [build, unit-tests]\n",
        job("build"),
        job("unit-tests")
    )
}

#[test]
fn the_menu_says_what_the_agent_is_about_in_every_state() {
    let server = Server::start();
    let options = AgentOptions { runner: vec!["slots: 2".to_owned()], ..AgentOptions::default() };
    let mut agent = Agent::start_with(&server, &options);
    let dir = test_dir();
    let go = dir.path().join("go");
    agent.wait_for_state(State::Idle);
    let Some(companion) = Companion::start(&agent.socket()) else { return };

    companion.shows(&["Idle since ", "No recent tasks", "Pause\n"]);
    let idle = companion.desktop.picture(&companion.item).unwrap();
    companion.photograph("idle");

    let pipeline = server.admin.submit(&two_jobs(&go));
    let text = companion.shows(&[
        "Running 2 tasks since ",
        "build\n",
        "unit-tests\n",
        "    Run the tests\n",
        ", at most ",
        "Drain, Then Pause\n",
    ]);
    assert!(!text.contains("Idle"), "{text}");
    let running = companion.desktop.picture(&companion.item).unwrap();
    assert_ne!(idle, running);
    companion.photograph("running");

    companion.click("Drain, Then Pause");
    agent.wait_for_state(State::Draining);
    companion.shows(&["Draining, 2 tasks left since ", "from the menu bar", "Resume\n"]);
    companion.photograph("draining");
    companion.click("Resume");
    agent.wait_for_state(State::Running);
    std::fs::write(&go, "").unwrap();
    server.admin.wait(&pipeline);
    companion.shows(&["Idle since ", "✓  ", "unit-tests  succeeded, "]);
    // What a task said is read also when it has ended; what shows it is the desktop's business.
    companion.click_recent("unit-tests  succeeded, ");
    wait_for("its log in a file", || {
        let logs = std::fs::read_dir(companion.desktop.file("runtime/russet-menubar/logs")).ok()?;
        let texts = logs.filter_map(|log| std::fs::read_to_string(log.ok()?.path()).ok());
        texts.into_iter().any(|text| text.contains("the tests are done")).then_some(())
    });

    companion.click("Pause");
    agent.wait_for_state(State::Paused);
    companion.shows(&["Paused since ", "from the menu bar", "Resume\n"]);
    let log = agent.log();
    let is_audit = |line: &&str| line.contains("audit") && line.contains("/v1/pause");
    assert_eq!(log.lines().filter(is_audit).count(), 1, "{log}");
    let paused = companion.desktop.picture(&companion.item).unwrap();
    assert!(paused != idle && paused != running);
    companion.photograph("paused");
    companion.click("Resume");
    agent.wait_for_state(State::Idle);

    // The next run is told beside what the last one took.
    std::fs::remove_file(&go).unwrap();
    let again = server.admin.submit(&two_jobs(&go));
    companion.shows(&["Running 2 tasks", " of about "]);
    companion.photograph("running-again");
    std::fs::write(&go, "").unwrap();
    server.admin.wait(&again);
    companion.shows(&["Idle since "]);

    agent.kill();
    companion.shows(&["Cannot reach the agent since ", "russet agent start"]);
    let text = companion.text();
    assert!(!text.contains("Pause") && !text.contains("Recent"), "{text}");
    let gone = companion.desktop.picture(&companion.item).unwrap();
    assert!(gone != idle && gone != paused && gone != running);
    companion.photograph("unreachable");
    agent.start_again();
    companion.shows(&["Idle since ", "Recent Tasks"]);
    let tip = companion.desktop.tool_tip(&companion.item).unwrap();
    assert!(tip.starts_with("Idle since "), "{tip}");
    let bytes = resident_bytes(companion.process.pid());
    assert!(bytes < 30_000_000, "it has {bytes} bytes of memory");
}

#[test]
fn a_machine_that_is_unwell_says_what_and_what_to_do() {
    let server = Server::start();
    let disk = "health: { disk_reserve: 1000000TB }".to_owned();
    let options = AgentOptions { runner: vec![disk], ..AgentOptions::default() };
    let agent = Agent::start_with(&server, &options);
    agent.wait_for_state(State::Unhealthy);
    let Some(companion) = Companion::start(&agent.socket()) else { return };
    let text = companion.shows(&["Unhealthy, takes no tasks since ", "✗ disk: "]);
    let mut lines = text.lines().skip_while(|line| !line.starts_with("✗ disk: ")).skip(1);
    let hint = lines.next().unwrap();
    assert!(hint.starts_with("    ") && hint.len() > 20, "{text}");
    companion.photograph("unhealthy");
}

#[test]
fn an_update_is_looked_for_told_and_installed_from_the_menu() {
    if !can_run_service() {
        return;
    }
    let mut farm = Farm::prepare("  auto: false\n", &[]);
    farm.agent.bootstrap();
    farm.agent.wait_proved(None);
    let Some(companion) = Companion::start(&farm.agent.layout.state().join("agent.sock")) else {
        return;
    };
    companion.shows(&["Idle since ", "Check for Update Now\n"]);
    farm.publish(&farm.release("9.0.1"));
    companion.click("Check for Update Now");
    companion.shows(&["Version 9.0.1 is ready\n", "Install Update When Idle\n"]);
    companion.photograph("update-ready");
    companion.click("Install Update When Idle");
    wait_for("the new version in its place", || {
        (farm.installed().as_deref() == Some("9.0.1")).then_some(())
    });
    companion.shows(&["Idle since ", "Version 9.0.1\n"]);
    // The new agent has not looked yet, and would in its own time.
    companion.click("Check for Update Now");
    companion.shows(&["Idle since ", "Version 9.0.1 is up to date\n"]);
}

#[test]
fn a_second_one_ends_at_once_and_quit_ends_the_first() {
    let dir = test_dir();
    let socket = dir.path().join("nobody.sock");
    let Some(mut companion) = Companion::start(&socket) else { return };
    companion.shows(&["Cannot reach the agent since ", "entity not found"]);
    let mut again = command(&socket);
    let mut second = companion.desktop.spawn(again.stderr(Stdio::piped()));
    assert_eq!(second.wait(), Some(0));
    let mut said = String::new();
    std::io::Read::read_to_string(&mut second.0.stderr.take().unwrap(), &mut said).unwrap();
    assert!(said.contains("it runs already"), "{said}");
    companion.click("Quit");
    assert_eq!(companion.process.wait(), Some(0));
}

#[test]
fn what_the_person_wants_is_kept() {
    let dir = test_dir();
    let Some(mut companion) = Companion::start(&dir.path().join("nobody.sock")) else { return };
    companion.click("Notify When a Task Fails");
    let settings = companion.desktop.file("config/russet/menubar.json");
    let text = wait_for("the settings", || std::fs::read_to_string(&settings).ok());
    assert_eq!(text, r#"{"notify_failures":true}"#);
    companion.click("Quit");
    assert_eq!(companion.process.wait(), Some(0));
}
