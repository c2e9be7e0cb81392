//! Disk images that a slot's user attached (`hdiutil attach`).
//!
//! An attached image outlives the process that attached it, and what is mounted from it stands in
//! `/Volumes`, where the next task would find it.

use plist::Value;

use crate::command::{Command, Tools};

/// hdiutil(1).
const HDIUTIL: &str = "/usr/bin/hdiutil";

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

fn owned_image(image: &Value, uid: u32) -> Option<Image> {
    let image = image.as_dictionary()?;
    let owner = image.get("owner-uid")?.as_unsigned_integer()?;
    let entities = image.get("system-entities")?.as_array()?;
    let device = entities.iter().find_map(|entity| {
        let device = entity.as_dictionary()?.get("dev-entry")?.as_string()?;
        // It becomes an argument, so it has to be a device.
        device.starts_with("/dev/disk").then(|| device.to_owned())
    })?;
    let path = image.get("image-path").and_then(Value::as_string).unwrap_or(&device).to_owned();
    (owner == u64::from(uid)).then_some(Image { path, device })
}

#[cfg(test)]
mod tests {
    use super::{Image, detach_command, info_command, of_user};
    use crate::command::Tools;

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
