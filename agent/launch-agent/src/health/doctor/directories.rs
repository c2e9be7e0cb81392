//! Check of the directories that the agent and its tasks write to.

use std::path::{Path, PathBuf};

use crate::config::Config;
use crate::health::{Check, Level};
use russet_platform::volume::{self, VolumeError};

/// Looks at the volumes of all directories, and for links on the way to those of tasks.
pub(super) fn check_directories(config: &Config) -> Check {
    let work =
        config.working_directory.as_deref().map(|text| PathBuf::from(text.replace("%s", "1")));
    let named = [&config.state_directory, &config.data_directory].into_iter();
    let mut named = named.chain(&work).chain(&config.housekeeping.paths);
    let fault = named.find_map(|path| volume::check_volume(path).err());
    let mut of_tasks = std::iter::once(&config.data_directory).chain(&work);
    let link = of_tasks.find_map(|path| volume::link_on_the_way(path));
    let link = link.filter(|_| cfg!(target_os = "macos"));
    let old_slots = Some(config.state_directory.join("slots")).filter(|path| path.is_symlink());
    judge(&config.data_directory, fault, link, old_slots)
}

/// `old_slots` is the link from the place where homes of slots' users are still named.
fn judge(
    data: &Path,
    fault: Option<VolumeError>,
    link: Option<PathBuf>,
    old_slots: Option<PathBuf>,
) -> Check {
    let name = "directories";
    if let Some(fault) = fault {
        // The system keeps a person out as well who is not root.
        let is_fault = matches!(fault, VolumeError::Ignored { .. } | VolumeError::Refused(_));
        let level = if is_fault { Level::Bad } else { Level::Unknown };
        return Check::new(name, level, fault.to_string(), &fault.hint());
    }
    if let Some(old) = old_slots {
        let found =
            format!("homes of slots' users are still named below the link {}", old.display());
        let hint =
            "`sudo russet agent repair` names the new ones, and the next start removes the link";
        return Check::new(name, Level::Warning, found, hint);
    }
    let Some(link) = link else {
        return Check::new(name, Level::Ok, format!("tasks work below {}", data.display()), "");
    };
    let found = format!(
        "{} is a link on the way to where tasks work: `xcodebuild -create-xcframework` and module \
         caches do not get over it",
        link.display()
    );
    let hint = "set `runner.data_directory` (and `runner.working_directory`, where you set it) to a \
                directory without links on the way";
    Check::new(name, Level::Warning, found, hint)
}

#[cfg(test)]
mod tests {
    use super::judge;
    use crate::health::Level;
    use russet_platform::volume::VolumeError;
    use std::path::{Path, PathBuf};

    #[test]
    fn a_volume_without_owners_and_a_link_on_the_way_come_with_what_to_do() {
        let data = Path::new("/opt/russet/data");
        assert_eq!(judge(data, None, None, None).level, Level::Ok);
        let volume = PathBuf::from("/Volumes/SSD");
        let fault = VolumeError::Ignored { path: volume.join("ci"), volume };
        let check = judge(data, Some(fault), None, None);
        assert_eq!(check.level, Level::Bad);
        assert_eq!(check.hint.unwrap(), "`sudo diskutil enableOwnership /Volumes/SSD`");
        let refused = VolumeError::Refused(PathBuf::from("/Volumes/SSD/ci"));
        assert_eq!(judge(data, Some(refused), None, None).level, Level::Bad);
        let check = judge(data, None, Some(PathBuf::from("/var")), None);
        assert_eq!(check.level, Level::Warning);
        assert!(check.found.starts_with("/var is a link"), "{check:?}");
        let check = judge(data, None, None, Some(PathBuf::from("/var/db/russet/slots")));
        assert!(check.hint.unwrap().contains("russet agent repair"));
    }
}
