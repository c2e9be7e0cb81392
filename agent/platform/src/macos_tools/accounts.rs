//! Accounts of slots in macOS's local user database.
//!
//! Each is a role account as Apple's own: hidden, without a password, with a shell that ends at
//! once. A user's record is made whole by `dsimport`, which asks nobody's permission; where that is
//! refused or missing, attribute by attribute, which macOS may want Full Disk Access for. A group's
//! is always made so. A Mac that loses power may leave half of one, so what is there is looked at
//! first and completed, never taken on trust.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::dscl::{self, DsError, Kind};
use crate::account::{Account, AccountError, Ids, Wanted, as_made};
use crate::command::{Command, CommandError, Output, Tools};
use crate::privacy::Responsible;

/// The program that a login would start: none.
pub const SHELL: &str = "/usr/bin/false";

/// Ids for slots. Those below are Apple's, and it took 301 to 304 from others with macOS 15; an
/// engineer of Apple's advised 350 (NixOS/nix#11075). From 500 on are people.
const IDS: std::ops::RangeInclusive<u32> = 350..=499;

/// The local user database.
#[derive(Clone, Debug)]
pub struct Accounts {
    /// The tools that read and change it.
    pub tools: Tools,
    /// Directory of root's alone for files to import; made where it is missing.
    pub scratch: PathBuf,
    /// Returns true if an id means somebody elsewhere (a directory server).
    pub taken_elsewhere: fn(u32) -> bool,
    /// Returns the program that macOS asks about privacy.
    pub responsible: fn() -> Responsible,
}

impl Accounts {
    /// The account of this name.
    ///
    /// # Errors
    ///
    /// The database cannot be read.
    pub fn find(&self, name: &str) -> Result<Option<Account>, AccountError> {
        let Some(user) = self.record(Kind::User, name)? else { return Ok(None) };
        let group = self.record(Kind::Group, name)?;
        Ok(Some(read_account(name, &user, group.as_ref())))
    }

    /// Makes the account, or completes and repairs what there is of it. Returns it with what had
    /// to be done, each as a sentence.
    ///
    /// # Errors
    ///
    /// The name is somebody's, no id is free, [`AccountError::NeedsFullDiskAccess`], or dscl refuses
    /// for another reason.
    pub fn ensure(&self, wanted: &Wanted) -> Result<(Account, Vec<String>), AccountError> {
        let name = &wanted.name;
        let mut done = Vec::new();
        let user = self.record(Kind::User, name)?;
        if let Some(user) = &user {
            refuse_foreign(wanted, user)?;
        }
        let gid = self.ensure_group(wanted, &mut done)?;
        let is_new = user.is_none();
        let user = match user {
            Some(user) => user,
            None => self.make_user(wanted, gid, &mut done)?,
        };
        let get = |key: &str| user.get(key).map_or("", String::as_str);
        let (home, gid_text) = (wanted.home.to_string_lossy(), gid.to_string());
        // The home before the id: a user whose home is refused is nobody yet.
        for (key, value) in attributes(&home, &gid_text, &wanted.full_name) {
            if get(key) != value {
                self.set(Kind::User, name, key, value)?;
                if !is_new {
                    done.push(format!("set {key} of the user {name} to {value}"));
                }
            }
        }
        if get("UniqueID").is_empty() {
            let uid = self.free_uid(wanted, gid)?;
            self.set(Kind::User, name, "UniqueID", &uid.to_string())?;
        }
        // A single star matches no password. What is shown of one that is set are eight.
        if get("Password").is_empty() {
            self.set(Kind::User, name, "Password", "*")?;
        }
        Ok((as_made(self.find(&wanted.name)?, wanted, SHELL)?, done))
    }

