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
    /// `eDSPermissionError` (-14120), `eDSNotAuthorized` (-14123): not root, or without Full Disk
    /// Access.
    Permission,
    /// Another one.
    Other,
}

/// Classifies an error by its message.
#[must_use]
pub fn error_of(output: &Output) -> DsError {
    let said = output.error_text();
    let says = |name: &str| said.contains(name);
    if says("eDSRecordNotFound") || says("eDSUnknownNodeName") {
        DsError::NotFound
    } else if says("eDSRecordAlreadyExists") {
        DsError::Exists
    } else if says("eDSPermissionError") || says("eDSNotAuthorized") {
        DsError::Permission
    } else {
        DsError::Other
    }
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
    use super::{parse_ids, parse_record};

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
    fn a_list_of_ids_is_read_with_negative_ones() {
        // The columns of `dscl . list /Users UniqueID`, as in NixOS/nix#10892.
        let text = "_backgroundassets        291\nnobody                   -2\nroot                     0\n\nJane Doe  501\nbroken\n";
        let ids = parse_ids(text);
        let expected = [("_backgroundassets", 291), ("nobody", -2), ("root", 0), ("Jane Doe", 501)];
        assert_eq!(ids, expected.map(|(name, id)| (name.to_owned(), id)));
    }
}
