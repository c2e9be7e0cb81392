//! `sfltool dumpbtm`, from macOS 13 on: whether somebody switched our background item off in
//! System Settings. Such a job is not started any more, whatever launchctl says of it.

use std::time::Duration;

use crate::command::{CommandError, Tools};

const SFLTOOL: &str = "/usr/bin/sfltool";

/// It asks for a password where it is not root, and waits for it.
const LIMIT: Duration = Duration::from_secs(10);

/// Decision about an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Approval {
    /// It may run.
    Allowed,
    /// Somebody switched it off.
    Disallowed,
    /// macOS does not know the item (yet).
    Unknown,
}

/// Returns the decision about the item with this label.
///
/// # Errors
///
/// sfltool does not say; before macOS 13 it knows no `dumpbtm`.
pub fn approval_of(tools: &Tools, label: &str) -> Result<Approval, CommandError> {
    let dump = tools.command(SFLTOOL).arg("dumpbtm").limit(LIMIT).run_ok()?;
    Ok(parse(&dump.text(), label))
}

/// Items begin with `#1:` in a line of their own. One that is disallowed for any user is
/// disallowed.
fn parse(text: &str, label: &str) -> Approval {
    let mut found = Approval::Unknown;
    let mut disposition = None;
    for line in text.lines() {
        let line = line.trim();
        if line.starts_with('#') && line.ends_with(':') {
            disposition = None;
        } else if let Some(words) = line.strip_prefix("Disposition: [") {
            let words = words.split(']').next().unwrap_or_default();
            disposition = Some(words.split(", ").any(|word| word == "allowed"));
        } else if let Some(id) = line.strip_prefix("Identifier: ")
            && is_ours(id, label)
        {
            match disposition {
                Some(false) => return Approval::Disallowed,
                Some(true) => found = Approval::Allowed,
                None => {}
            }
        }
    }
    found
}

/// The kind of the item stands before its label as a number, as in `16.us.zoom.ZoomDaemon`.
fn is_ours(id: &str, label: &str) -> bool {
    let bare = id.split_once('.').filter(|(kind, _)| kind.parse::<u32>().is_ok());
    bare.map_or(id, |(_, rest)| rest) == label
}

#[cfg(test)]
mod tests {
    use super::{Approval, parse};

    /// The form that tests of other tools hold (`SAMPLE_DUMPBTM` of maccleaner, `BTM_DUMP` of
    /// lexiconlocal), with our label: assumed.
    fn dump(disposition: &str) -> String {
        format!(
            "========================\n Records for UID 0 : FFFFEEEE\n========================\n\n \
             Items:\n\n #1:\n                 UUID: AAAA-1111\n                 Name: Zoom\n          \
             Disposition: [enabled, disallowed, notified] (0x9)\n           Identifier: \
             16.us.zoom.ZoomDaemon\n\n #2:\n                 UUID: BBBB-2222\n                 Name: \
             russet-boot\n                 Type: legacy daemon (0x10010)\n          Disposition: \
             {disposition}\n           Identifier: 16.dev.russet.agent\n                  URL: \
             file:///Library/LaunchDaemons/dev.russet.agent.plist\n"
        )
    }

    #[test]
    fn the_decision_about_our_item_is_told_from_that_about_others() {
        let parse = |disposition: &str| parse(&dump(disposition), "dev.russet.agent");
        assert_eq!(parse("[enabled, allowed, visible, notified] (0xb)"), Approval::Allowed);
        assert_eq!(parse("[enabled, disallowed, visible, notified] (0x9)"), Approval::Disallowed);
        assert_eq!(super::parse("nothing", "dev.russet.agent"), Approval::Unknown);
        let other = super::parse(&dump("[enabled, disallowed] (0x9)"), "dev.russet.menubar");
        assert_eq!(other, Approval::Unknown);
    }
}
