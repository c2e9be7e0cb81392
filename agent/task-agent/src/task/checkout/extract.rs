//! Unpacking a source snapshot.
//!
//! Whoever submitted the snapshot may have made the archive by hand. It must not write outside
//! its directory: not by `..`, not by an absolute name, not through a link that an earlier entry
//! made, not by a hard link to a file elsewhere; and it must not make what is no file of a
//! project: devices, FIFOs, set-uid programs. The slot's user does this, so even then only its
//! own files would be in reach.

use std::io::{self, Read};
use std::path::{Component, Path};

use tar::{Archive, Entry, EntryType};

/// Summary of the unpacked files.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Unpacked {
    pub(super) files: u64,
    pub(super) bytes: u64,
}

/// Unpacks a zstd-compressed tar archive into `target`.
pub(super) fn unpack_snapshot(input: impl Read, target: &Path) -> io::Result<Unpacked> {
    let mut archive = Archive::new(zstd::stream::read::Decoder::new(input)?);
    archive.set_preserve_permissions(false);
    archive.set_preserve_ownerships(false);
    archive.set_overwrite(true);
    let mut unpacked = Unpacked::default();
    for entry in archive.entries()? {
        let mut entry = entry?;
        if !check_entry(&entry)? {
            continue;
        }
        unpacked.bytes += entry.size();
        unpacked.files += u64::from(entry.header().entry_type().is_file());
        if entry.header().entry_type() == EntryType::Link {
            make_way(&target.join(entry.path()?), target)?;
        }
        // It refuses to go through links that lead out of the directory.
        if !entry.unpack_in(target)? {
            return Err(refuse_entry(&entry, "it leads out of the directory"));
        }
    }
    // The rest of the stream holds its checksum.
    io::copy(&mut archive.into_inner(), &mut io::sink())?;
    Ok(unpacked)
}

/// Returns true if an entry is to be unpacked; an error for one that has no place in a project.
fn check_entry<R: Read>(entry: &Entry<'_, R>) -> io::Result<bool> {
    match entry.header().entry_type() {
        EntryType::Regular
        | EntryType::Continuous
        | EntryType::Directory
        | EntryType::Symlink
        | EntryType::GNUSparse => {}
        EntryType::Link => {
            let target = entry.link_name()?;
            if !target.is_some_and(|target| stays_inside(&target)) {
                return Err(refuse_entry(entry, "it links to a file outside the directory"));
            }
        }
        EntryType::XGlobalHeader => return Ok(false),
        _ => return Err(refuse_entry(entry, "it is neither a file nor a directory nor a link")),
    }
    if stays_inside(&entry.path()?) {
        Ok(true)
    } else {
        Err(refuse_entry(entry, "it leads out of the directory"))
    }
}

/// Removes a file where a hard link is to be, which unlike other entries takes nobody's place.
fn make_way(place: &Path, target: &Path) -> io::Result<()> {
    let parent = place.parent().and_then(|parent| parent.canonicalize().ok());
    let is_inside = parent
        .is_some_and(|parent| target.canonicalize().is_ok_and(|target| parent.starts_with(target)));
    match std::fs::symlink_metadata(place) {
        Ok(metadata) if is_inside && !metadata.is_dir() => std::fs::remove_file(place),
        _ => Ok(()),
    }
}

fn stays_inside(path: &Path) -> bool {
    path.components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir))
}

fn refuse_entry<R: Read>(entry: &Entry<'_, R>, why: &str) -> io::Error {
    let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
    io::Error::new(
        io::ErrorKind::InvalidData,
        format!("`{}` in the snapshot is refused: {why}", name.escape_debug()),
    )
}

#[cfg(test)]
mod tests {
    use super::unpack_snapshot;
    use std::os::unix::fs::PermissionsExt as _;
    use tar::{Builder, EntryType, Header};

    fn header(kind: EntryType, name: &[u8], size: u64) -> Header {
        let mut header = Header::new_gnu();
        header.as_gnu_mut().unwrap().name[..name.len()].copy_from_slice(name);
        header.set_entry_type(kind);
        header.set_mode(0o4755);
        header.set_size(size);
        header.set_cksum();
        header
    }

    fn link(kind: EntryType, name: &[u8], target: &str) -> Header {
        let mut header = header(kind, name, 0);
        header.set_link_name(target).unwrap();
        header.set_cksum();
        header
    }

    fn archive(entries: &[(Header, &[u8])]) -> Vec<u8> {
        let mut builder = Builder::new(Vec::new());
        for (header, body) in entries {
            builder.append(header, *body).unwrap();
        }
        zstd::bulk::compress(&builder.into_inner().unwrap(), 1).unwrap()
    }

    #[test]
    fn a_project_is_unpacked_without_set_uid() {
        let dir = tempfile::tempdir().unwrap();
        let packed = archive(&[
            (header(EntryType::Directory, b"src", 0), b""),
            (header(EntryType::Regular, b"src/run.sh", 5), b"hello"),
            (link(EntryType::Symlink, b"outward", "/usr/include"), b""),
            (link(EntryType::Link, b"again", "src/run.sh"), b""),
        ]);
        let unpacked = unpack_snapshot(&packed[..], dir.path()).unwrap();
        assert_eq!((unpacked.files, unpacked.bytes), (1, 5));
        let mode = std::fs::metadata(dir.path().join("src/run.sh")).unwrap().permissions().mode();
        assert_eq!(mode & 0o7777, 0o755);
        assert_eq!(std::fs::read(dir.path().join("again")).unwrap(), b"hello");
        // Once more over what is there.
        unpack_snapshot(&packed[..], dir.path()).unwrap();
    }

    #[test]
    fn nothing_is_written_outside() {
        let outside = tempfile::tempdir().unwrap();
        let out = outside.path().to_str().unwrap();
        let file = |name: &[u8]| (header(EntryType::Regular, name, 1), &b"x"[..]);
        let evil = [
            vec![file(b"../x")],
            vec![file(b"a/../../x")],
            vec![file(b"/tmp/russet-x")],
            vec![(link(EntryType::Symlink, b"l", out), &b""[..]), file(b"l/x")],
            vec![(link(EntryType::Link, b"h", "/etc/passwd"), &b""[..])],
            vec![(link(EntryType::Link, b"h", "../x"), &b""[..])],
            vec![(header(EntryType::Fifo, b"f", 0), &b""[..])],
            vec![(header(EntryType::Char, b"c", 0), &b""[..])],
        ];
        for entries in evil {
            let parent = tempfile::tempdir().unwrap();
            let dir = parent.path().join("in");
            std::fs::create_dir(&dir).unwrap();
            let name = entries.last().unwrap().0.path().unwrap().into_owned();
            unpack_snapshot(&archive(&entries)[..], &dir).unwrap_err();
            assert_eq!(std::fs::read_dir(parent.path()).unwrap().count(), 1, "{}", name.display());
        }
        assert_eq!(std::fs::read_dir(outside.path()).unwrap().count(), 0);
    }
}
