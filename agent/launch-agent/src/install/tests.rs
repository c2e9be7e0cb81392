//! Installations below a directory of the test's own, with real users, stopped at every point.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt};
use std::path::{Path, PathBuf};

use russet_protocol::secret::Secret;
use zeroize::Zeroizing;

use super::{
    ConfigSource, InstallError, Item, Moment, Outcome, Removal, Repair, Report, SealedMachine,
    Settings, Verdict, install_agent, installed_program, look_at_users, repair_installation,
    request_repair, uninstall_agent, user_faults,
};
use crate::vault::Vault;
use russet_platform::account::{Account, Ids};
use russet_platform::accounts::Accounts;
use russet_platform::layout::Layout;
use russet_platform::service::Service;

/// A root with the directories that every system has, and a program to install.
struct Machine {
    dir: tempfile::TempDir,
    prefix: String,
}

impl Machine {
    /// `None` where the tests do not run as root.
    fn new() -> Option<Self> {
        if !russet_test_skip::can_be_root("to own what is installed") {
            return None;
        }
        let mut random = [0_u8; 4];
        getrandom::fill(&mut random).unwrap();
        let prefix = format!("_ri{:08x}_", u32::from_ne_bytes(random));
        // In memory, where syncing hundreds of receipts takes no time.
        let dir = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
        let machine = Self { dir, prefix };
        let state = machine.layout().state();
        std::fs::create_dir_all(state.parent().unwrap()).unwrap();
        for (name, text) in [("russet", "one"), ("russet-boot", "boot")] {
            std::fs::write(machine.dir.path().join(name), text).unwrap();
        }
        Some(machine)
    }

    fn layout(&self) -> Layout {
        Layout::below(&self.dir.path().join("root"))
    }

    fn settings(&self) -> Settings {
        let text = format!(
            "api: {{ url: \"https://ci.example.com\", auth_token: secret-token }}\n\
             runner: {{ name: test, slots: 1, user_prefix: {} }}\n",
            self.prefix
        );
        Settings {
            layout: self.layout(),
            program: self.dir.path().join("russet"),
            config: Some(ConfigSource::Text(Zeroizing::new(text))),
            users: true,
            service: None,
            is_image: false,
            is_for_developers: false,
        }
    }

    fn install_agent(&self) -> Vec<Report> {
        install_agent(&self.settings(), false, &mut |_| ControlFlow::Continue(())).unwrap()
    }

    fn uninstall_agent(&self, wishes: Removal) -> Option<Vec<Report>> {
        let program = self.settings().program;
        let service = Service::system(&self.layout());
        let mut watch = |_: Moment<'_>| ControlFlow::Continue(());
        uninstall_agent(&self.layout(), &program, &service, wishes, &mut watch).unwrap()
    }

    fn user(&self) -> String {
        format!("{}1", self.prefix)
    }

    /// Everything below the root with type, owner and mode, and the user and the group.
    fn listing(&self) -> BTreeMap<PathBuf, String> {
        let root = self.layout().root().to_owned();
        let mut found = BTreeMap::new();
        list(&root, &mut found);
        let name = self.user();
        if let Some(user) = nix::unistd::User::from_name(&name).unwrap() {
            found.insert(PathBuf::from("user"), format!("{:?} {:?}", user.dir, user.shell));
        }
        if nix::unistd::Group::from_name(&name).unwrap().is_some() {
            found.insert(PathBuf::from("group"), String::new());
        }
        found
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        Accounts::system().delete(&self.user()).ok();
    }
}

fn list(directory: &Path, found: &mut BTreeMap<PathBuf, String>) {
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let meta = std::fs::symlink_metadata(&path).unwrap();
        let what = format!("{:?} {} {:o}", meta.file_type(), meta.uid(), meta.mode());
        found.insert(path.clone(), what);
        if meta.is_dir() {
            list(&path, found);
        }
    }
}

