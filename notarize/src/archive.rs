//! Stage `archive`: what an agent updates itself with, its bundle as a gzipped tar archive.

use anyhow::{Context as _, Result};
use flate2::Compression;
use flate2::write::GzEncoder;
use tar::{Builder, EntryType, Header};

use crate::places::Release;
use crate::tree::{self, Kind};

/// The directory that everything in the archive lies in.
const ROOT: &str = "RussetAgent.app";

/// Makes it from the bundle, which has Apple's ticket if there is one.
///
/// # Errors
///
/// A file cannot be read or written.
pub fn make(release: &Release) -> Result<String> {
    let mut archive = Builder::new(GzEncoder::new(Vec::new(), Compression::best()));
    for node in tree::read(&release.stapled_bundle())? {
        let path = if node.path == "." { ROOT.to_owned() } else { format!("{ROOT}/{}", node.path) };
        let mut header = Header::new_ustar();
        header.set_mode(u32::from(node.mode));
        header.set_mtime(u64::from(release.time_u32()));
        header.set_username("root")?;
        header.set_groupname("wheel")?;
        let put = || format!("could not put {path} into the archive");
        match &node.kind {
            Kind::Directory => {
                header.set_entry_type(EntryType::Directory);
                header.set_size(0);
                archive.append_data(&mut header, format!("{path}/"), &[][..]).with_context(put)?;
            }
            Kind::File(bytes) => {
                header.set_size(bytes.len() as u64);
                archive.append_data(&mut header, &path, bytes.as_slice()).with_context(put)?;
            }
            Kind::Link(target) => {
                header.set_entry_type(EntryType::Symlink);
                header.set_size(0);
                archive.append_link(&mut header, &path, target).with_context(put)?;
            }
        }
    }
    let bytes = archive.into_inner()?.finish()?;
    let target = release.archive();
    std::fs::write(&target, &bytes)
        .with_context(|| format!("could not write {}", target.display()))?;
    Ok(format!("{} bytes", bytes.len()))
}
