//! Accounts of slots, made with shadow's tools, which take the locks of the user database and
//! choose the ids.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use nix::unistd::{Gid, Group, Uid, User};

use crate::account::{Account, AccountError, Ids, Wanted, as_made};
use crate::command::{Command, CommandError, Output, Tools};

/// The program that a login would start: none.
pub const SHELL: &str = "/usr/sbin/nologin";

const GROUPADD: &str = "/usr/sbin/groupadd";
const GROUPDEL: &str = "/usr/sbin/groupdel";
const USERADD: &str = "/usr/sbin/useradd";
const USERDEL: &str = "/usr/sbin/userdel";
const USERMOD: &str = "/usr/sbin/usermod";

/// Time for which somebody else who changes the user database is waited for.
const PATIENCE: Duration = Duration::from_secs(60);

/// Interval of looks whether they have ended.
const PATIENCE_INTERVAL: Duration = Duration::from_millis(50);

/// shadow: the id is somebody's.
const ID_TAKEN: i32 = 4;

/// shadow: the user or group does not exist.
const NO_SUCH: i32 = 6;

/// The user database.
#[derive(Clone, Debug, Default)]
pub struct Accounts {
    tools: Tools,
}

impl Accounts {
    /// The system's own.
    #[must_use]
    pub fn system() -> Self {
        Self::default()
    }

    /// The account of this name.
    ///
    /// # Errors
    ///
    /// The database cannot be read.
    pub fn find(&self, name: &str) -> Result<Option<Account>, AccountError> {
        let failed = |source| AccountError::LookUp { name: name.to_owned(), source };
        let Some(user) = User::from_name(name).map_err(failed)? else { return Ok(None) };
        let group = Group::from_gid(user.gid).map_err(failed)?;
        Ok(Some(Account {
            name: name.to_owned(),
            ids: Ids {
                uid: user.uid.as_raw(),
                gid: user.gid.as_raw(),
                generated_uid: String::new(),
            },
            group: group.map(|group| group.name).unwrap_or_default(),
            home: user.dir,
            shell: user.shell,
            hidden: true,
            // `x` says that shadow has it, where useradd leaves a locked one.
            password: user.passwd.is_empty(),
        }))
    }

    /// Makes the account, or repairs it. Returns it with what had to be done, each as a
    /// sentence.
    ///
    /// # Errors
    ///
    /// The name is somebody's, or a tool refuses.
    pub fn ensure(&self, wanted: &Wanted) -> Result<(Account, Vec<String>), AccountError> {
        let name = &wanted.name;
        wait_for_tools(name);
        let mut done = Vec::new();
        let found = self.find(name)?;
        if let Some(account) = &found {
            refuse_foreign(wanted, account)?;
        }
        let failed = |source| AccountError::LookUp { name: name.clone(), source };
        if Group::from_name(name).map_err(failed)?.is_none() {
            self.add_group(wanted)?;
            done.push(format!("made the group {name}"));
        }
        match found {
            None => {
                self.add_user(wanted)?;
                done.push(format!("made the user {name}"));
            }
            Some(account) => {
                // Ids stay: files belong to them.
                let fresh = Wanted { before: None, ..wanted.clone() };
                for fault in account.faults(&fresh, SHELL) {
                    done.push(format!("repaired the user {name}, which {fault}"));
                }
                if !done.is_empty() {
                    let command = || {
                        let command = self.tools.command(USERMOD).args(["--gid", name]);
                        let command = command.arg("--home").arg(&wanted.home);
                        command.args(["--shell", SHELL, name])
                    };
                    let output = self.patiently(&command, "repair the user", name)?;
                    let failed = |source| account_error("repair the user", name, source);
                    output.ok().map_err(failed)?;
                }
            }
        }
        Ok((as_made(self.find(name)?, wanted, SHELL)?, done))
    }