/// Stops at the `n`th moment; counts those that came.
fn stopping(n: usize, count: &mut usize) -> impl FnMut(Moment<'_>) -> ControlFlow<()> + '_ {
    move |_| {
        *count += 1;
        if *count > n { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
}

#[test]
fn an_installation_is_complete_idempotent_and_leaves_nothing_when_it_is_removed() {
    let Some(machine) = Machine::new() else { return };
    let before = machine.listing();
    let reports = machine.install_agent();
    assert!(reports.iter().all(|report| report.outcome != Outcome::Failed), "{reports:?}");
    let layout = machine.layout();
    let mode = |path: PathBuf| std::fs::metadata(path).unwrap().permissions().mode() & 0o7777;
    assert_eq!(mode(layout.config()), 0o600);
    assert_eq!(mode(layout.state()), 0o711);
    assert_eq!(mode(layout.executable()), 0o755);
    assert_eq!(mode(layout.receipt()), 0o600);
    let link = std::fs::read_link(layout.bin().join("russet")).unwrap();
    assert_eq!(link, layout.executable());
    let complete = machine.listing();
    assert!(complete.contains_key(Path::new("user")));
    // Nothing of the token is in the receipt.
    assert!(!std::fs::read_to_string(layout.receipt()).unwrap().contains("secret-token"));

    let again = machine.install_agent();
    assert!(again.iter().all(|report| report.outcome == Outcome::Unchanged), "{again:?}");
    assert_eq!(machine.listing(), complete);

    machine.uninstall_agent(Removal::default()).unwrap();
    assert_eq!(machine.listing(), before);
    assert_eq!(machine.uninstall_agent(Removal::default()), None);
}

#[test]
fn an_installation_that_is_stopped_anywhere_is_finished_by_the_next_one_or_removed() {
    let Some(machine) = Machine::new() else { return };
    let before = machine.listing();
    machine.install_agent();
    let complete = machine.listing();
    machine.uninstall_agent(Removal::default());
    for n in 0.. {
        let mut count = 0;
        let result = install_agent(&machine.settings(), false, &mut stopping(n, &mut count));
        if result.is_ok() {
            assert!(n > 20, "there were only {n} moments");
            break;
        }
        assert!(matches!(result, Err(InstallError::Interrupted)), "{result:?}");
        // Every other time it is given up instead of being finished.
        if n % 2 == 0 {
            machine.install_agent();
            assert_eq!(machine.listing(), complete, "stopped at moment {n}");
        }
        machine.uninstall_agent(Removal::default());
        assert_eq!(machine.listing(), before, "stopped at moment {n}");
    }
}

#[test]
fn a_removal_that_is_stopped_anywhere_is_finished_by_the_next_one() {
    let Some(machine) = Machine::new() else { return };
    let before = machine.listing();
    let program = machine.settings().program;
    for n in 0.. {
        machine.install_agent();
        let mut count = 0;
        let result = uninstall_agent(
            &machine.layout(),
            &program,
            &Service::system(&machine.layout()),
            Removal::default(),
            &mut stopping(n, &mut count),
        );
        if result.is_ok() {
            assert!(n > 20, "there were only {n} moments");
            break;
        }
        machine.uninstall_agent(Removal::default());
        assert_eq!(machine.listing(), before, "stopped at moment {n}");
    }
}

#[test]
fn what_was_there_before_is_there_afterwards_as_it_was() {
    let Some(machine) = Machine::new() else { return };
    let layout = machine.layout();
    std::fs::create_dir_all(layout.logs()).unwrap();
    std::fs::set_permissions(layout.logs(), PermissionsExt::from_mode(0o750)).unwrap();
    std::fs::write(layout.logs().join("old.log"), "x").unwrap();
    std::fs::create_dir_all(layout.code().parent().unwrap().join("other")).unwrap();
    let before = machine.listing();
    machine.install_agent();
    assert_eq!(std::fs::metadata(layout.logs()).unwrap().mode() & 0o7777, 0o755);
    machine.uninstall_agent(Removal::default());
    assert_eq!(machine.listing(), before);
}

#[test]
fn a_removal_that_keeps_data_keeps_configuration_and_logs_until_one_that_does_not() {
    let Some(machine) = Machine::new() else { return };
    let (before, layout) = (machine.listing(), machine.layout());
    machine.install_agent();
    std::fs::write(layout.agent_log(), "line").unwrap();
    std::fs::create_dir(layout.state().join("libexec")).unwrap();
    let vault = Vault::open(&layout.state()).unwrap();
    vault.add_token("mini", "https://ci.example.com", &Secret::new("tok")).unwrap();
    machine.uninstall_agent(Removal { keep_data: true, ..Removal::default() });
    assert!(layout.config().exists() && layout.agent_log().exists());
    assert_eq!(vault.token("mini", "https://ci.example.com").unwrap().expose(), "tok");
    assert!(!layout.code().exists() && !layout.state().join("libexec").exists());
    assert_eq!(Accounts::system().find(&machine.user()).unwrap(), None);
    // An installation on top keeps the owner's file.
    let edited = std::fs::read_to_string(layout.config()).unwrap() + "# mine\n";
    std::fs::write(layout.config(), &edited).unwrap();
    machine.install_agent();
    assert_eq!(std::fs::read_to_string(layout.config()).unwrap(), edited);
    machine.uninstall_agent(Removal::default());
    assert_eq!(machine.listing(), before);
}

#[test]
fn the_machine_is_noted_once_and_an_image_says_that_it_is_one() {
    let Some(machine) = Machine::new() else { return };
    let layout = machine.layout();
    let id = layout.root().join("etc/machine-id");
    std::fs::create_dir_all(id.parent().unwrap()).unwrap();
    std::fs::write(&id, "11112222333344445555666677778888\n").unwrap();
    let before = machine.listing();
    machine.install_agent();
    let sealed = || std::fs::read_to_string(layout.seal()).unwrap();
    assert!(sealed().contains("11112222333344445555666677778888"));
    // An installer that runs on a copy does not decide that it is no copy.
    std::fs::write(&id, "aaaabbbbccccddddeeeeffff00001111\n").unwrap();
    let again = machine.install_agent();
    assert!(again.iter().all(|report| report.outcome == Outcome::Unchanged), "{again:?}");
    assert!(sealed().contains("11112222333344445555666677778888"));
    assert!(matches!(SealedMachine::of(&layout).verdict(), Verdict::Elsewhere { .. }));
    let image = Settings { is_image: true, ..machine.settings() };
    let reports = install_agent(&image, false, &mut |_| ControlFlow::Continue(())).unwrap();
    let done = reports.iter().filter(|report| report.outcome == Outcome::Done);
    assert!(
        done.map(|report| &report.action).all(|action| action.contains("image")),
        "{reports:?}"
    );
    assert_eq!(SealedMachine::of(&layout).verdict(), Verdict::Image);
    machine.uninstall_agent(Removal::default());
    assert_eq!(machine.listing(), before);
}

#[test]
fn a_directory_whose_access_list_lets_others_write_is_not_installed_into() {
    let Some(machine) = Machine::new() else { return };
    let opt = machine.layout().code().parent().unwrap().to_owned();
    std::fs::create_dir_all(&opt).unwrap();
    // A POSIX list shows in the mode; one of macOS does not, and is compared in platform/trust.rs.
    let set = std::process::Command::new("setfacl").args(["-m", "u:58001:rwx"]).arg(&opt).status();
    if !set.is_ok_and(|status| status.success()) {
        russet_test_skip::skip(russet_test_skip::Lacks::Machine, "no setfacl, or no access lists");
        return;
    }
    let error =
        install_agent(&machine.settings(), false, &mut |_| ControlFlow::Continue(())).unwrap_err();
    assert!(matches!(error, InstallError::Untrusted { .. }), "{error}");
    assert!(error.hint().unwrap().contains("chmod -N"), "{error}");
    machine.uninstall_agent(Removal::default());
}

#[test]
fn developer_mode_is_set_after_the_users_and_taken_back_before_them() {
    let Some(machine) = Machine::new() else { return };
    let settings = Settings { is_for_developers: true, ..machine.settings() };
    let (steps, _) = super::plan_install(&settings).unwrap();
    let at = |fits: &dyn Fn(&Item) -> bool| steps.iter().position(|step| fits(&step.item)).unwrap();
    let user = at(&|item| matches!(item, Item::User { .. }));
    let member = at(&|item| matches!(item, Item::Member { user } if *user == machine.user()));
    let mode = at(&|item| *item == Item::DeveloperMode);
    assert!(user < member && member < mode);
    for step in steps.iter().skip(member).take(2) {
        assert!(step.sentence().len() > 10 && step.item.undoing().len() > 10, "{step:?}");
    }
}

#[test]
fn a_new_version_takes_the_place_of_the_old_one_which_stays_beside_it() {
    let Some(machine) = Machine::new() else { return };
    machine.install_agent();
    std::fs::write(machine.dir.path().join("russet"), "two").unwrap();
    let done: Vec<_> = machine
        .install_agent()
        .into_iter()
        .filter(|report| report.outcome == Outcome::Done)
        .map(|report| report.action)
        .collect();
    assert!(matches!(done.as_slice(), [one] if one.starts_with("copy ")), "{done:?}");
    let layout = machine.layout();
    assert_eq!(std::fs::read_to_string(layout.executable()).unwrap(), "two");
    assert_eq!(std::fs::read_to_string(layout.previous_executable()).unwrap(), "one");
    machine.uninstall_agent(Removal::default());
}

#[test]
fn the_users_of_an_installation_are_repaired_with_their_ids() {
    let Some(machine) = Machine::new() else { return };
    machine.install_agent();
    let state = machine.layout().state();
    let look = |prefix: &str| look_at_users(&state, prefix, true).unwrap();
    assert_eq!(look(&machine.prefix), Repair::default());
    let accounts = Accounts::system();
    let account = accounts.find(&machine.user()).unwrap().unwrap();
    let account = Account { ids: reserve_ids(&machine, 40_000), ..account };
    accounts.delete(&machine.user()).unwrap();
    assert_eq!(look(&machine.prefix).done.len(), 2);
    assert_eq!(accounts.find(&machine.user()).unwrap(), Some(account));
    // Users of another prefix are not this agent's.
    accounts.delete(&machine.user()).unwrap();
    assert_eq!(look("_another"), Repair::default());
    machine.uninstall_agent(Removal::default());
}

/// Notes ids for the user of an installation that no test which runs at the same time is given: a user
/// that is made again gets others where its own are taken meanwhile.
fn reserve_ids(machine: &Machine, first: u32) -> Ids {
    let id = first + std::process::id() % 10_000;
    let ids = Ids { uid: id, gid: id, generated_uid: String::new() };
    let mut receipt = installed_program(&machine.layout()).unwrap().unwrap();
    receipt.has_ids(&machine.user(), &ids).unwrap();
    ids
}

#[test]
fn an_agent_that_may_not_repair_its_users_says_what_is_wrong_until_it_is_asked_to() {
    let Some(machine) = Machine::new() else { return };
    assert_eq!(repair_installation(&machine.layout()).unwrap(), None);
    machine.install_agent();
    let (state, accounts) = (machine.layout().state(), Accounts::system());
    let look = || look_at_users(&state, &machine.prefix, false).unwrap();
    assert_eq!(look(), Repair::default());
    reserve_ids(&machine, 50_000);
    accounts.delete(&machine.user()).unwrap();
    let gone = vec![format!("the user {} does not exist any more", machine.user())];
    assert_eq!(look(), Repair { done: Vec::new(), wrong: gone.clone() });
    assert_eq!(user_faults(&machine.layout()).unwrap(), gone);
    assert_eq!(accounts.find(&machine.user()).unwrap(), None);
    // Asked once, it does so once.
    request_repair(&machine.layout()).unwrap();
    assert_eq!(look().done.len(), 2);
    accounts.delete(&machine.user()).unwrap();
    assert_eq!(look().wrong, gone);
    // Whoever runs the command does it by itself.
    assert_eq!(repair_installation(&machine.layout()).unwrap().map(|done| done.len()), Some(2));
    assert_eq!(user_faults(&machine.layout()).unwrap(), Vec::<String>::new());
    machine.uninstall_agent(Removal::default());
}

#[test]
fn an_agent_with_tasks_is_not_removed_unless_that_is_said() {
    let Some(machine) = Machine::new() else { return };
    machine.install_agent();
    let slot = machine.layout().state().join("slots/1");
    std::fs::create_dir_all(&slot).unwrap();
    std::fs::write(slot.join("journal.json"), "{}").unwrap();
    let program = machine.settings().program;
    let mut watch = |_: Moment<'_>| ControlFlow::Continue(());
    let service = Service::system(&machine.layout());
    let error =
        uninstall_agent(&machine.layout(), &program, &service, Removal::default(), &mut watch)
            .unwrap_err();
    assert_eq!(error.to_string(), "tasks run in slot 1");
    assert!(error.hint().unwrap().contains("--wait"));
    assert!(installed_program(&machine.layout()).unwrap().is_some());
    machine.uninstall_agent(Removal { force: true, ..Removal::default() }).unwrap();
    assert!(!machine.layout().state().exists());
}

#[test]
fn a_state_directory_of_the_owners_is_removed_only_if_it_was_made_for_the_agent() {
    let Some(machine) = Machine::new() else { return };
    for there in [false, true] {
        let state = machine.dir.path().join("state");
        if there {
            std::fs::create_dir(&state).unwrap();
        }
        let Some(ConfigSource::Text(text)) = machine.settings().config else { return };
        let text =
            text.replace("slots: 1", &format!("slots: 1, state_directory: {}", state.display()));
        let config = Some(ConfigSource::Text(Zeroizing::new(text)));
        let settings = Settings { config, ..machine.settings() };
        for _ in 0..2 {
            install_agent(&settings, false, &mut |_| ControlFlow::Continue(())).unwrap();
        }
        let user = nix::unistd::User::from_name(&machine.user()).unwrap().unwrap();
        assert_eq!(user.dir, state.join("slots/1/home"));
        let mode = state.metadata().unwrap().mode() & 0o7777;
        assert_eq!(mode == 0o711, !there);
        machine.uninstall_agent(Removal::default());
        assert_eq!(state.exists(), there);
    }
}

#[test]
fn a_plan_that_is_only_shown_changes_nothing() {
    let Some(machine) = Machine::new() else { return };
    let before = machine.listing();
    let reports =
        install_agent(&machine.settings(), true, &mut |_| ControlFlow::Continue(())).unwrap();
    assert!(reports.iter().any(|report| report.action.contains(&machine.user())));
    assert_eq!(machine.listing(), before);
}

#[test]
fn without_a_configuration_or_russet_boot_nothing_is_begun() {
    let Some(machine) = Machine::new() else { return };
    let mut watch = |_: Moment<'_>| ControlFlow::Continue(());
    let settings = Settings { config: None, ..machine.settings() };
    let error = install_agent(&settings, false, &mut watch).unwrap_err();
    assert!(error.hint().unwrap().contains("--token-file"), "{error}");
    std::fs::remove_file(machine.dir.path().join("russet-boot")).unwrap();
    let error = install_agent(&machine.settings(), false, &mut watch).unwrap_err();
    assert!(matches!(error, InstallError::NoBoot { .. }), "{error}");
    assert!(!machine.layout().state().exists());
}

#[test]
fn what_others_could_exchange_is_not_installed_into() {
    let Some(machine) = Machine::new() else { return };
    let opt = machine.layout().code().parent().unwrap().to_owned();
    std::fs::create_dir_all(&opt).unwrap();
    std::os::unix::fs::chown(&opt, Some(58_300), None).unwrap();
    let error =
        install_agent(&machine.settings(), false, &mut |_| ControlFlow::Continue(())).unwrap_err();
    assert!(matches!(error, InstallError::Untrusted { .. }), "{error}");
    assert!(!machine.layout().code().exists());
    machine.uninstall_agent(Removal::default());
}

#[test]
fn something_of_somebody_else_in_the_way_is_not_replaced() {
    let Some(machine) = Machine::new() else { return };
    std::fs::create_dir_all(machine.layout().bin()).unwrap();
    std::fs::write(machine.layout().bin().join("russet"), "somebody's").unwrap();
    let error =
        install_agent(&machine.settings(), false, &mut |_| ControlFlow::Continue(())).unwrap_err();
    assert!(matches!(error, InstallError::InTheWay { .. }), "{error}");
    machine.uninstall_agent(Removal::default());
    assert!(machine.layout().bin().join("russet").exists());
}

#[test]
fn every_action_says_what_it_does_and_how_it_is_undone() {
    let Some(machine) = Machine::new() else { return };
    let (steps, _) = super::plan_install(&Settings {
        service: Some(Service::system(&machine.layout())),
        ..machine.settings()
    })
    .unwrap();
    for step in &steps {
        assert!(step.sentence().len() > 10, "{step:?}");
        assert!(step.item.undoing().len() > 10, "{step:?}");
    }
    assert!(steps.iter().any(|step| step.item == Item::Job));
}

/// A systemd that keeps the unit's state in files, and an agent that says in `health` how it is.
#[cfg(target_os = "linux")]
const SYSTEMCTL: &str = r#"
cd "${0%/*}"
echo "$*" >>asked
case $1 in
show)
  pid=0; [ -e started ] && pid=4711
  unit=disabled; [ -e enabled ] && unit=enabled
  printf 'LoadState=loaded\nActiveState=x\nSubState=y\nMainPID=%s\nExecMainCode=1\nExecMainStatus=3\nUnitFileState=%s\n' $pid $unit ;;
enable) touch enabled ;;
disable) rm -f enabled ;;
start|restart) touch started; mkdir -p "$(cat state)/boot"; cat health >"$(cat state)/boot/health" ;;
stop) rm -f started ;;
esac
"#;

