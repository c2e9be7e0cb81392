//! Fetching and unpacking: from a copy on this machine, or from the control plane.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::download::download_archive;
use super::{Failure, Transfer};
use crate::archive::{self, Bases, Limits, Recorder, Unpacked};
use crate::task::storage::growing::{End, Follower, Growing};
use crate::task::storage::local::Draft;

/// An archive to fetch.
#[derive(Clone, Copy, Debug)]
pub(in crate::task::storage) struct Wanted<'a> {
    /// Path of the archive.
    pub(in crate::task::storage) path: &'a str,
    pub(in crate::task::storage) size: u64,
    pub(in crate::task::storage) blake3: &'a str,
}

/// Summary of a fetched archive.
#[derive(Debug)]
pub(in crate::task::storage) struct Fetched {
    pub(in crate::task::storage) unpacked: Unpacked,
    pub(in crate::task::storage) source: Source,
}

/// Source of an archive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::task::storage) enum Source {
    /// The control plane.
    Server,
    /// The copy of the archive on this machine.
    Copy,
    /// A copy whose large contents were cloned, or written where that was not possible.
    Clones,
}

/// Asked for each entry that is no directory, before it is unpacked.
pub(in crate::task::storage) type Admit = Box<dyn FnMut(&[u8]) -> io::Result<()> + Send>;

/// Fetches and unpacks. What came stays on this machine as a copy, and what is used again as one
/// that can be cloned.
pub(in crate::task::storage) async fn fetch_archive(
    tools: Transfer<'_>,
    wanted: Wanted<'_>,
    bases: impl Fn() -> Bases,
    mut admit: impl FnMut() -> Admit,
) -> Result<Fetched, Failure> {
    let limits = limits_for(tools, wanted).await;
    match clone(tools, wanted, bases(), limits, admit()).await {
        Err(Failure::Other(why)) => {
            // Whatever is wrong, the archive says it again or does better.
            tracing::debug!(why, "a copy of an archive could not be cloned");
            tools.local.remove_apart(wanted.blake3);
        }
        Err(failure) => return Err(failure),
        Ok(Some(unpacked)) => return Ok(Fetched { unpacked, source: Source::Clones }),
        Ok(None) => {}
    }
    // Looking whether it is whole takes a while, and a task agent has to answer that it lives.
    let (local, blake3) = (Arc::clone(tools.local), wanted.blake3.to_owned());
    let looking = tokio::task::spawn_blocking(move || local.open(&blake3, wanted.size));
    if let Some(file) = looking.await.ok().flatten() {
        let growing = Growing::new(file);
        growing.whole(wanted.size, wanted.blake3);
        let unpacking = Unpacking { bases: bases(), limits, admit: admit() };
        let unpacked = unpack_and_record(tools, wanted, &growing, unpacking).await?;
        return Ok(Fetched { unpacked, source: Source::Copy });
    }
    let unpacking = || Unpacking { bases: bases(), limits, admit: admit() };
    from_server(tools, wanted, unpacking).await
}

/// Where and how an archive is unpacked.
struct Unpacking {
    bases: Bases,
    limits: Limits,
    admit: Admit,
}

/// Returns the limits of an archive: what the task has left on disk, and a ratio to its size.
async fn limits_for(tools: Transfer<'_>, wanted: Wanted<'_>) -> Limits {
    let disk = tools.disk.clone();
    let room = tokio::task::spawn_blocking(move || disk.measure_room()).await.ok().flatten();
    Limits::of_archive(wanted.size, room)
}

/// Clones what lies apart on this machine. `None`: there is no such copy.
async fn clone(
    tools: Transfer<'_>,
    wanted: Wanted<'_>,
    bases: Bases,
    limits: Limits,
    mut admit: Admit,
) -> Result<Option<Unpacked>, Failure> {
    let Some(copy) = tools.local.apart(wanted.blake3) else { return Ok(None) };
    let is_stopped = Arc::new(AtomicBool::new(false));
    let asked = Arc::clone(&is_stopped);
    let mut cloning = tokio::task::spawn_blocking(move || {
        archive::unpack_apart(copy, bases, limits, |name| {
            if asked.load(Ordering::Relaxed) {
                return Err(io::ErrorKind::Interrupted.into());
            }
            admit(name)
        })
    });
    let cloned = tokio::select! {
        cloned = &mut cloning => cloned,
        () = tools.stop.requested() => {
            is_stopped.store(true, Ordering::Relaxed);
            drop(cloning.await);
            return Err(Failure::Stopped);
        }
    };
    cloned
        .map_err(|error| Failure::Other(error.to_string()))?
        .map(Some)
        .map_err(|error| Failure::Other(error.to_string()))
}