    /// Deletes the account and its group. `false`: there was none.
    ///
    /// # Errors
    ///
    /// [`AccountError::NeedsFullDiskAccess`], or dscl refuses for another reason.
    pub fn delete(&self, name: &str) -> Result<bool, AccountError> {
        let mut any = false;
        for kind in [Kind::User, Kind::Group] {
            let output = dscl::delete_record(&self.tools, kind, name)
                .run()
                .map_err(|source| account_error("delete the user", name, source))?;
            if output.status.success() {
                any = true;
                continue;
            }
            if dscl::error_of(&output) != DsError::NotFound {
                let source = output.failed(None);
                return Err(self.error("delete the user", name, dscl::error_of(&output), source));
            }
        }
        Ok(any)
    }

    /// Makes a user's record whole, or else one with a home alone. Returns what is in it.
    fn make_user(
        &self,
        wanted: &Wanted,
        gid: u32,
        done: &mut Vec<String>,
    ) -> Result<BTreeMap<String, String>, AccountError> {
        let name = &wanted.name;
        let uid = self.free_uid(wanted, gid)?.to_string();
        let (home, gid) = (wanted.home.to_string_lossy(), gid.to_string());
        let before = wanted.before.as_ref().map_or("", |before| before.generated_uid.as_str());
        let mut record = vec![("UniqueID", uid.as_str()), ("GeneratedUID", before)];
        record.push(("Password", "*"));
        record.extend(attributes(&home, &gid, &wanted.full_name));
        let imported = import::import_user(&self.tools, &self.scratch, name, &record);
        // The database itself says what came of it.
        if let Some(user) = self.record(Kind::User, name)? {
            done.push(format!("made the user {name}"));
            return Ok(user);
        }
        // The home makes the record: it is no change of one that exists.
        self.set(Kind::User, name, "NFSHomeDirectory", &home)?;
        let why = imported.err().map_or_else(
            || "not all at once: it was not there afterwards".to_owned(),
            |error| format!("not all at once: {error}"),
        );
        done.push(format!("made the user {name} ({why})"));
        if !before.is_empty() {
            self.set(Kind::User, name, "GeneratedUID", before)?;
        }
        Ok(BTreeMap::from([("NFSHomeDirectory".to_owned(), home.into_owned())]))
    }

    fn free_uid(&self, wanted: &Wanted, gid: u32) -> Result<u32, AccountError> {
        let before = wanted.before.as_ref().map(|before| before.uid);
        self.free_id(Kind::User, before.or(Some(gid)))
    }

    fn ensure_group(&self, wanted: &Wanted, done: &mut Vec<String>) -> Result<u32, AccountError> {
        let name = &wanted.name;
        let group = self.record(Kind::Group, name)?;
        if group.is_none() {
            self.run(dscl::create_record(&self.tools, Kind::Group, name), "make the group", name)?;
            done.push(format!("made the group {name}"));
        }
        let group = group.unwrap_or_default();
        for (key, value) in [("Password", "*"), ("RealName", &wanted.full_name), ("IsHidden", "1")]
        {
            if group.get(key).is_none_or(String::is_empty) {
                self.set(Kind::Group, name, key, value)?;
            }
        }
        if let Some(gid) = group.get(Kind::Group.id()).and_then(|gid| gid.parse().ok()) {
            return Ok(gid);
        }
        let before = wanted.before.as_ref().map(|before| before.gid);
        let gid = self.free_id(Kind::Group, before)?;
        self.set(Kind::Group, name, Kind::Group.id(), &gid.to_string())?;
        Ok(gid)
    }

    /// An id that nobody has: `before` if it is free, else the lowest one for slots.
    fn free_id(&self, kind: Kind, before: Option<u32>) -> Result<u32, AccountError> {
        let output = self.run(dscl::list_ids(&self.tools, kind), "list", "users")?;
        let taken: Vec<i64> =
            dscl::parse_ids(&output.text()).into_iter().map(|(_, id)| id).collect();
        let free = |id: &u32| !taken.contains(&i64::from(*id)) && !(self.taken_elsewhere)(*id);
        before
            .into_iter()
            .chain(IDS)
            .find(free)
            .ok_or(AccountError::NoneFree { first: *IDS.start(), last: *IDS.end() })
    }

