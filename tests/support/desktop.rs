//! A desktop of a test's own: a D-Bus session, a virtual display, a panel with a real tray, and
//! what a person does with a menu, over D-Bus as the tray does it.

use std::collections::HashMap;
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use zbus::Connection;
use zbus::zvariant::{OwnedValue, Structure, Value};

use crate::support::{Process, has_tool, test_dir, wait_for};

/// Programs that have to be installed.
const PROGRAMS: [&str; 3] = ["dbus-daemon", "Xvfb", "xfce4-panel"];

/// A panel across the top of the screen, with nothing but a tray.
const PANEL: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<channel name="xfce4-panel" version="1.0">
  <property name="configver" type="int" value="2"/>
  <property name="panels" type="array">
    <value type="int" value="1"/>
    <property name="dark-mode" type="bool" value="true"/>
    <property name="panel-1" type="empty">
      <property name="position" type="string" value="p=6;x=0;y=0"/>
      <property name="length" type="uint" value="100"/>
      <property name="position-locked" type="bool" value="true"/>
      <property name="size" type="uint" value="30"/>
      <property name="plugin-ids" type="array">
        <value type="int" value="1"/>
        <value type="int" value="2"/>
      </property>
    </property>
  </property>
  <property name="plugins" type="empty">
    <property name="plugin-1" type="string" value="separator">
      <property name="expand" type="bool" value="true"/>
      <property name="style" type="uint" value="0"/>
    </property>
    <property name="plugin-2" type="string" value="systray">
      <property name="square-icons" type="bool" value="true"/>
      <property name="icon-size" type="int" value="22"/>
    </property>
  </property>
</channel>
"#;

/// A session with a display and a tray.
pub(crate) struct Desktop {
    runtime: tokio::runtime::Runtime,
    bus: Connection,
    address: String,
    display: String,
    // Ended before the bus that they live on, and the bus before the directory.
    _panel: Process,
    _screen: Process,
    _bus: Process,
    dir: tempfile::TempDir,
}

/// A line of a menu.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Line {
    id: i32,
    /// Text without access keys.
    pub(crate) label: String,
    /// Set if a click has an effect.
    pub(crate) is_enabled: bool,
    /// Lines of its submenu.
    pub(crate) below: Vec<Self>,
}

impl Desktop {
    /// Starts a session; `None`, and the test is skipped, where a program of it is missing.
    #[track_caller]
    pub(crate) fn start() -> Option<Self> {
        if !PROGRAMS.iter().all(|program| has_tool(program)) {
            return None;
        }
        let dir = test_dir();
        let panel_file = dir.path().join("config/xfce4/xfconf/xfce-perchannel-xml/xfce4-panel.xml");
        std::fs::create_dir_all(panel_file.parent().unwrap()).unwrap();
        std::fs::write(&panel_file, PANEL).unwrap();
        let runtime_dir = dir.path().join("runtime");
        std::fs::DirBuilder::new().mode(0o700).create(runtime_dir).unwrap();
        let (screen, number) = said_by(
            Command::new("Xvfb")
                .args(["-displayfd", "1", "-screen", "0", "1000x640x24", "-nolisten", "tcp"])
                .stderr(Stdio::null()),
        );
        let display = format!(":{number}");
        let mut daemon = Command::new("dbus-daemon");
        daemon.args(["--session", "--nofork", "--print-address=1"]);
        let (bus_process, address) =
            said_by(within(daemon.stderr(Stdio::null()), dir.path(), &display, ""));
        let mut panel = Command::new("xfce4-panel");
        panel.arg("--disable-wm-check").stdout(Stdio::null()).stderr(Stdio::null());
        let panel = within(&mut panel, dir.path(), &display, &address).spawn().unwrap();
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let bus = runtime.block_on(async {
            zbus::connection::Builder::address(address.as_str()).unwrap().build().await.unwrap()
        });
        let desktop = Self {
            runtime,
            bus,
            address,
            display,
            _panel: Process(panel),
            _screen: screen,
            _bus: bus_process,
            dir,
        };
        wait_for("a tray", || {
            let name = "IsStatusNotifierHostRegistered";
            let value = desktop.property(WATCHER, WATCHER_PATH, WATCHER, name)?;
            bool::try_from(value).ok()?.then_some(())
        });
        Some(desktop)
    }

    /// Starts a program in the session.
    pub(crate) fn spawn(&self, command: &mut Command) -> Process {
        Process(within(command, self.dir.path(), &self.display, &self.address).spawn().unwrap())
    }

    /// A file of the person whose session it is.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The name of a process' item in the tray, once the tray knows it.
    #[track_caller]
    pub(crate) fn wait_for_item(&self, process: &Process) -> String {
        let own = format!("-{}-", process.pid());
        wait_for("an item in the tray", || {
            let name = "RegisteredStatusNotifierItems";
            let items = self.property(WATCHER, WATCHER_PATH, WATCHER, name)?;
            let items = Vec::<String>::try_from(items).ok()?;
            let item = items.into_iter().find(|item| item.contains(&own))?;
            Some(item.split('/').next()?.to_owned())
        })
    }

