//! Contents of `Russet.app` besides its executable: `Info.plist`, its icon, and the pictures
//! of the menu bar, all drawn from the vector sources in `icons/`.
//!
//! A crate of its own, without I/O, since the tool that makes releases needs it on machines where
//! the companion itself does not run.

#![forbid(unsafe_code)]

mod icns;
mod picture;
mod shape;

pub use icns::app_icon;
pub use picture::{Picture, PictureError};
pub use shape::Shape;

/// Name of the bundle.
pub const NAME: &str = "Russet.app";

/// Its identifier, which is also that of its signature.
pub const IDENTIFIER: &str = "dev.russet.menubar";

/// Path of the executable in it.
pub const EXECUTABLE: &str = "Contents/MacOS/russet-menubar";

/// Everything in it but the executable: where, and what. The order is always the same.
///
/// # Errors
///
/// A vector source is not what the renderer takes, which a test excludes.
pub fn bundle_files(version: &str) -> Result<Vec<(&'static str, Vec<u8>)>, PictureError> {
    Ok(vec![
        ("Contents/Info.plist", info_plist(version).into_bytes()),
        ("Contents/PkgInfo", b"APPL????".to_vec()),
        ("Contents/Resources/AppIcon.icns", app_icon()?),
    ])
}

/// The `Info.plist` of a version: digits and dots, as macOS wants it.
#[must_use]
pub fn info_plist(version: &str) -> String {
    include_str!("../Info.plist").replace("<string>@VERSION@<", &format!("<string>{version}<"))
}

#[cfg(test)]
mod tests {
    use super::{EXECUTABLE, IDENTIFIER, bundle_files, info_plist};

    #[test]
    fn the_info_plist_says_what_the_bundle_is() {
        let plist: plist::Dictionary = plist::from_bytes(info_plist("1.2.3").as_bytes()).unwrap();
        let string = |key: &str| plist[key].as_string().unwrap();
        assert_eq!(string("CFBundleIdentifier"), IDENTIFIER);
        assert_eq!(string("CFBundleShortVersionString"), "1.2.3");
        assert_eq!(string("CFBundleVersion"), "1.2.3");
        assert!(EXECUTABLE.ends_with(&format!("/{}", string("CFBundleExecutable"))));
        assert_eq!(string("LSMinimumSystemVersion"), "10.15");
        assert_eq!(plist["LSUIElement"].as_boolean(), Some(true));
    }

    #[test]
    fn the_icon_that_the_info_plist_names_is_there() {
        let files = bundle_files("1.0").unwrap();
        let names: Vec<_> = files.iter().map(|(name, _)| *name).collect();
        assert!(names.contains(&"Contents/Resources/AppIcon.icns"), "{names:?}");
        assert!(info_plist("1.0").contains("<string>AppIcon</string>"));
    }
}