#[cfg(target_os = "linux")]
#[test]
fn the_job_is_enabled_started_waited_for_renewed_and_removed() {
    use russet_platform::command::{Tools, testing::fake_tool};
    let Some(machine) = Machine::new() else { return };
    let (before, layout) = (machine.listing(), machine.layout());
    let tools = tempfile::tempdir().unwrap();
    fake_tool(tools.path(), "systemctl", SYSTEMCTL);
    let file = |name: &str| tools.path().join(name);
    std::fs::write(file("state"), layout.state().display().to_string()).unwrap();
    std::fs::write(file("health"), format!("pid {}\nstate ready\n", std::process::id())).unwrap();
    let service = Service::with(&layout, Tools::below(tools.path()), tools.path().to_owned());
    let settings = Settings { service: Some(service.clone()), ..machine.settings() };
    let mut watch = |_: Moment<'_>| ControlFlow::Continue(());
    install_agent(&settings, false, &mut watch).unwrap();
    assert!(file("started").exists() && file("enabled").exists());
    let asked = || std::fs::read_to_string(file("asked")).unwrap();
    assert_eq!(asked().matches("start russet-agent").count(), 1);
    // Nothing new: it goes on undisturbed.
    install_agent(&settings, false, &mut watch).unwrap();
    assert_eq!(asked().matches("start russet-agent").count(), 1);
    // New code: it is started again.
    std::fs::write(&settings.program, "two").unwrap();
    install_agent(&settings, false, &mut watch).unwrap();
    assert_eq!(asked().matches("start russet-agent").count(), 2);
    uninstall_agent(&layout, &settings.program, &service, Removal::default(), &mut watch).unwrap();
    assert!(!file("started").exists() && !file("enabled").exists());
    assert!(asked().ends_with("daemon-reload\n"), "{}", asked());
    assert_eq!(machine.listing(), before);
}

