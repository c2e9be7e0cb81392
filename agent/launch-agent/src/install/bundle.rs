//! The agent's code: one directory, put in place as a whole, with the one before beside it.

use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::error::InstallError;
use super::files;
use super::receipt::Check;
use russet_platform::layout::Layout;

/// Returns the path at which a bundle is made before it takes its place.
fn draft_path(layout: &Layout) -> PathBuf {
    files::draft_path(&layout.bundle())
}

/// The executable of the bundle, relative to it.
fn executable_path(layout: &Layout) -> PathBuf {
    let (bundle, executable) = (layout.bundle(), layout.executable());
    executable.strip_prefix(bundle).unwrap_or(Path::new("russet")).to_owned()
}

/// Returns true if what is installed is this program.
pub(super) fn check_bundle(layout: &Layout, program: &Path) -> Result<Check, InstallError> {
    let installed = layout.executable();
    let Ok(meta) = std::fs::symlink_metadata(&installed) else { return Ok(Check::Absent) };
    let fit = meta.is_file() && meta.uid() == 0 && meta.mode() & 0o022 == 0;
    let same = fit
        && files::have_same_content(&installed, program)
            .map_err(InstallError::file("compare with", &installed))?;
    Ok(if same { Check::Same } else { Check::Different(None) })
}

/// Puts this program in place. The one that is there becomes the previous one, which
/// `russet-boot` can go back to; killed in between, it can do so too.
pub(super) fn install_bundle(layout: &Layout, program: &Path) -> Result<(), InstallError> {
    let bundle = layout.bundle();
    put_in_place(layout, program).map_err(InstallError::file("put the code into", &bundle))
}

fn put_in_place(layout: &Layout, program: &Path) -> io::Result<()> {
    let (draft, bundle, previous) = (draft_path(layout), layout.bundle(), layout.previous());
    files::remove_tree(&draft)?;
    match bundle_of(program, layout) {
        Some(source) => copy_tree(&source, &draft)?,
        None => make_bundle(layout, program, &draft)?,
    }
    if bundle.symlink_metadata().is_ok() {
        files::remove_tree(&previous)?;
        std::fs::rename(&bundle, &previous)?;
    }
    std::fs::rename(&draft, &bundle)?;
    files::sync_directory(&layout.code())
}

/// Removes the code, the previous one, and what a killed run left.
pub(super) fn remove_bundle(layout: &Layout) -> io::Result<()> {
    let brought = [layout.incoming(), layout.arrived()];
    let own = [draft_path(layout), layout.bundle(), layout.previous(), layout.staging()];
    for path in own.into_iter().chain(brought) {
        files::remove_tree(&path)?;
    }
    Ok(())
}

/// The whole bundle that a program is a part of, as it comes out of a package: its signature
/// covers all of it.
fn bundle_of(program: &Path, layout: &Layout) -> Option<PathBuf> {
    let inside = executable_path(layout);
    if inside.components().count() < 2 || !program.ends_with(&inside) {
        return None;
    }
    let root = program.ancestors().nth(inside.components().count())?;
    root.extension().is_some_and(|extension| extension == "app").then(|| root.to_owned())
}

/// Makes a bundle around a bare executable.
fn make_bundle(layout: &Layout, program: &Path, draft: &Path) -> io::Result<()> {
    files::make_directory(draft, 0o755)?;
    let inside = executable_path(layout);
    let mut directory = draft.to_owned();
    for part in inside.parent().into_iter().flat_map(Path::components) {
        directory.push(part);
        files::make_directory(&directory, 0o755)?;
    }
    if inside.starts_with("Contents") {
        let path = draft.join("Contents/Info.plist");
        files::write(&path, make_info_plist().as_bytes(), 0o644)?;
    }
    files::copy_file(program, &draft.join(inside), 0o755)
}

/// Returns the bundle's `Info.plist`. An executable that was signed without it keeps its signature.
fn make_info_plist() -> String {
    let version = concat!("<string>", env!("CARGO_PKG_VERSION"), "<");
    include_str!("Info.plist").replace("<string>@VERSION@<", version)
}

/// Copies directories, files and links; modes are made those of code.
fn copy_tree(from: &Path, to: &Path) -> io::Result<()> {
    files::make_directory(to, 0o755)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        let meta = std::fs::symlink_metadata(&source)?;
        if meta.is_dir() {
            copy_tree(&source, &target)?;
        } else if meta.is_symlink() {
            std::os::unix::fs::symlink(std::fs::read_link(&source)?, &target)?;
        } else {
            let mode = if meta.mode() & 0o111 == 0 { 0o644 } else { 0o755 };
            files::copy_file(&source, &target, mode)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{install_bundle, make_info_plist, remove_bundle};
    use russet_platform::layout::Layout;

    #[test]
    fn the_information_of_a_bundle_is_a_property_list_with_our_label() {
        let value = plist::Value::from_reader_xml(make_info_plist().as_bytes()).unwrap();
        let get = |key: &str| value.as_dictionary().unwrap().get(key).unwrap().as_string().unwrap();
        assert_eq!(get("CFBundleIdentifier"), russet_platform::layout::LABEL);
        assert_eq!(get("CFBundleExecutable"), "russet");
        assert_eq!(get("CFBundleVersion"), env!("CARGO_PKG_VERSION"));
    }

    #[test]
    fn the_code_before_stays_beside_the_new_one_until_both_are_removed() {
        if !russet_test_skip::can_be_root("to own what is installed") {
            return;
        }
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::below(dir.path());
        std::fs::create_dir_all(layout.code()).unwrap();
        for version in ["one", "two", "three"] {
            let program = dir.path().join("russet");
            std::fs::write(&program, version).unwrap();
            install_bundle(&layout, &program).unwrap();
            assert_eq!(std::fs::read_to_string(layout.executable()).unwrap(), version);
        }
        assert_eq!(std::fs::read_to_string(layout.previous_executable()).unwrap(), "two");
        for brought in [layout.incoming(), layout.arrived()] {
            std::fs::create_dir(brought).unwrap();
        }
        remove_bundle(&layout).unwrap();
        assert_eq!(std::fs::read_dir(layout.code()).unwrap().count(), 0);
    }
}