    /// Deletes the account and its group. `false`: there was none.
    ///
    /// # Errors
    ///
    /// A tool refuses, as `userdel` does while the user has processes.
    pub fn delete(&self, name: &str) -> Result<bool, AccountError> {
        wait_for_tools(name);
        let mut any = false;
        // userdel deletes a user's own group as well, unless login.defs says otherwise.
        for (tool, what) in [(USERDEL, "delete the user"), (GROUPDEL, "delete the group")] {
            let output = self.patiently(&|| self.tools.command(tool).arg(name), what, name)?;
            match output.code() {
                Some(0) => any = true,
                Some(NO_SUCH) => {}
                _ => return Err(account_error(what, name, output.failed(None))),
            }
        }
        Ok(any)
    }

    fn add_group(&self, wanted: &Wanted) -> Result<(), AccountError> {
        let before = wanted.before.as_ref().map(|before| before.gid);
        let free = before.filter(|&gid| matches!(Group::from_gid(Gid::from_raw(gid)), Ok(None)));
        let command = |gid: Option<u32>| {
            let command = self.tools.command(GROUPADD).arg("--system");
            let command = match gid {
                Some(gid) => command.arg("--gid").arg(gid.to_string()),
                None => command,
            };
            command.arg(&wanted.name)
        };
        self.add(&command, free, "make the group", &wanted.name)
    }

    fn add_user(&self, wanted: &Wanted) -> Result<(), AccountError> {
        let before = wanted.before.as_ref().map(|before| before.uid);
        let free = before.filter(|&uid| matches!(User::from_uid(Uid::from_raw(uid)), Ok(None)));
        let command = |uid: Option<u32>| {
            let command = self.tools.command(USERADD).args(["--system", "--no-create-home"]);
            let command = command.args(["--gid", &wanted.name, "--shell", SHELL]);
            let command = command.args(["--comment", &wanted.full_name]);
            let command = command.arg("--home-dir").arg(&wanted.home);
            let command = match uid {
                Some(uid) => command.arg("--uid").arg(uid.to_string()),
                None => command,
            };
            command.arg(&wanted.name)
        };
        self.add(&command, free, "make the user", &wanted.name)
    }

    /// Adds something with this id, or with another one where somebody has taken it since it was
    /// looked at.
    fn add(
        &self,
        command: &dyn Fn(Option<u32>) -> Command,
        id: Option<u32>,
        what: &str,
        name: &str,
    ) -> Result<(), AccountError> {
        let mut output = self.patiently(&|| command(id), what, name)?;
        if id.is_some() && output.code() == Some(ID_TAKEN) {
            output = self.patiently(&|| command(None), what, name)?;
        }
        output.ok().map(drop).map_err(|source| account_error(what, name, source))
    }

    /// Runs a command again while somebody else has the database locked.
    fn patiently(
        &self,
        command: &dyn Fn() -> Command,
        what: &str,
        name: &str,
    ) -> Result<Output, AccountError> {
        let start = Instant::now();
        loop {
            let output = command().run().map_err(|source| account_error(what, name, source))?;
            let locked = !output.status.success() && output.error_text().contains("cannot lock");
            if !locked || start.elapsed() > PATIENCE {
                return Ok(output);
            }
            std::thread::sleep(Duration::from_millis(200));
        }
    }
}

/// Waits for tools that a killed run of ours left at work on this name: a user that one is about to
/// make or to delete is neither there nor gone.
fn wait_for_tools(name: &str) {
    let start = Instant::now();
    while is_worked_on(name) && start.elapsed() < PATIENCE {
        std::thread::sleep(PATIENCE_INTERVAL);
    }
}

fn is_worked_on(name: &str) -> bool {
    let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    processes.into_iter().any(|process| is_tool_for(&process.path(), name))
}

