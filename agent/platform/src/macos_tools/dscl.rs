//! `dscl`: the local user database of macOS, its commands and its answers.

use std::collections::BTreeMap;

use crate::command::{Command, Output, Tools};

/// Path of the tool.
const DSCL: &str = "/usr/bin/dscl";

/// The local database, as opposed to a directory server's.
const NODE: &str = ".";

/// Users or groups.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `/Users`
    User,
    /// `/Groups`
    Group,
}

impl Kind {
    fn directory(self) -> &'static str {
        match self {
            Self::User => "/Users",
            Self::Group => "/Groups",
        }
    }

    /// The attribute that holds the id.
    #[must_use]
    pub fn id(self) -> &'static str {
        match self {
            Self::User => "UniqueID",
            Self::Group => "PrimaryGroupID",
        }
    }

    fn path(self, name: &str) -> String {
        format!("{}/{name}", self.directory())
    }
}

fn dscl(tools: &Tools, verb: &str, kind: Kind, name: &str) -> Command {
    tools.command(DSCL).args([NODE, verb, &kind.path(name)])
}

/// Lists all names with their ids.
#[must_use]
pub fn list_ids(tools: &Tools, kind: Kind) -> Command {
    tools.command(DSCL).args([NODE, "-list", kind.directory(), kind.id()])
}

/// Reads a record.
#[must_use]
pub fn read(tools: &Tools, kind: Kind, name: &str) -> Command {
    dscl(tools, "-read", kind, name)
}

/// Makes an empty record. One that exists stays.
#[must_use]
pub fn create_record(tools: &Tools, kind: Kind, name: &str) -> Command {
    dscl(tools, "-create", kind, name)
}

/// Gives an attribute this one value.
#[must_use]
pub fn set_attribute(tools: &Tools, kind: Kind, name: &str, key: &str, value: &str) -> Command {
    dscl(tools, "-create", kind, name).args([key, value])
}

/// Deletes a record.
#[must_use]
pub fn delete_record(tools: &Tools, kind: Kind, name: &str) -> Command {
    dscl(tools, "-delete", kind, name)
}

/// Error of `dscl`. It names them on standard error; its exit codes are the
/// lowest byte of their numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DsError {
    /// `eDSRecordNotFound` (-14136), and `eDSUnknownNodeName` (-14009), which `-delete` gives.
    NotFound,
    /// `eDSRecordAlreadyExists` (-14135): the record, or its id, is taken.
    Exists,
    /// `eDSPermissionError` (-14120), `eDSNotAuthorized` (-14123), `eDSAuthFailed` (-14090): for
    /// root, without Full Disk Access.
    Permission,
    /// Another one.
    Other,
}

/// Names of errors with their numbers without the sign (DirectoryService's DirServicesTypes.h).
const ERRORS: [(&str, i32, DsError); 6] = [
    ("eDSRecordNotFound", 14136, DsError::NotFound),
    ("eDSUnknownNodeName", 14009, DsError::NotFound),
    ("eDSRecordAlreadyExists", 14135, DsError::Exists),
    ("eDSPermissionError", 14120, DsError::Permission),
    ("eDSNotAuthorized", 14123, DsError::Permission),
    ("eDSAuthFailed", 14090, DsError::Permission),
];

/// Classifies an error by its message, and one without a message by its exit code.
#[must_use]
pub fn error_of(output: &Output) -> DsError {
    classify_error(&output.error_text(), output.code())
}

fn classify_error(said: &str, code: Option<i32>) -> DsError {
    let named = ERRORS.iter().find(|(name, ..)| said.contains(name));
    // Other tools, and `sysadminctl` below them, say the number alone.
    let numbered = || ERRORS.iter().find(|(_, number, _)| said.contains(&format!("-{number}")));
    let coded = || {
        let is_silent = said.trim().is_empty();
        ERRORS.iter().find(|(_, number, _)| is_silent && code == Some(number & 0xff))
    };
    named.or_else(numbered).or_else(coded).map_or(DsError::Other, |(.., error)| *error)
}

/// The names and ids of a list. Names may hold spaces; the id is the last word.
#[must_use]
pub fn parse_ids(text: &str) -> Vec<(String, i64)> {
    let line = |line: &str| {
        let (name, id) = line.trim().rsplit_once(char::is_whitespace)?;
        Some((name.trim_end().to_owned(), id.parse().ok()?))
    };
    text.lines().filter_map(line).collect()
}