#[test]
fn a_state_directory_of_an_installation_that_was_killed_before_its_receipt_is_ours() {
    let Some(machine) = Machine::new() else { return };
    let before = machine.listing();
    for draft in [None, Some("{ half a rec")] {
        let state = machine.layout().state();
        std::fs::create_dir(&state).unwrap();
        std::fs::set_permissions(&state, std::fs::Permissions::from_mode(0o711)).unwrap();
        if let Some(text) = draft {
            std::fs::write(super::files::draft_path(&machine.layout().receipt()), text).unwrap();
        }
        machine.install_agent();
        machine.uninstall_agent(Removal::default());
        assert_eq!(machine.listing(), before, "{draft:?}");
    }
}

#[test]
fn what_a_package_put_in_place_is_taken_over_once_and_removed_with_the_rest() {
    let Some(machine) = Machine::new() else { return };
    let layout = machine.layout();
    let uninstaller = layout.code().join("uninstall.sh");
    let files = [
        (layout.executable(), "two"),
        (layout.boot(), "boot"),
        (uninstaller, "#!/bin/sh"),
        (layout.menubar_executable(), "menubar"),
        (layout.menubar_plist(), "plist"),
    ];
    for (path, text) in &files {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    let settings = || Settings { program: layout.executable(), ..machine.settings() };
    let mut watch = |_: Moment<'_>| ControlFlow::Continue(());
    let reports = install_agent(&settings(), false, &mut watch).unwrap();
    let taken = |report: &&Report| report.action.starts_with("take over");
    // They, and the directory of code.
    assert_eq!(reports.iter().filter(taken).count(), files.len() + 1, "{reports:?}");
    assert!(!layout.previous().exists(), "what is in place was put in place again");
    let again = install_agent(&settings(), false, &mut watch).unwrap();
    assert!(again.iter().all(|report| report.outcome == Outcome::Unchanged), "{again:?}");
    machine.uninstall_agent(Removal::default()).unwrap();
    for (path, _) in &files {
        assert!(!path.exists(), "{} is left", path.display());
    }
    assert!(!layout.code().exists());
}