/// Threat: whoever calls a process of theirs so would have us wait. Only our own user's count.
fn is_tool_for(process: &Path, name: &str) -> bool {
    let is_ours = |meta: std::fs::Metadata| meta.uid() == nix::unistd::geteuid().as_raw();
    if !process.symlink_metadata().is_ok_and(is_ours) {
        return false;
    }
    let Ok(line) = std::fs::read(process.join("cmdline")) else { return false };
    let line = String::from_utf8_lossy(&line);
    let mut words = line.split('\0');
    let program = words.next().and_then(|program| Path::new(program).file_name());
    let tools = [GROUPADD, GROUPDEL, USERADD, USERDEL, USERMOD];
    let is_tool = tools.iter().any(|tool| Path::new(tool).file_name() == program);
    is_tool && words.any(|word| word == name)
}

fn account_error(what: &str, name: &str, source: CommandError) -> AccountError {
    let lack = match source {
        CommandError::NotFound { .. } => {
            " for lack of shadow's tools (Debian: passwd, Fedora: shadow-utils)"
        }
        _ => "",
    };
    AccountError::Command { what: format!("{what} {name}{lack}"), source: Box::new(source) }
}

/// Threat: everything of a slot's user is ended and deleted after a task. A person, or another
/// program's user, must never become a slot's.
fn refuse_foreign(wanted: &Wanted, account: &Account) -> Result<(), AccountError> {
    let foreign = |what: String| Err(AccountError::Foreign { name: wanted.name.clone(), what });
    if account.ids.uid == 0 {
        return foreign("has the id of root".to_owned());
    }
    if wanted.before.is_none() && account.home != wanted.home {
        return foreign(format!("has the home {}", account.home.display()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{Accounts, SHELL};
    use crate::account::{AccountError, Ids, Wanted};
    use crate::command::Tools;
    use crate::command::testing::fake_tool;
    use std::path::PathBuf;

    /// A user of this test alone, deleted at its end.
    struct Guest(Wanted);

    impl Guest {
        fn new() -> Option<Self> {
            if !russet_test_skip::can_be_root("to make users") {
                return None;
            }
            let mut random = [0_u8; 4];
            getrandom::fill(&mut random).unwrap();
            let name = format!("_ru{:08x}1", u32::from_ne_bytes(random));
            let home = PathBuf::from("/nonexistent/home");
            let full_name = "Russet slot 1".to_owned();
            Some(Self(Wanted { name, full_name, home, before: None }))
        }
    }

    impl Drop for Guest {
        fn drop(&mut self) {
            Accounts::system().delete(&self.0.name).unwrap();
        }
    }

    #[test]
    fn a_tool_that_a_killed_run_left_at_work_is_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        let tool = dir.path().join("useradd");
        std::fs::copy("/bin/sleep", &tool).unwrap();
        // `sleep` takes the name for a time.
        let name = "0.7352";
        let mut left = std::process::Command::new("/bin/sh")
            .args(["-c", "until \"$0\" \"$1\"; do :; done"])
            .arg(&tool)
            .arg(name)
            .spawn()
            .unwrap();
        while !super::is_worked_on(name) {
            assert!(left.try_wait().unwrap().is_none(), "it ended unseen");
        }
        super::wait_for_tools(name);
        assert!(!super::is_worked_on(name));
        left.wait().unwrap();
    }

    #[test]
    fn a_slot_gets_a_system_user_with_a_group_of_its_own_and_loses_both() {
        let Some(guest) = Guest::new() else { return };
        let (accounts, wanted) = (Accounts::system(), &guest.0);
        assert_eq!(accounts.find(&wanted.name).unwrap(), None);
        let (account, done) = accounts.ensure(wanted).unwrap();
        assert_eq!(done.len(), 2, "{done:?}");
        assert!(account.ids.uid < 1000 && account.ids.uid > 0);
        assert_eq!(account.faults(wanted, SHELL), Vec::<String>::new());
        assert_eq!(accounts.ensure(wanted).unwrap(), (account, Vec::new()));
        assert!(accounts.delete(&wanted.name).unwrap());
        assert!(!accounts.delete(&wanted.name).unwrap());
        assert!(nix::unistd::Group::from_name(&wanted.name).unwrap().is_none());
    }

    #[test]
    fn a_user_that_was_changed_or_removed_is_repaired_with_the_same_ids() {
        let Some(mut guest) = Guest::new() else { return };
        let accounts = Accounts::system();
        // Far from the ids that tests which run at the same time are given.
        let id = 30_000 + std::process::id() % 10_000;
        guest.0.before = Some(Ids { uid: id, gid: id, generated_uid: String::new() });
        let (account, _) = accounts.ensure(&guest.0).unwrap();
        let wanted = Wanted { before: Some(account.ids.clone()), ..guest.0.clone() };
        let usermod = |arguments: &[&str]| {
            let command = crate::command::Command::new(super::USERMOD);
            command.args(arguments).arg(&wanted.name).run_ok().unwrap();
        };
        usermod(&["--shell", "/bin/bash", "--gid", "nogroup"]);
        let (repaired, done) = accounts.ensure(&wanted).unwrap();
        assert_eq!((&repaired, done.len()), (&account, 2), "{done:?}");
        accounts.delete(&wanted.name).unwrap();
        assert_eq!(accounts.ensure(&wanted).unwrap().0, account);
        // Only the group was made when the power was lost.
        accounts.delete(&wanted.name).unwrap();
        accounts.add_group(&wanted).unwrap();
        assert_eq!(accounts.ensure(&wanted).unwrap().0, account);
    }

    #[test]
    fn an_id_that_somebody_took_meanwhile_is_done_without() {
        let dir = tempfile::tempdir().unwrap();
        // useradd(8): exit code 4 where the id is in use.
        let refusing =
            "case \"$*\" in *--uid*) echo 'useradd: UID 31337 is not unique' >&2; exit 4;; esac
            echo \"$*\" > \"$0.called\"";
        fake_tool(dir.path(), "useradd", refusing);
        let accounts = Accounts { tools: Tools::below(dir.path()) };
        let wanted = Wanted {
            name: "_russet1".to_owned(),
            full_name: "Russet slot 1".to_owned(),
            home: PathBuf::from("/nonexistent/home"),
            before: Some(Ids { uid: 31_337, gid: 31_337, generated_uid: String::new() }),
        };
        accounts.add_user(&wanted).unwrap();
        let called = std::fs::read_to_string(dir.path().join("useradd.called")).unwrap();
        assert!(called.contains("_russet1") && !called.contains("--uid"), "{called}");
    }

    #[test]
    fn somebody_elses_user_never_becomes_a_slots() {
        let wanted = |name: &str| Wanted {
            name: name.to_owned(),
            full_name: String::new(),
            home: PathBuf::from("/nonexistent/home"),
            before: None,
        };
        for (name, why) in [("root", "the id of root"), ("daemon", "has the home")] {
            let error = Accounts::system().ensure(&wanted(name)).unwrap_err();
            assert!(matches!(error, AccountError::Foreign { .. }), "{error}");
            assert!(error.to_string().contains(why), "{error}");
        }
    }

    #[test]
    fn a_locked_database_is_waited_for_and_a_refusal_is_told() {
        let dir = tempfile::tempdir().unwrap();
        fake_tool(
            dir.path(),
            "userdel",
            "[ -e \"$0.again\" ] || { touch \"$0.again\"; echo 'userdel: cannot lock /etc/passwd; try again later.' >&2; exit 1; }
             echo 'userdel: user x is currently used by process 17' >&2; exit 8",
        );
        let accounts = Accounts { tools: Tools::below(dir.path()) };
        let error = accounts.delete("x").unwrap_err().to_string();
        assert!(error.contains("currently used by process 17"), "{error}");
        std::fs::remove_file(dir.path().join("userdel")).unwrap();
        let error = accounts.delete("x").unwrap_err().to_string();
        assert!(error.contains("shadow"), "{error}");
    }
}
