//! Import of a whole user record by `dsimport`: its file, its command, its report.
//!
//! macOS asks for Full Disk Access where the home of a user is set that exists already. A record
//! that is made at once, its home included, has been exempt (mkuser's author in
//! Installomator/Installomator#925).
//!
//! `dsimport` reads regular files alone (65 and "Unable to open import file" for a pipe), prints
//! nothing, and ends with 0 also where it made nothing: what became of each record stands in the
//! file that `--outputfile` names (freegeek-pdx/mkuser, on macOS 10.13 to 15).

use std::path::Path;

use crate::command::{Command, Tools};

/// Path of the tool.
const DSIMPORT: &str = "/usr/bin/dsimport";

/// The local database, as `dsimport` wants it named.
const NODE: &str = "/Local/Default";

/// Ends of records, the escape character, and what stands between fields and between values, as
/// the first line of a file declares them.
const DELIMITERS: &str = "0x0A 0x5C 0x3A 0x2C";

/// A report is not longer than this.
pub const MAX_REPORT: u64 = 1 << 20;

/// Values of a record, by attribute.
pub type Record<'a> = [(&'a str, &'a str)];

/// Returns the file that makes this user. An empty value is left out, as `dsimport` would.
#[must_use]
pub fn import_file(name: &str, record: &Record<'_>) -> String {
    let fields = || record.iter().filter(|(_, value)| !value.is_empty());
    let mut text = format!("{DELIMITERS} dsRecTypeStandard:Users {}", fields().count() + 1);
    text.push_str(" dsAttrTypeStandard:RecordName");
    for (key, _) in fields() {
        // The one attribute of ours that Apple did not define.
        let kind = if *key == "IsHidden" { "Native" } else { "Standard" };
        text.push_str(&format!(" dsAttrType{kind}:{key}"));
    }
    text.push('\n');
    text.push_str(&escape_value(name));
    for (_, value) in fields() {
        text.push(':');
        text.push_str(&escape_value(value));
    }
    text.push('\n');
    text
}

/// Marks the characters that would end a value.
fn escape_value(value: &str) -> String {
    let mut escaped = String::with_capacity(value.len());
    for character in value.chars() {
        if matches!(character, '\\' | ':' | ',' | '\n') {
            escaped.push('\\');
        }
        escaped.push(character);
    }
    escaped
}

/// Imports the file, and leaves its report in another. `I` leaves alone whatever has the record's
/// name or id already.
#[must_use]
pub fn import_users(tools: &Tools, file: &Path, report: &Path) -> Command {
    tools.command(DSIMPORT).arg(file).args([NODE, "I", "--outputfile"]).arg(report)
}

/// Returns true if the report names the user among the records that were made.
#[must_use]
pub fn is_made(report: &[u8], name: &str) -> bool {
    let Ok(plist::Value::Dictionary(report)) = plist::from_bytes(report) else { return false };
    let lists = |key: &str| {
        let names = report.get(key).and_then(plist::Value::as_array);
        names.is_some_and(|names| names.iter().any(|one| one.as_string() == Some(name)))
    };
    lists("Succeeded") && !lists("Failed")
}

#[cfg(test)]
mod tests {
    use super::{import_file, is_made};

    /// Report as mkuser's author saw it on macOS 10.13 and 11.
    const REPORT: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">
<plist version="1.0">
<dict>
	<key>Deleted</key>
	<array/>
	<key>Failed</key>
	<array/>
	<key>Groups</key>
	<array/>
	<key>Succeeded</key>
	<array>
		<string>_russet1</string>
	</array>
	<key>Users</key>
	<array>
		<string>_russet1</string>
	</array>
	<key>Users not imported because of bad short names</key>
	<array/>
</dict>
</plist>
"#;

    #[test]
    fn an_import_file_declares_its_fields_and_keeps_special_characters() {
        let record = [
            ("Password", "*"),
            ("UniqueID", "351"),
            ("RealName", "Russet slot 1: a,b\\c"),
            ("GeneratedUID", ""),
            ("IsHidden", "1"),
        ];
        assert_eq!(
            import_file("_russet1", &record),
            "0x0A 0x5C 0x3A 0x2C dsRecTypeStandard:Users 5 dsAttrTypeStandard:RecordName \
             dsAttrTypeStandard:Password dsAttrTypeStandard:UniqueID dsAttrTypeStandard:RealName \
             dsAttrTypeNative:IsHidden\n\
             _russet1:*:351:Russet slot 1\\: a\\,b\\\\c:1\n"
        );
    }

    #[test]
    fn a_report_says_who_was_made_and_nothing_else_does() {
        assert!(is_made(REPORT.as_bytes(), "_russet1"));
        assert!(!is_made(REPORT.as_bytes(), "_russet2"));
        // One that failed is not among those that succeeded.
        let failed = REPORT.replace(
            "<key>Failed</key>\n\t<array/>",
            "<key>Failed</key>\n\t<array>\n\t\t<string>_russet1</string>\n\t</array>",
        );
        assert!(!is_made(failed.as_bytes(), "_russet1"));
        let renamed = REPORT.replace("Succeeded", "Users not imported because of bad short names");
        for other in [renamed.as_str(), "", "<plist><array/></plist>", "no plist"] {
            assert!(!is_made(other.as_bytes(), "_russet1"), "{other}");
        }
    }
}
