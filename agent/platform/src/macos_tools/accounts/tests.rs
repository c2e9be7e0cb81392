//! With a dscl and a dsimport that keep their records in files, answer as Apple's do, and refuse
//! what macOS refuses.

use std::path::PathBuf;

use super::{Accounts, SHELL};
use crate::account::{Account, AccountError, Ids, Wanted};
use crate::command::Tools;
use crate::command::testing::fake_tool;
use crate::privacy::Responsible;

/// Messages and exit codes: NixOS/nix-installer#33 and #1399 (-14120), #1501 (-14135, 55), #926
/// (-14009 for a deletion, 185), and for -14136 (56) those of the same form. Files named
/// `deny-VERB` refuse that verb; `lose-KEY` forgets an attribute, as a loss of power does.
const DSCL: &str = r#"
cd "${0%/*}"
verb=$2 kind=${3#/}; kind=${kind%%/*}
name=${3#/*/}; record="db/$kind/$name"
fail() { echo "<main> attribute status: $2" >&2; echo "<dscl_cmd> DS Error: $1 ($2)" >&2; exit $3; }
refuse() { fail -14120 eDSPermissionError 40; }
[ -e "deny$verb" ] && refuse
if [ -e no-access ] && [ "$kind" = Users ]; then
  case $verb:$4 in
  -create:NFSHomeDirectory) [ ! -d "$record" ] && ! grep -q strict no-access || refuse ;;
  -create:UniqueID) [ ! -e "$record/UniqueID" ] || refuse ;;
  -delete:*) refuse ;;
  esac
fi
case $verb in
-list)
  for r in db/$kind/*; do
    [ -e "$r/$4" ] && printf '%-24s %s\n' "${r##*/}" "$(cat "$r/$4")"
  done; exit 0 ;;
-read)
  [ -d "$record" ] || fail -14136 eDSRecordNotFound 56
  for a in "$record"/*; do
    [ -e "$a" ] || continue
    k=${a##*/}; [ "$k" = IsHidden ] && k=dsAttrTypeNative:IsHidden
    v=$(cat "$a")
    case $v in *' '*) printf '%s:\n %s\n' "$k" "$v" ;; *) printf '%s: %s\n' "$k" "$v" ;; esac
  done ;;
