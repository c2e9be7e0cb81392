//! Checks of macOS's record of background items: if somebody switched ours off, and if the record has
//! grown so large that macOS starts none at all.

use super::mac::major_version;
use crate::health::{Check, Level};
use russet_platform::command::Tools;
use russet_platform::layout::{LABEL, Layout, MENUBAR_LABEL};
use russet_platform::macos_tools::background_items::{self, Approval, Item};
use russet_text::format_size;

const NAME: &str = "background item";

/// A database of 4.1 MB was seen to end its service, and with it every daemon that is not Apple's,
/// at each start of the Mac (taskcluster/community-tc-config#983).
const MAX_DATABASE_BYTES: u64 = 3_000_000;

/// Looks at the items of an installation, from macOS 13 on.
pub(super) fn background_checks(tools: &Tools, layout: &Layout) -> Vec<Check> {
    if major_version(layout.root()).is_some_and(|major| major < 13) {
        return Vec::new();
    }
    if !nix::unistd::geteuid().is_root() {
        // To anybody else macOS shows a question for a password.
        let found = "only root is told without a question; try `sudo`".to_owned();
        return vec![Check::new(NAME, Level::Unknown, found, "")];
    }
    let has_companion = layout.menubar_plist().exists();
    let mut found = match background_items::read_items(tools) {
        Ok(items) => judge_items(&items, has_companion),
        Err(error) => vec![Check::new(NAME, Level::Unknown, error.to_string(), "")],
    };
    let size = background_items::database_size(layout.root());
    found.extend(size.filter(|size| *size > MAX_DATABASE_BYTES).map(judge_database));
    found
}

fn judge_items(items: &[Item], has_companion: bool) -> Vec<Check> {
    let agent =
        judge_approval("the agent", background_items::approval_of(items, LABEL), Level::Bad);
    // Tasks run without it.
    let companion = has_companion.then(|| {
        let approval = background_items::approval_of(items, MENUBAR_LABEL);
        judge_approval("the menubar companion", approval, Level::Warning)
    });
    std::iter::once(agent).chain(companion).collect()
}

fn judge_approval(who: &str, approval: Approval, if_switched_off: Level) -> Check {
    let hint = "System Settings, General, Login Items & Extensions, \"Allow in the Background\"; a \
                profile with `ServiceManagementManagedItems` keeps it on";
    match approval {
        Approval::Allowed => Check::new(NAME, Level::Ok, format!("{who} is allowed"), ""),
        Approval::Unknown => {
            let found = format!("macOS does not know {who} yet");
            Check::new(NAME, Level::Unknown, found, "")
        }
        Approval::Disallowed => {
            let found = format!("somebody switched {who} off: launchd does not start it");
            Check::new(NAME, if_switched_off, found, hint)
        }
        Approval::Disabled => {
            let found = format!("{who} is known and not enabled: launchd may not start it");
            Check::new(NAME, Level::Warning, found, hint)
        }
    }
}

fn judge_database(size: u64) -> Check {
    let found = format!(
        "the record of background items has {}, and macOS is known to start no daemons with 4.1 MB",
        format_size(size)
    );
    let hint = "`sudo sfltool resetbtm` and a restart make it anew; everybody's decisions about \
                background items are forgotten";
    Check::new(NAME, Level::Warning, found, hint)
}

#[cfg(test)]
mod tests {
    use super::{Level, background_checks, judge_approval, judge_database};
    use russet_platform::command::Tools;
    use russet_platform::command::testing::fake_tool;
    use russet_platform::layout::Layout;
    use russet_platform::macos_tools::background_items::Approval;

    #[test]
    fn an_item_that_was_switched_off_is_bad_for_the_agent_and_a_warning_for_the_companion() {
        let of = |approval, level| judge_approval("it", approval, level).level;
        assert_eq!(of(Approval::Allowed, Level::Bad), Level::Ok);
        assert_eq!(of(Approval::Disallowed, Level::Bad), Level::Bad);
        assert_eq!(of(Approval::Disallowed, Level::Warning), Level::Warning);
        assert_eq!(of(Approval::Disabled, Level::Bad), Level::Warning);
        assert_eq!(of(Approval::Unknown, Level::Bad), Level::Unknown);
        let large = judge_database(3_500_000);
        assert!(large.found.contains("3.5 MB") && large.hint.unwrap().contains("resetbtm"));
    }

    #[test]
    fn the_items_of_the_agent_and_the_companion_are_looked_at() {
        if !russet_test_skip::can_be_root("to be told of background items") {
            return;
        }
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::below(&dir.path().join("root"));
        let tools = Tools::below(dir.path());
        let levels = || -> Vec<Level> {
            background_checks(&tools, &layout).iter().map(|check| check.level).collect()
        };
        assert_eq!(levels(), [Level::Unknown], "sfltool is missing");
        let item = |disposition: &str, id: &str| {
            format!("#1:\n Disposition: [{disposition}] (0x9)\n Identifier: {id}\n")
        };
        let dump = item("enabled, allowed", "16.dev.russet.agent")
            + &item("enabled, disallowed", "8.dev.russet.menubar");
        std::fs::write(dir.path().join("dump"), dump).unwrap();
        let script = format!("/bin/cat {}", dir.path().join("dump").display());
        fake_tool(dir.path(), "sfltool", &script);
        assert_eq!(levels(), [Level::Ok]);
        std::fs::create_dir_all(layout.menubar_plist().parent().unwrap()).unwrap();
        std::fs::write(layout.menubar_plist(), "").unwrap();
        assert_eq!(levels(), [Level::Ok, Level::Warning]);
        let folder = layout.root().join("var/db/com.apple.backgroundtaskmanagement");
        std::fs::create_dir_all(&folder).unwrap();
        let database = std::fs::File::create(folder.join("BackgroundItems-v16.btm")).unwrap();
        database.set_len(4_100_000).unwrap();
        assert_eq!(levels(), [Level::Ok, Level::Warning, Level::Warning]);
    }
}
