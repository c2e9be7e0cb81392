//! Disk images that a slot's user attached (`hdiutil attach`).
//!
//! An attached image outlives the process that attached it, and what is mounted from it stands in
//! `/Volumes`, where the next task would find it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use plist::Value;

use crate::command::{Command, CommandError, Tools};

/// hdiutil(1).
const HDIUTIL: &str = "/usr/bin/hdiutil";

/// diskutil(8).
const DISKUTIL: &str = "/usr/sbin/diskutil";

/// An attached image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    /// The file.
    pub path: String,
    /// Its first device, as `/dev/disk4`.
    pub device: String,
}

/// `hdiutil info -plist`: all attached images.
#[must_use]
pub fn info_command(tools: &Tools) -> Command {
    tools.command(HDIUTIL).args(["info", "-plist"])
}

/// `hdiutil detach DEVICE -force`: takes an image away, with everything that is mounted from it,
/// also while that is in use.
#[must_use]
pub fn detach_command(tools: &Tools, device: &str) -> Command {
    tools.command(HDIUTIL).args(["detach", device, "-force"])
}

/// The images in the output of [`info_command`] that `uid` attached.
///
/// # Errors
///
/// It is no property list of the expected form.
pub fn of_user(listing: &[u8], uid: u32) -> Result<Vec<Image>, plist::Error> {
    let root: Value = plist::from_bytes(listing)?;
    let images = root.as_dictionary().and_then(|root| root.get("images"));
    let images = images.and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    Ok(images.iter().filter_map(|image| owned_image(image, uid)).collect())
}

/// Returns the first device of the image in the output of [`info_command`] that has `device` too: a
/// volume, also one of the container that an APFS image brings.
fn image_with(listing: &[u8], device: &str) -> Option<String> {
    let root: Value = plist::from_bytes(listing).ok()?;
    let images = root.as_dictionary()?.get("images")?.as_array()?;
    images.iter().find_map(|image| {
        let devices = devices_of(image.as_dictionary()?);
        let first = (*devices.first()?).to_owned();
        devices.contains(&device).then_some(first)
    })
}

/// The devices of an image. They become arguments, so each has to be a device.
fn devices_of(image: &plist::Dictionary) -> Vec<&str> {
    let entities = image.get("system-entities").and_then(Value::as_array);
    let devices = entities
        .into_iter()
        .flatten()
        .filter_map(|entity| entity.as_dictionary()?.get("dev-entry")?.as_string());
    devices.filter(|device| device.starts_with("/dev/disk")).collect()
}

/// `diskutil unmount force DEVICE`: takes a volume down by its device, also while it is in use.
fn unmount_command(tools: &Tools, device: &str) -> Command {
    tools.command(DISKUTIL).args(["unmount", "force", device])
}

/// Takes a mounted device down: with the whole image where it is one that `hdiutil` knows, else the
/// volume alone. Nothing is said by path, since the names on the way to a mount point can be
/// exchanged.
///
/// # Errors
///
/// Neither worked: the error of the last.
pub fn detach_device(tools: &Tools, device: &str, limit: Duration) -> Result<(), CommandError> {
    let listing = info_command(tools).limit(limit).run_ok();
    let image = listing.ok().and_then(|listing| image_with(&listing.stdout, device));
    if let Some(image) = image
        && detach_command(tools, &image).limit(limit).run_ok().is_ok()
    {
        return Ok(());
    }
    unmount_command(tools, device).limit(limit).run_ok().map(drop)
}

/// Returns the mount points of Xcode's Metal toolchain outside of `slots`. Each user mounts it below
/// its home; every user sees the mount of another one and may not read it, so that Xcode does not
/// find `metal` (reported for Xcode 26).
#[must_use]
pub fn foreign_metal_toolchains(mounts: &[PathBuf], slots: &Path) -> Vec<PathBuf> {
    let is_foreign = |point: &&PathBuf| {
        let text = point.to_string_lossy();
        text.contains("/MetalToolchain/mounts/") && !point.starts_with(slots)
    };
    mounts.iter().filter(is_foreign).cloned().collect()
}

fn owned_image(image: &Value, uid: u32) -> Option<Image> {
    let image = image.as_dictionary()?;
    let owner = image.get("owner-uid")?.as_unsigned_integer()?;
    let device = (*devices_of(image).first()?).to_owned();
    let path = image.get("image-path").and_then(Value::as_string).unwrap_or(&device).to_owned();
    (owner == u64::from(uid)).then_some(Image { path, device })
}

#[cfg(test)]
mod tests {
    use super::{Image, detach_command, detach_device, info_command, of_user};
    use crate::command::Tools;
    use crate::command::testing::fake_tool;
    use std::path::{Path, PathBuf};
    use std::time::Duration;