-create)
  if [ ! -d "$record" ]; then
    mkdir -p "$record"
    [ "$kind" = Users ] && echo "NEW-GUID-$name" >"$record/GeneratedUID"
  fi
  [ -n "$4" ] || exit 0
  if [ "$4" = UniqueID ]; then
    for r in db/Users/*; do
      [ "$r" != "$record" ] && [ "$(cat "$r/UniqueID" 2>/dev/null)" = "$5" ] && fail -14135 eDSRecordAlreadyExists 55
    done
  fi
  echo "$5" >"$record/$4" ;;
-delete)
  [ -d "$record" ] || { echo 'delete: Invalid Path'; fail -14009 eDSUnknownNodeName 185; }
  rm -r "$record" ;;
esac
"#;

/// It reads a regular file alone (65 otherwise), prints nothing, ends with 0 whatever came of it, and
/// tells that in a plist (freegeek-pdx/mkuser). Files: `deny-import` lets it make nothing,
/// `import-loses` names an attribute that it forgets.
const DSIMPORT: &str = r#"
cd "${0%/*}"
[ -f "$1" ] || { echo "Unable to open import file '$1'" >&2; exit 65; }
[ "$2 $3 $4" = "/Local/Default I --outputfile" ] || exit 64
stat -c '%a %u' "$1" "${1%/*}" >imported
{ read -r header; read -r values; } <"$1"
set -- "$5" $header
out=$1; shift
[ "$1 $2 $3 $4 $5" = "0x0A 0x5C 0x3A 0x2C dsRecTypeStandard:Users" ] || exit 64
[ "$6" = $(($# - 6)) ] || exit 64
shift 6
name=${values%%:*} list=Failed
if [ ! -e deny-import ] && [ ! -d "db/Users/$name" ]; then
  list=Succeeded
  mkdir -p "db/Users/$name"
  echo "NEW-GUID-$name" >"db/Users/$name/GeneratedUID"
  for key in "$@"; do
    value=${values%%:*} values=${values#*:} key=${key#*:}
    [ "$key" = RecordName ] || [ "$key" = "$(cat import-loses 2>/dev/null)" ] || echo "$value" >"db/Users/$name/$key"
  done
fi
echo "<plist version=\"1.0\"><dict><key>$list</key><array><string>$name</string></array></dict></plist>" >"$out"
"#;

struct Mac {
    dir: tempfile::TempDir,
    accounts: Accounts,
}

impl Mac {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        fake_tool(dir.path(), "dscl", DSCL);
        fake_tool(dir.path(), "dsimport", DSIMPORT);
        for (kind, name, key, id) in [
            ("Users", "root", "UniqueID", "0"),
            ("Users", "_other", "UniqueID", "350"),
            ("Groups", "_other", "PrimaryGroupID", "351"),
        ] {
            std::fs::create_dir_all(dir.path().join("db").join(kind).join(name)).unwrap();
            std::fs::write(dir.path().join("db").join(kind).join(name).join(key), id).unwrap();
        }
        let accounts = Accounts {
            tools: Tools::below(dir.path()),
            scratch: dir.path().join("scratch"),
            taken_elsewhere: |id| id == 352,
            responsible: || Responsible::Ssh,
        };
        Self { dir, accounts }
    }

    fn attribute(&self, path: &str) -> PathBuf {
        self.dir.path().join("db").join(path)
    }

    fn get(&self, path: &str) -> String {
        std::fs::read_to_string(self.attribute(path)).unwrap().trim().to_owned()
    }

    fn set(&self, path: &str, value: &str) {
        std::fs::create_dir_all(self.attribute(path).parent().unwrap()).unwrap();
        std::fs::write(self.attribute(path), value).unwrap();
    }

    fn deny(&self, verb: &str) {
        self.note(&format!("deny-{verb}"), "");
    }

    fn note(&self, file: &str, text: &str) {
        std::fs::write(self.dir.path().join(file), text).unwrap();
    }

    /// Makes the user as earlier versions of macOS let everybody, without asking about privacy.
    fn made(&self, wanted: &Wanted) -> Account {
        self.accounts.ensure(wanted).unwrap().0
    }
}

fn wanted() -> Wanted {
    Wanted {
        name: "_russet1".to_owned(),
        full_name: "Russet slot 1".to_owned(),
        home: PathBuf::from("/var/db/russet/slots/1/home"),
        before: None,
    }
}

#[test]
fn a_slot_gets_a_hidden_user_without_password_and_the_lowest_free_ids() {
    let mac = Mac::new();
    let (account, done) = mac.accounts.ensure(&wanted()).unwrap();
    // 350 is a user's and a group's may be 350; 351 is a group's, 352 somebody's elsewhere.
    assert_eq!((account.ids.gid, account.ids.uid), (350, 351));
    assert_eq!(account.faults(&wanted(), SHELL), Vec::<String>::new());
    assert_eq!(done, ["made the group _russet1", "made the user _russet1"]);
    let values = ["Password", "UserShell", "IsHidden", "RealName"]
        .map(|key| mac.get(&format!("Users/_russet1/{key}")));
    assert_eq!(values, ["*", "/usr/bin/false", "1", "Russet slot 1"]);
    // Again there is nothing to do.
    let (again, done) = mac.accounts.ensure(&wanted()).unwrap();
    assert_eq!((again, done), (account, Vec::new()));
}

#[test]
fn a_user_that_is_half_made_is_completed() {
    for missing in ["UniqueID", "PrimaryGroupID", "NFSHomeDirectory", "UserShell", "IsHidden"] {
        let mac = Mac::new();
        mac.accounts.ensure(&wanted()).unwrap();
        std::fs::remove_file(mac.attribute(&format!("Users/_russet1/{missing}"))).unwrap();
        let (account, _) = mac.accounts.ensure(&wanted()).unwrap();
        assert_eq!(account.faults(&wanted(), SHELL), Vec::<String>::new(), "{missing}");
    }
    // Power was lost right after the first command, or after the group.
    let mac = Mac::new();
    std::fs::create_dir_all(mac.attribute("Users/_russet1")).unwrap();
    std::fs::create_dir_all(mac.attribute("Groups/_russet1")).unwrap();
    let (account, _) = mac.accounts.ensure(&wanted()).unwrap();
    assert_eq!(account.faults(&wanted(), SHELL), Vec::<String>::new());
}

#[test]
fn a_user_that_an_upgrade_removed_comes_back_with_the_same_ids() {
    let mac = Mac::new();
    let before = Ids { uid: 377, gid: 378, generated_uid: "OLD-GUID".to_owned() };
    let wanted = Wanted { before: Some(before.clone()), ..wanted() };
    let (account, _) = mac.accounts.ensure(&wanted).unwrap();
    assert_eq!(account.ids, before);
    // Now its id went to a user of the system's, as with macOS 15.
    mac.accounts.delete("_russet1").unwrap();
    mac.set("Users/_modelmanagerd/UniqueID", "377");
    let (account, _) = mac.accounts.ensure(&wanted).unwrap();
    assert_eq!((account.ids.uid, account.ids.gid), (351, 378));
}

#[test]
fn what_was_changed_is_put_right_and_said() {
    let mac = Mac::new();
    mac.accounts.ensure(&wanted()).unwrap();
    mac.set("Users/_russet1/UserShell", "/bin/zsh");
    let (_, done) = mac.accounts.ensure(&wanted()).unwrap();
    assert_eq!(done, ["set UserShell of the user _russet1 to /usr/bin/false"]);
}

#[test]
fn a_person_or_another_programs_user_never_becomes_a_slots() {
    for (key, value, expected) in [
        ("AuthenticationAuthority", ";ShadowHash;HASHLIST:<SALTED-SHA512-PBKDF2>", "can log in"),
        ("NFSHomeDirectory", "/Users/jane", "has the home /Users/jane"),
        ("UniqueID", "0", "has an id of the system's"),
    ] {
        let mac = Mac::new();
        mac.set(&format!("Users/_russet1/{key}"), value);
        let error = mac.accounts.ensure(&wanted()).unwrap_err();
        assert!(matches!(error, AccountError::Foreign { .. }), "{error}");
        assert!(error.to_string().contains(expected), "{error}");
        assert!(error.hint().unwrap().contains("user_prefix"));
    }
}

#[test]
fn a_deletion_that_macos_refuses_says_what_to_allow() {
    let mac = Mac::new();
    mac.made(&wanted());
    mac.note("no-access", "");
    let error = mac.accounts.delete("_russet1").unwrap_err();
    assert!(matches!(error, AccountError::NeedsFullDiskAccess { .. }), "{error}");
    assert!(error.to_string().contains("refused to delete the user _russet1"), "{error}");
    assert!(error.to_string().contains("-14120 (eDSPermissionError)"), "{error}");
    assert!(error.hint().unwrap().contains("remote users"));
}

#[test]
fn a_user_is_made_where_macos_lets_nobody_set_the_home_of_one_that_exists() {
    for access in ["", "strict"] {
        let mac = Mac::new();
        mac.note("no-access", access);
        let before = Ids { uid: 377, gid: 378, generated_uid: "OLD-GUID".to_owned() };
        let wanted = Wanted { before: Some(before.clone()), ..wanted() };
        let (account, done) = mac.accounts.ensure(&wanted).unwrap();
        assert_eq!(account.ids, before);
        assert_eq!(account.faults(&wanted, SHELL), Vec::<String>::new());
        assert_eq!(done, ["made the group _russet1", "made the user _russet1"]);
        // Nobody but root could read the file, or enter its directory; both are gone.
        let me = nix::unistd::geteuid();
        let modes = std::fs::read_to_string(mac.dir.path().join("imported")).unwrap();
        assert_eq!(modes, format!("600 {me}\n700 {me}\n"));
        assert_eq!(std::fs::read_dir(mac.dir.path().join("scratch")).unwrap().count(), 0);
    }
}

#[test]
fn where_dsimport_makes_nothing_or_is_missing_the_record_is_made_by_attributes() {
    for is_there in [true, false] {
        let mac = Mac::new();
        mac.note("no-access", "");
        mac.deny("import");
        if !is_there {
            std::fs::remove_file(mac.dir.path().join("dsimport")).unwrap();
        }
        let (account, done) = mac.accounts.ensure(&wanted()).unwrap();
        assert_eq!(account.faults(&wanted(), SHELL), Vec::<String>::new());
        let why = if is_there { "`dsimport` did not make it" } else { "there is no such program" };
        assert!(done[1].starts_with("made the user _russet1 (not all at once: "), "{done:?}");
        assert!(done[1].contains(why), "{done:?}");
    }
}

#[test]
fn a_user_that_macos_lets_nobody_make_needs_full_disk_access_and_is_nobody_meanwhile() {
    let mac = Mac::new();
    mac.note("no-access", "strict");
    mac.deny("import");
    let error = mac.accounts.ensure(&wanted()).unwrap_err();
    assert!(matches!(error, AccountError::NeedsFullDiskAccess { .. }), "{error}");
    assert!(error.to_string().contains("refused to set NFSHomeDirectory of _russet1"), "{error}");
    assert!(error.hint().unwrap().contains("Allow full disk access for remote users"));
    assert!(!mac.attribute("Users/_russet1/UniqueID").exists());
    // With the access it is made all the same.
    std::fs::remove_file(mac.dir.path().join("no-access")).unwrap();
    assert_eq!(mac.made(&wanted()).faults(&wanted(), SHELL), Vec::<String>::new());
}

#[test]
fn what_an_import_left_out_is_completed() {
    for lost in ["IsHidden", "UserShell", "Password"] {
        let mac = Mac::new();
        mac.note("import-loses", lost);
        assert_eq!(mac.made(&wanted()).faults(&wanted(), SHELL), Vec::<String>::new(), "{lost}");
        assert!(mac.attribute(&format!("Users/_russet1/{lost}")).exists(), "{lost}");
    }
}

#[test]
fn a_home_that_changed_is_put_right_with_full_disk_access_alone() {
    let mac = Mac::new();
    mac.made(&wanted());
    let before = Some(mac.made(&wanted()).ids);
    let moved = Wanted { home: PathBuf::from("/opt/russet/state/1"), before, ..wanted() };
    mac.note("no-access", "");
    let error = mac.accounts.ensure(&moved).unwrap_err();
    assert!(matches!(error, AccountError::NeedsFullDiskAccess { .. }), "{error}");
    std::fs::remove_file(mac.dir.path().join("no-access")).unwrap();
    let (_, done) = mac.accounts.ensure(&moved).unwrap();
    assert_eq!(done, ["set NFSHomeDirectory of the user _russet1 to /opt/russet/state/1"]);
}

#[test]
fn a_refused_creation_and_a_dscl_that_is_not_there_are_errors_with_the_command() {
    let mac = Mac::new();
    mac.deny("create");
    let error = mac.accounts.ensure(&wanted()).unwrap_err().to_string();
    assert!(error.contains("refused to make the group _russet1"), "{error}");
    assert!(error.contains("eDSPermissionError"), "{error}");
    std::fs::remove_file(mac.dir.path().join("dscl")).unwrap();
    let error = mac.accounts.find("_russet1").unwrap_err().to_string();
    assert!(error.contains("there is no such program"), "{error}");
}

#[test]
fn deleting_takes_user_and_group_and_what_is_gone_is_no_failure() {
    let mac = Mac::new();
    mac.accounts.ensure(&wanted()).unwrap();
    assert!(mac.accounts.delete("_russet1").unwrap());
    assert!(!mac.attribute("Groups/_russet1").exists());
    assert!(!mac.accounts.delete("_russet1").unwrap());
    assert_eq!(mac.accounts.find("_russet1").unwrap(), None);
}