/// Unpacks the copy of an archive, and makes one of it that can be cloned the next time.
async fn unpack_and_record(
    tools: Transfer<'_>,
    wanted: Wanted<'_>,
    growing: &Arc<Growing>,
    unpacking: Unpacking,
) -> Result<Unpacked, Failure> {
    let target = unpacking.bases.first().map_or(Path::new("/"), |(_, path)| path);
    let (draft, recorder) = tools.local.record(target).unzip();
    let (unpacked, recorder) = unpack_growing(tools, growing, unpacking, recorder).await?;
    if let (Some(draft), Some(recorder)) = (draft, recorder) {
        match recorder.finish() {
            Ok(()) => Draft::keep(draft, wanted.blake3),
            Err(error) => tracing::debug!(%error, "no copy is kept that could be cloned"),
        }
    }
    Ok(unpacked)
}

async fn from_server(
    tools: Transfer<'_>,
    wanted: Wanted<'_>,
    mut unpacking: impl FnMut() -> Unpacking,
) -> Result<Fetched, Failure> {
    // One that arrives damaged is fetched once more, through the control plane.
    for is_first in [true, false] {
        let may_go_elsewhere = is_first && tools.api.may_go_elsewhere();
        let (draft, file) = tools.local.draft(tools.spool).map_err(|error| {
            Failure::Other(format!("could not make a file for the archive: {error}"))
        })?;
        let growing = Growing::new(file);
        let (arrived, unpacked) = tokio::join!(
            async {
                let arrived = tokio::select! {
                    arrived = download_archive(tools, wanted, &growing, may_go_elsewhere) => arrived,
                    () = tools.stop.requested() => Err(Failure::Stopped),
                };
                if let Err(Failure::Other(why)) = &arrived {
                    growing.end(End::Failed(why.clone()));
                } else if arrived.is_err() {
                    growing.end(End::Abandoned);
                }
                arrived
            },
            unpack_growing(tools, &growing, unpacking(), None),
        );
        let whole = End::Whole(wanted.blake3.to_owned());
        match (arrived, unpacked, growing.ended()) {
            // The unpacking ended it, and says why.
            (_, Err(failure), Some(End::Abandoned)) => return Err(failure),
            (Err(failure), ..) => return Err(failure),
            (Ok(()), Ok((unpacked, _)), Some(end)) if end == whole => {
                draft.keep(wanted.blake3);
                return Ok(Fetched { unpacked, source: Source::Server });
            }
            (Ok(()), Err(failure), Some(end)) if end == whole => return Err(failure),
            // It is not what was stored, so that it cannot be unpacked says nothing.
            (Ok(()), ..) => {}
        }
    }
    Err(Failure::Other("the archive that arrives is not the one that was stored".to_owned()))
}

/// Unpacks what is in a file, or comes into it, and writes it down where that is asked for.
async fn unpack_growing(
    tools: Transfer<'_>,
    growing: &Arc<Growing>,
    unpacking: Unpacking,
    mut recorder: Option<Recorder>,
) -> Result<(Unpacked, Option<Recorder>), Failure> {
    let Unpacking { bases, limits, mut admit } = unpacking;
    let follower = Follower::new(growing);
    let ending = Arc::clone(growing);
    let mut unpacking = tokio::task::spawn_blocking(move || {
        let unpacked = archive::decompressed(follower, |input| match &mut recorder {
            Some(recorder) => archive::unpack_recorded(input, recorder, bases, limits, &mut admit),
            None => archive::unpack_with(input, bases, limits, &mut admit),
        });
        if unpacked.is_err() {
            ending.end(End::Abandoned);
        }
        unpacked.map(|unpacked| (unpacked, recorder))
    });
    let unpacked = tokio::select! {
        unpacked = &mut unpacking => unpacked,
        () = tools.stop.requested() => {
            growing.abandon();
            drop(unpacking.await);
            return Err(Failure::Stopped);
        }
    };
    unpacked
        .map_err(|error| Failure::Other(error.to_string()))?
        .map_err(|error| Failure::Other(format!("could not unpack {error}")))
}
