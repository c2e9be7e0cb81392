//! Requests by name, as OpenSSH's clients use them (PROTOCOL of OpenSSH, 4).

use nix::sys::statvfs::{Statvfs, fstatvfs, statvfs};
use russh_sftp::protocol::{ExtendedReply, FileAttributes, Packet, StatusCode};

use super::MAX_PACKET_BYTES;
use super::attributes::set_link_attributes;
use super::files::{Files, MAX_READ_BYTES, blocking};
use super::handles::MAX_HANDLES;
use super::paths::{expand_home, real_path};
use super::reply::{Refusal, done, one_name};

/// Names with their versions.
pub(super) const KNOWN: [(&str, &str); 8] = [
    ("posix-rename@openssh.com", "1"),
    ("statvfs@openssh.com", "2"),
    ("fstatvfs@openssh.com", "2"),
    ("hardlink@openssh.com", "1"),
    ("fsync@openssh.com", "1"),
    ("lsetstat@openssh.com", "1"),
    ("limits@openssh.com", "1"),
    ("expand-path@openssh.com", "1"),
];

/// Bytes of a packet besides those of a file.
const PACKET_OVERHEAD: u32 = 1024;

impl Files {
    pub(super) async fn run_extension(
        &self,
        id: u32,
        request: &str,
        data: &[u8],
    ) -> Result<Packet, Refusal> {
        let mut fields = Fields(data);
        match request {
            "posix-rename@openssh.com" => {
                let (old, new) = (self.path(fields.text()?), self.path(fields.text()?));
                blocking(move || std::fs::rename(old, new)).await?;
            }
            "hardlink@openssh.com" => {
                let (old, new) = (self.path(fields.text()?), self.path(fields.text()?));
                blocking(move || std::fs::hard_link(old, new)).await?;
            }
            "fsync@openssh.com" => {
                let file = self.handles.file(fields.text()?)?;
                blocking(move || file.sync_all()).await?;
            }
            "lsetstat@openssh.com" => {
                let path = self.path(fields.text()?);
                let wanted = fields.attributes()?;
                blocking(move || set_link_attributes(&path, &wanted)).await?;
            }
            "statvfs@openssh.com" => {
                let path = self.path(fields.text()?);
                let found = blocking(move || Ok(statvfs(&path)?)).await?;
                return Ok(reply(id, &room_of(&found)));
            }
            "fstatvfs@openssh.com" => {
                let file = self.handles.file(fields.text()?)?;
                let found = blocking(move || Ok(fstatvfs(&*file)?)).await?;
                return Ok(reply(id, &room_of(&found)));
            }
            "limits@openssh.com" => {
                let write = u64::from(MAX_PACKET_BYTES - PACKET_OVERHEAD);
                let handles = u64::try_from(MAX_HANDLES).unwrap_or(u64::MAX);
                let limits =
                    [u64::from(MAX_PACKET_BYTES), u64::from(MAX_READ_BYTES), write, handles];
                return Ok(reply(id, &limits));
            }
            "expand-path@openssh.com" => {
                let path = fields.text()?;
                let expanded = match expand_home(path, self.home.as_deref()) {
                    Some(expanded) => expanded,
                    None => {
                        let (base, path) = (self.base.clone(), path.to_owned());
                        blocking(move || real_path(&base, &path)).await?
                    }
                };
                return Ok(Packet::Name(one_name(id, &expanded)));
            }
            _ => return Err(Refusal::unsupported()),
        }
        Ok(Packet::Status(done(id)))
    }
}

/// An answer of numbers.
fn reply(id: u32, numbers: &[u64]) -> Packet {
    let data = numbers.iter().flat_map(|number| number.to_be_bytes()).collect();
    Packet::ExtendedReply(ExtendedReply { id, data })
}

/// Numbers of a file system, in the order of the protocol.
#[expect(clippy::useless_conversion, reason = "the types of these numbers differ between systems")]
fn room_of(found: &Statvfs) -> [u64; 11] {
    [
        found.block_size().into(),
        found.fragment_size().into(),
        found.blocks().into(),
        found.blocks_free().into(),
        found.blocks_available().into(),
        found.files().into(),
        found.files_free().into(),
        found.files_available().into(),
        found.filesystem_id().into(),
        found.flags().bits().into(),
        found.name_max().into(),
    ]
}

/// Fields of a request, one after the other.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn number(&mut self) -> Result<u32, Refusal> {
        let (first, rest) = self.0.split_first_chunk().ok_or_else(Self::broken)?;
        self.0 = rest;
        Ok(u32::from_be_bytes(*first))
    }

    fn text(&mut self) -> Result<&'a str, Refusal> {
        let length = self.number()? as usize;
        let (text, rest) = self.0.split_at_checked(length).ok_or_else(Self::broken)?;
        self.0 = rest;
        std::str::from_utf8(text).map_err(|_| Self::broken())
    }

    /// Attributes of version 3 (draft-ietf-secsh-filexfer-02, 5).
    fn attributes(&mut self) -> Result<FileAttributes, Refusal> {
        let mut found = FileAttributes::empty();
        let flags = self.number()?;
        if flags & 1 != 0 {
            let high = u64::from(self.number()?);
            found.size = Some(high << 32 | u64::from(self.number()?));
        }
        if flags & 2 != 0 {
            (found.uid, found.gid) = (Some(self.number()?), Some(self.number()?));
        }
        if flags & 4 != 0 {
            found.permissions = Some(self.number()?);
        }
        if flags & 8 != 0 {
            (found.atime, found.mtime) = (Some(self.number()?), Some(self.number()?));
        }
        Ok(found)
    }

    fn broken() -> Refusal {
        Refusal::new(StatusCode::BadMessage, "the request is not complete")
    }
}