    /// The keys of `hdiutil info -plist` as macOS 14 prints them (framework 683), with paths and
    /// owners of our own.
    fn listing(images: &[(u32, &str, &str)]) -> String {
        let image = |(owner, path, device): &(u32, &str, &str)| {
            format!(
                "<dict><key>diskimages2</key><false/><key>hdid-pid</key><integer>47562</integer>\
                 <key>image-path</key><string>{path}</string>\
                 <key>owner-uid</key><integer>{owner}</integer>\
                 <key>system-entities</key><array>\
                 <dict><key>content-hint</key><string>GUID_partition_scheme</string>\
                 <key>dev-entry</key><string>{device}</string></dict>\
                 <dict><key>dev-entry</key><string>{device}s1</string>\
                 <key>mount-point</key><string>/Volumes/x</string></dict></array>\
                 <key>writeable</key><true/></dict>"
            )
        };
        let images: String = images.iter().map(image).collect();
        format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?><plist version=\"1.0\"><dict>\
             <key>framework</key><string>683.100.3</string>\
             <key>images</key><array>{images}</array></dict></plist>"
        )
    }

    #[test]
    fn only_images_of_the_user_are_taken() {
        let listing = listing(&[
            (350, "/var/russet/slots/1/work/app.dmg", "/dev/disk4"),
            (501, "/Users/somebody/other.dmg", "/dev/disk5"),
            (350, "/var/russet/slots/1/work/odd.dmg", "-force"),
        ]);
        let wanted = Image {
            path: "/var/russet/slots/1/work/app.dmg".to_owned(),
            device: "/dev/disk4".to_owned(),
        };
        assert_eq!(of_user(listing.as_bytes(), 350).unwrap(), [wanted]);
        assert_eq!(of_user(self::listing(&[]).as_bytes(), 350).unwrap(), []);
        assert!(of_user(b"hdiutil: not running", 350).is_err());
    }

    /// Detaches a device with tools that say what they are called with; `works` is the exit status
    /// of `hdiutil detach`.
    fn detach(device: &str, works: i32) -> String {
        let dir = tempfile::tempdir().unwrap();
        let listing = listing(&[
            (501, "/Users/somebody/other.dmg", "/dev/disk5"),
            (0, "/System/Metal.dmg", "/dev/disk7"),
        ]);
        std::fs::write(dir.path().join("listing"), listing).unwrap();
        let here = dir.path().display();
        let hdiutil = format!(
            "[ \"$1\" != info ] || exec cat {here}/listing; echo hdiutil $* >> {here}/said; exit {works}"
        );
        fake_tool(dir.path(), "hdiutil", &hdiutil);
        fake_tool(dir.path(), "diskutil", &format!("echo diskutil $* >> {here}/said"));
        detach_device(&Tools::below(dir.path()), device, Duration::from_secs(30)).unwrap();
        std::fs::read_to_string(dir.path().join("said")).unwrap()
    }

    #[test]
    fn a_mounted_device_goes_with_its_image_whoever_attached_it() {
        assert_eq!(detach("/dev/disk7s1", 0), "hdiutil detach /dev/disk7 -force\n");
        let both = "hdiutil detach /dev/disk7 -force\ndiskutil unmount force /dev/disk7s1\n";
        assert_eq!(detach("/dev/disk7s1", 1), both);
        assert_eq!(detach("/dev/disk9s1", 0), "diskutil unmount force /dev/disk9s1\n");
    }

    #[test]
    fn somebody_elses_metal_toolchain_is_found_and_that_of_a_slot_is_not() {
        let mount = |home: &str| {
            let below = "Library/Developer/DVTDownloads/MetalToolchain/mounts/0a1b";
            Path::new(home).join(below)
        };
        let (slot, other) = (mount("/opt/state/slots/1/home"), mount("/Users/ci"));
        let mounts = [slot, other.clone(), PathBuf::from("/Volumes/x")];
        let found = super::foreign_metal_toolchains(&mounts, Path::new("/opt/state/slots"));
        assert_eq!(found, [other]);
    }

    #[test]
    fn commands_are_those_of_the_manual_page() {
        let dir = tempfile::tempdir().unwrap();
        let tools = Tools::below(dir.path());
        let line = |command: crate::command::Command| command.run().unwrap_err().to_string();
        assert!(line(info_command(&tools)).contains("hdiutil info -plist`"));
        assert!(
            line(detach_command(&tools, "/dev/disk4"))
                .contains("hdiutil detach /dev/disk4 -force`")
        );
    }
}