/// The attributes of a record. `dscl` writes a value with spaces on lines of its own after the
/// name, each indented by one space, and attributes that Apple did not define with a prefix.
#[must_use]
pub fn parse_record(text: &str) -> BTreeMap<String, String> {
    let mut record: BTreeMap<String, String> = BTreeMap::new();
    let mut current: Option<String> = None;
    for line in text.lines() {
        if let Some(more) = line.strip_prefix(' ') {
            if let Some(value) = current.as_ref().and_then(|key| record.get_mut(key)) {
                if !value.is_empty() {
                    value.push('\n');
                }
                value.push_str(more);
            }
            continue;
        }
        let line = line.strip_prefix("dsAttrTypeNative:").unwrap_or(line);
        let Some((key, value)) = line.split_once(':') else { continue };
        record.insert(key.to_owned(), value.trim().to_owned());
        current = Some(key.to_owned());
    }
    record
}

#[cfg(test)]
mod tests {
    use super::{DsError, classify_error, parse_ids, parse_record};

    /// NixOS/nix-installer#33 (macOS 12), shortened.
    const RECORD: &str = r#"dsAttrTypeNative:_writers_passwd: _nixbld1
dsAttrTypeNative:accountPolicyData:
 <?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">
<plist version="1.0">
<dict>
        <key>creationTime</key>
        <real>1667407560.622637</real>
</dict>
</plist>

dsAttrTypeNative:IsHidden: 1
dsAttrTypeNative:record_daemon_version: 8770000
AppleMetaNodeLocation: /Local/Default
GeneratedUID: 95CA4ABC-6A65-4EE0-8430-1F8BC58E9C64
NFSHomeDirectory: /var/empty
Password: ********
PrimaryGroupID: 3000
RealName:
 Russet slot 1
RecordName: _nixbld1
RecordType: dsRecTypeStandard:Users
UniqueID: 301
UserShell: /sbin/nologin
"#;

    #[test]
    fn a_record_is_read_with_its_long_values_and_foreign_names() {
        let record = parse_record(RECORD);
        let get = |key: &str| record.get(key).map(String::as_str);
        assert_eq!(get("IsHidden"), Some("1"));
        assert_eq!(get("UniqueID"), Some("301"));
        assert_eq!(get("NFSHomeDirectory"), Some("/var/empty"));
        assert_eq!(get("RealName"), Some("Russet slot 1"));
        assert_eq!(get("GeneratedUID"), Some("95CA4ABC-6A65-4EE0-8430-1F8BC58E9C64"));
        assert_eq!(get("AuthenticationAuthority"), None);
    }

    #[test]
    fn a_refusal_for_privacy_is_told_from_other_errors() {
        // NixOS/nix#2542, chef/chef#11731 (sysadminctl), CZ4B/RDP#9 (exit code 40).
        let home = "<main> attribute status: eDSPermissionError\n<dscl_cmd> DS Error: -14120 (eDSPermissionError)\n";
        let uid = "### Error:-14120 File:/System/Volumes/Data/SWE/DSRecord.m Line:418\n";
        for said in [home, uid, "<dscl_cmd> DS Error: -14123 (eDSNotAuthorized)"] {
            assert_eq!(classify_error(said, Some(1)), DsError::Permission, "{said}");
        }
        assert_eq!(classify_error("", Some(40)), DsError::Permission);
        assert_eq!(classify_error("", Some(56)), DsError::NotFound);
        let taken = "<dscl_cmd> DS Error: -14135 (eDSRecordAlreadyExists)";
        assert_eq!(classify_error(taken, Some(55)), DsError::Exists);
        for (said, code) in
            [("killed", 40), ("", 1), ("DS Error: -14987 (eNotYetImplemented)", 139)]
        {
            assert_eq!(classify_error(said, Some(code)), DsError::Other, "{said}");
        }
    }

    #[test]
    fn a_list_of_ids_is_read_with_negative_ones() {
        // The columns of `dscl . list /Users UniqueID`, as in NixOS/nix#10892.
        let text = "_backgroundassets        291\nnobody                   -2\nroot                     0\n\nJane Doe  501\nbroken\n";
        let ids = parse_ids(text);
        let expected = [("_backgroundassets", 291), ("nobody", -2), ("root", 0), ("Jane Doe", 501)];
        assert_eq!(ids, expected.map(|(name, id)| (name.to_owned(), id)));
    }
}
