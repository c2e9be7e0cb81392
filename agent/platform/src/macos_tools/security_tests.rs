//! Fixtures: the messages `MAC verification failed …`, `User interaction is not allowed.` and
//! `The specified keychain could not be found.` are as people quote them in bitrise-steplib/
//! steps-certificate-and-profile-installer #23, AndrewDryga/vagrant-box-osx #49 and solar2d/
//! demo-app-store-automation #15; the indented paths in quotes as in travis-ci/travis-ci #2194.
//! `A keychain with the same name already exists.` is Apple's text of -25296. The output of
//! `find-identity` and `cms -D` is assumed (docs/verify-on-a-mac.md).

use std::path::{Path, PathBuf};

use russet_protocol::secret::Secret;

use super::{
    Identities, Keychains, SecurityError, command_line, parse_identities, parse_keychains,
    parse_profile,
};
use crate::command::Tools;
use crate::command::testing::fake_tool;

/// A `security` that writes down what it is told and fails where `fails` (a shell pattern of the
/// command) says, with this message.
fn fake(dir: &Path, fails: &str, message: &str) -> Keychains {
    let script = format!(
        "[ $# = 1 ] && [ \"$1\" = -i ] || exit 64\n\
         read -r line\n\
         printf '%s\\n' \"$line\" >> {log}\n\
         env > {environment}\n\
         case $line in\n\
         '\"{fails}\"'*) printf '%s\\n' \"{message}\" >&2; exit 1;;\n\
         '\"list-keychains\" \"-d\" \"user\"') cat {list};;\n\
         '\"list-keychains\" \"-d\" \"user\" \"-s\"'*)\n\
         [ ! -d {preferences} ] || printf '%s\\n' \"$line\" | tr ' ' '\\n' | sed '1,4d; s/^/    /' > {list};;\n\
         '\"default-keychain\" \"-d\" \"user\"') cat {default};;\n\
         '\"default-keychain\" \"-d\" \"user\" \"-s\"'*)\n\
         [ ! -d {preferences} ] || printf '%s\\n' \"$line\" | tr ' ' '\\n' | sed '1,4d; s/^/    /' > {default};;\n\
         '\"find-identity\"'*) cat {identities};;\n\
         esac",
        log = dir.join("log").display(),
        environment = dir.join("environment").display(),
        list = dir.join("list").display(),
        default = dir.join("default").display(),
        preferences = dir.join("Preferences").display(),
        identities = dir.join("identities").display(),
    );
    fake_tool(dir, "security", &script);
    std::fs::write(dir.join("list"), "    \"/h/Library/Keychains/login.keychain-db\"\n").unwrap();
    std::fs::write(dir.join("default"), "    \"/h/Library/Keychains/login.keychain-db\"\n")
        .unwrap();
    std::fs::create_dir(dir.join("Preferences")).unwrap();
    std::fs::write(dir.join("identities"), FOUND).unwrap();
    Keychains::new(Tools::below(dir), Path::new("/h"))
}

/// Assumed.
const FOUND: &str = r#"
Policy: X.509 Basic
  Matching identities
  1) 0123456789ABCDEF0123456789ABCDEF01234567 "Apple Distribution: Acme (TEAM123456)"
  2) 1123456789ABCDEF0123456789ABCDEF01234567 "Apple Development: Ada (XYZ)" (CSSMERR_TP_CERT_EXPIRED)
     2 identities found

  Valid identities only
  1) 0123456789ABCDEF0123456789ABCDEF01234567 "Apple Distribution: Acme (TEAM123456)"
     1 valid identities found
"#;

fn make(keychains: &Keychains) -> Result<Identities, SecurityError> {
    let path = Path::new("/h/Library/Keychains/russet-task-1.keychain-db");
    let password = Secret::new("of the p12 \"with\" \\ and spaces");
    keychains.make(path, &Secret::new("hunter2"), &[(PathBuf::from("/t/a.p12"), &password)])
}

fn log(dir: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(dir.join("log")).unwrap();
    text.lines().map(str::to_owned).collect()
}