    /// The menu of an item, as it is when the tray is about to show it.
    pub(crate) fn menu(&self, item: &str) -> Option<Vec<Line>> {
        self.call(item, "AboutToShow", &(0_i32,))?;
        let nothing: &[&str] = &[];
        let answer = self.call(item, "GetLayout", &(0_i32, -1_i32, nothing))?;
        let (_, root): (u32, Node) = answer.body().deserialize().ok()?;
        Some(line(root).below)
    }

    /// Chooses a line.
    pub(crate) fn click(&self, item: &str, line: &Line) {
        self.call(item, "Event", &(line.id, "clicked", Value::I32(0), 0_u32)).unwrap();
    }

    /// Largest picture of an item.
    pub(crate) fn picture(&self, item: &str) -> Option<Vec<u8>> {
        let interface = "org.kde.StatusNotifierItem";
        let value = self.property(item, "/StatusNotifierItem", interface, "IconPixmap")?;
        let pictures = Vec::<(i32, i32, Vec<u8>)>::try_from(value).ok()?;
        pictures.into_iter().map(|(_, _, data)| data).max_by_key(Vec::len)
    }

    /// Tool tip of an item.
    pub(crate) fn tool_tip(&self, item: &str) -> Option<String> {
        let interface = "org.kde.StatusNotifierItem";
        let value = self.property(item, "/StatusNotifierItem", interface, "ToolTip")?;
        let structure = Structure::try_from(value).ok()?;
        String::try_from(structure.fields().get(3)?.try_clone().ok()?).ok()
    }

    /// Opens the menu of the only item with a pointer, and takes a picture of the screen.
    pub(crate) fn photograph(&self, path: &Path) {
        let run = |program: &str, arguments: &[&str]| {
            let mut command = Command::new(program);
            command.args(arguments).env("DISPLAY", &self.display);
            let output = command.output().unwrap();
            assert!(output.status.success(), "{program}: {output:?}");
            output.stdout
        };
        let screen = || run("import", &["-window", "root", "-depth", "8", "rgb:-"]);
        run("xdotool", &["mousemove", "980", "15"]);
        let before = screen();
        run("xdotool", &["click", "1"]);
        wait_for("an open menu", || {
            let now = screen();
            let differs = before.iter().zip(&now).filter(|(one, other)| one != other).count();
            (differs > 50_000).then_some(())
        });
        // Until nothing moves any more.
        let mut last = screen();
        wait_for("a menu that is drawn", || {
            std::thread::sleep(std::time::Duration::from_millis(300));
            let now = screen();
            let is_still = now == last;
            last = now;
            is_still.then_some(())
        });
        run("import", &["-window", "root", path.to_str().unwrap()]);
        run("xdotool", &["key", "Escape"]);
        run("xdotool", &["mousemove", "300", "600"]);
    }

    fn call<B>(&self, item: &str, method: &str, body: &B) -> Option<zbus::Message>
    where
        B: serde::Serialize + zbus::zvariant::DynamicType,
    {
        let interface = Some("com.canonical.dbusmenu");
        self.runtime.block_on(async {
            self.bus.call_method(Some(item), "/MenuBar", interface, method, body).await.ok()
        })
    }

    fn property(&self, name: &str, path: &str, interface: &str, of: &str) -> Option<OwnedValue> {
        let properties = Some("org.freedesktop.DBus.Properties");
        self.runtime.block_on(async {
            let body = (interface, of);
            let call = self.bus.call_method(Some(name), path, properties, "Get", &body);
            call.await.ok()?.body().deserialize().ok()
        })
    }
}

const WATCHER: &str = "org.kde.StatusNotifierWatcher";
const WATCHER_PATH: &str = "/StatusNotifierWatcher";

/// A line as it comes over D-Bus: its number, what it is like, and what is below it.
type Node = (i32, HashMap<String, OwnedValue>, Vec<OwnedValue>);

fn line((id, mut like, below): Node) -> Line {
    let label = like.remove("label").and_then(|label| String::try_from(label).ok());
    let enabled = like.remove("enabled").and_then(|enabled| bool::try_from(enabled).ok());
    let below = below.into_iter().filter_map(|node| Node::try_from(Value::from(node)).ok());
    Line {
        id,
        label: label.unwrap_or_default().replace("__", "_"),
        is_enabled: enabled.unwrap_or(true),
        below: below.map(line).collect(),
    }
}

/// A command in the session, of a person without any files.
fn within<'a>(
    command: &'a mut Command,
    dir: &Path,
    display: &str,
    address: &str,
) -> &'a mut Command {
    command
        .env("HOME", dir)
        .env("XDG_CONFIG_HOME", dir.join("config"))
        .env("XDG_RUNTIME_DIR", dir.join("runtime"))
        .env("XDG_CACHE_HOME", dir.join("cache"))
        .env("DISPLAY", display)
        .env("DBUS_SESSION_BUS_ADDRESS", address)
        .env("NO_AT_BRIDGE", "1")
        .stdin(Stdio::null())
}

/// Starts a program that says one thing when it is ready.
fn said_by(command: &mut Command) -> (Process, String) {
    let mut child: Child = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut said = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut said).unwrap();
    assert!(!said.is_empty(), "{command:?} did not start");
    (Process(child), said.trim().to_owned())
}