    fn record(
        &self,
        kind: Kind,
        name: &str,
    ) -> Result<Option<BTreeMap<String, String>>, AccountError> {
        let output = dscl::read(&self.tools, kind, name)
            .run()
            .map_err(|source| account_error("look up", name, source))?;
        if output.status.success() {
            return Ok(Some(dscl::parse_record(&output.text())));
        }
        match dscl::error_of(&output) {
            DsError::NotFound => Ok(None),
            _ => Err(account_error("look up", name, output.failed(None))),
        }
    }

    fn set(&self, kind: Kind, name: &str, key: &str, value: &str) -> Result<(), AccountError> {
        let command = dscl::set_attribute(&self.tools, kind, name, key, value);
        self.run(command, &format!("set {key} of"), name).map(drop)
    }

    fn run(&self, command: Command, what: &str, name: &str) -> Result<Output, AccountError> {
        let output = command.run().map_err(|source| account_error(what, name, source))?;
        if output.status.success() {
            return Ok(output);
        }
        Err(self.error(what, name, dscl::error_of(&output), output.failed(None)))
    }

    /// The error that a refusal or another failure of a tool is.
    fn error(&self, what: &str, name: &str, kind: DsError, source: CommandError) -> AccountError {
        if kind != DsError::Permission {
            return account_error(what, name, source);
        }
        AccountError::NeedsFullDiskAccess {
            what: format!("{what} {name}"),
            responsible: (self.responsible)(),
            source: Box::new(source),
        }
    }
}

/// Attributes of every slot's user, which are put right where they differ.
fn attributes<'a>(home: &'a str, gid: &'a str, full_name: &'a str) -> [(&'static str, &'a str); 5] {
    [
        ("NFSHomeDirectory", home),
        ("PrimaryGroupID", gid),
        ("UserShell", SHELL),
        ("IsHidden", "1"),
        ("RealName", full_name),
    ]
}

fn account_error(what: &str, name: &str, source: CommandError) -> AccountError {
    AccountError::Command { what: format!("{what} {name}"), source: Box::new(source) }
}

/// Threat: everything of a slot's user is ended and deleted after a task. A record that belongs
/// to a person, or to another program, must never become a slot's.
fn refuse_foreign(wanted: &Wanted, user: &BTreeMap<String, String>) -> Result<(), AccountError> {
    let foreign = |what: &str| {
        Err(AccountError::Foreign { name: wanted.name.clone(), what: what.to_owned() })
    };
    if user.contains_key("AuthenticationAuthority") {
        return foreign("can log in");
    }
    if user.get("UniqueID").is_some_and(|uid| uid.parse().is_ok_and(|uid: i64| uid <= 0)) {
        return foreign("has an id of the system's");
    }
    let home = user.get("NFSHomeDirectory").map_or("", String::as_str);
    if wanted.before.is_none() && !home.is_empty() && wanted.home != *home {
        return foreign(&format!("has the home {home}"));
    }
    Ok(())
}

fn read_account(
    name: &str,
    user: &BTreeMap<String, String>,
    group: Option<&BTreeMap<String, String>>,
) -> Account {
    let get = |key: &str| user.get(key).cloned().unwrap_or_default();
    let gid = get("PrimaryGroupID");
    // The group is its own if it has the id that the user's record names.
    let own = group.is_some_and(|group| group.get("PrimaryGroupID") == Some(&gid));
    Account {
        name: name.to_owned(),
        ids: Ids {
            // Without an id the record is half-made; root's is a fault, which is what it is.
            uid: get("UniqueID").parse().unwrap_or(0),
            gid: gid.parse().unwrap_or(0),
            generated_uid: get("GeneratedUID"),
        },
        group: if own { name.to_owned() } else { String::new() },
        home: PathBuf::from(get("NFSHomeDirectory")),
        shell: PathBuf::from(get("UserShell")),
        hidden: get("IsHidden") == "1",
        password: user.contains_key("AuthenticationAuthority"),
    }
}

mod import;
#[cfg(test)]
mod tests;