#[test]
fn a_keychain_is_made_unlocked_filled_first_and_default_with_secrets_on_stdin_alone() {
    let dir = tempfile::tempdir().unwrap();
    let found = make(&fake(dir.path(), "none", "")).unwrap();
    assert_eq!(found.matching.len(), 2);
    assert_eq!(found.valid, 1);
    let path = r#""/h/Library/Keychains/russet-task-1.keychain-db""#;
    let login = r#""/h/Library/Keychains/login.keychain-db""#;
    let expected = [
        r#""list-keychains" "-d" "user""#.to_owned(),
        r#""list-keychains" "-d" "user""#.to_owned(),
        format!(r#""create-keychain" "-p" "hunter2" {path}"#),
        format!(r#""set-keychain-settings" {path}"#),
        format!(r#""unlock-keychain" "-p" "hunter2" {path}"#),
        format!(
            r#""import" "/t/a.p12" "-k" {path} "-f" "pkcs12" "-P" "of the p12 \"with\" \\ and spaces" "-T" "/usr/bin/codesign" "-T" "/usr/bin/security" "-T" "/usr/bin/productbuild" "-T" "/usr/bin/productsign""#
        ),
        format!(
            r#""set-key-partition-list" "-S" "apple-tool:,apple:,codesign:" "-s" "-k" "hunter2" {path}"#
        ),
        format!(r#""list-keychains" "-d" "user" "-s" {path} {login}"#),
        format!(r#""default-keychain" "-d" "user" "-s" {path}"#),
        r#""default-keychain" "-d" "user""#.to_owned(),
        r#""list-keychains" "-d" "user""#.to_owned(),
        format!(r#""find-identity" {path}"#),
    ];
    assert_eq!(log(dir.path()), expected);
    let environment = std::fs::read_to_string(dir.path().join("environment")).unwrap();
    assert!(environment.contains("HOME=/h\n") && !environment.contains("hunter2"));
}

#[test]
fn a_search_list_that_is_not_stored_although_security_exits_with_0_is_a_failure() {
    let dir = tempfile::tempdir().unwrap();
    let keychains = fake(dir.path(), "none", "");
    std::fs::remove_dir(dir.path().join("Preferences")).unwrap();
    let error = make(&keychains).unwrap_err();
    assert_eq!(error, SecurityError::NotStored("search list"));
    assert!(error.to_string().contains("hint: ~/Library/Preferences"), "{error}");
    assert!(log(dir.path()).pop().unwrap().starts_with("\"delete-keychain\""));
}

#[test]
fn every_documented_failure_is_told_apart_and_leaves_no_keychain() {
    for (fails, message, expected) in [
        (
            "import",
            "security: SecKeychainItemImport: MAC verification failed during PKCS12 import (wrong password?)",
            SecurityError::WrongPassword,
        ),
        (
            "import",
            "security: SecKeychainItemImport: User interaction is not allowed.",
            SecurityError::NoInteraction,
        ),
        (
            "unlock-keychain",
            "security: SecKeychainUnlock: The user name or passphrase you entered is not correct.",
            SecurityError::WrongPassword,
        ),
        (
            "create-keychain",
            "security: SecKeychainCreate: A keychain with the same name already exists.",
            SecurityError::Exists,
        ),
        (
            "set-key-partition-list",
            "security: SecItemCopyMatching: The specified keychain could not be found.",
            SecurityError::Missing,
        ),
    ] {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(make(&fake(dir.path(), fails, message)).unwrap_err(), expected, "{message}");
        let last = log(dir.path()).pop().unwrap();
        assert!(last.starts_with("\"delete-keychain\""), "{last}");
    }
    let dir = tempfile::tempdir().unwrap();
    let error = make(&fake(dir.path(), "default-keychain", "security: new\n  words")).unwrap_err();
    let told = error.to_string();
    assert_eq!(told, "`security default-keychain` failed: security: new words");
}

#[test]
fn keychains_that_a_killed_task_left_are_deleted_and_those_of_others_are_not() {
    let dir = tempfile::tempdir().unwrap();
    let keychains = fake(dir.path(), "none", "");
    let list = "    \"/h/Library/Keychains/russet-task-9.keychain-db\"\n    \"/h/x y.keychain\"\n";
    std::fs::write(dir.path().join("list"), list).unwrap();
    keychains.sweep().unwrap();
    let log = log(dir.path());
    assert_eq!(log.len(), 2);
    assert_eq!(log[1], r#""delete-keychain" "/h/Library/Keychains/russet-task-9.keychain-db""#);
}

#[test]
fn deleting_what_is_not_there_is_fine() {
    let dir = tempfile::tempdir().unwrap();
    let gone = "security: SecKeychainDelete: The specified keychain could not be found.";
    fake(dir.path(), "delete-keychain", gone).delete(Path::new("/h/x")).unwrap();
}

#[test]
fn words_that_would_begin_another_command_are_refused() {
    for bad in ["a\nb", "a\rb", "a\0b", &"a".repeat(5000)] {
        assert_eq!(command_line(&["import", bad]), Err(SecurityError::Unwritable));
    }
    assert_eq!(command_line(&["a", "", "b c"]).unwrap().as_str(), "\"a\" \"\" \"b c\"\n");
}

#[test]
fn outputs_of_the_tool_are_read() {
    assert_eq!(
        parse_keychains(
            "    \"/Users/travis/Library/Keychains/login.keychain\"\n    \"/Library/Keychains/System.keychain\"\n"
        ),
        [
            PathBuf::from("/Users/travis/Library/Keychains/login.keychain"),
            PathBuf::from("/Library/Keychains/System.keychain")
        ]
    );
    assert_eq!(parse_keychains("nonsense\n\"half\n"), Vec::<PathBuf>::new());
    let found = parse_identities(FOUND);
    assert_eq!(found.matching[0], "Apple Distribution: Acme (TEAM123456)");
    assert_eq!(parse_identities("     0 valid identities found\n"), Identities::default());
    // Assumed: `security cms -D` prints the property list as it was signed.
    let text = br#"<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">
<plist version="1.0"><dict><key>Name</key><string>App Store</string>
<key>UUID</key><string>0ADE4B5C-1d2e-4f60-8a9b-0c1d2e3f4a5b</string></dict></plist>"#;
    let read = parse_profile(text).unwrap();
    assert_eq!((read.uuid.len(), read.name.as_str()), (36, "App Store"));
    let strange = text.to_vec();
    let strange = String::from_utf8(strange).unwrap().replace("0ADE4B5C", "../../x");
    assert_eq!(parse_profile(strange.as_bytes()), None);
    assert_eq!(parse_profile(b"nonsense"), None);
}
