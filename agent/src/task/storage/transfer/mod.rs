//! Archives on their way to the control plane and from it.
//!
//! Packing and sending, fetching and unpacking happen at the same time, on the two ends of a file
//! that grows. So a cut costs what was on its way: sending begins anew from the file, fetching goes
//! on where it was. A task that is stopped waits for the threads that pack and unpack: nothing is
//! written any more once the clean-up begins.

use std::io::{self, Write as _};
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use reqwest::header::RANGE;
use reqwest::{Method, StatusCode};
use russet_protocol::storage::{ARCHIVES_PATH, Uploaded};

use super::growing::{End, Follower, Growing, Writer};
use super::local::Draft;
use crate::archive::{self, Bases, Packed, Root, Unpacked};
use crate::http::{self, Backoff};
use crate::task::api::{self, ApiError};
use crate::task::context::Context;

/// A connection that is silent for so long is dead.
const SILENCE: Duration = Duration::from_secs(60);

/// A try may take this long, and longer for large archives: the slowest uplink that is waited for
/// has 100 kB/s. While it is still packed nobody knows how large it is going to be.
const SHORTEST_CALL: Duration = Duration::from_secs(120);
const SLOWEST_BYTES_PER_SECOND: u64 = 100_000;
const WHILE_PACKING: Duration = Duration::from_secs(6 * 3600);

/// Tries in a row that bring nothing. Nobody's build is to wait for a cache for hours.
const MOST_TRIES: u32 = 12;

/// Why an archive did not get where it should.
#[derive(Debug)]
pub(super) enum Failure {
    /// The task was stopped.
    Stopped,
    /// The control plane no longer holds the task.
    Stale(ApiError),
    /// Anything else, for people.
    Other(String),
}

/// What was sent.
#[derive(Debug)]
pub(super) struct Sent<'a> {
    pub(super) packed: Packed,
    pub(super) archive: Uploaded,
    growing: Arc<Growing>,
    draft: Draft<'a>,
}

impl Sent<'_> {
    /// The control plane has named it: it is worth keeping here.
    pub(super) fn keep(self) {
        self.draft.keep(&self.archive.blake3);
    }
}

/// Packs and sends.
pub(super) async fn send(context: &Context, roots: Vec<Root>) -> Result<Sent<'_>, Failure> {
    let spool = &context.assignment.dirs.spool;
    let (draft, file) = context.local.draft(spool).map_err(|error| {
        Failure::Other(format!("could not make a file for the archive: {error}"))
    })?;
    let growing = Growing::new(file);
    let packing = tokio::task::spawn_blocking({
        let growing = Arc::clone(&growing);
        move || pack(&roots, &growing)
    });
    let sent = tokio::select! {
        sent = upload(context, &growing) => sent,
        () = context.stop.requested() => Err(Failure::Stopped),
    };
    if sent.is_err() {
        growing.end(End::Abandoned);
    }
    let packed = packing.await.map_err(|error| Failure::Other(error.to_string()));
    let archive = sent?;
    let packed = packed?.map_err(|error| Failure::Other(error.to_string()))?;
    Ok(Sent { packed, archive, growing, draft })
}

/// Sends once more what a server that was restarted meanwhile no longer has.
pub(super) async fn send_again(context: &Context, sent: &mut Sent<'_>) -> Result<(), Failure> {
    sent.archive = tokio::select! {
        archive = upload(context, &sent.growing) => archive?,
        () = context.stop.requested() => return Err(Failure::Stopped),
    };
    Ok(())
}

fn pack(roots: &[Root], growing: &Arc<Growing>) -> io::Result<Packed> {
    let mut writer = Writer::new(growing);
    let packed = archive::compress(&mut writer, |out| archive::pack(roots, out));
    match &packed {
        Ok(_) => writer.whole(),
        Err(error) => growing.end(End::Failed(error.to_string())),
    }
    packed
}

async fn upload(context: &Context, growing: &Arc<Growing>) -> Result<Uploaded, Failure> {
    const CALL: &str = "store the archive";
    let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(5));
    let mut last = String::new();
    for _ in 0..MOST_TRIES {
        let request = context.api.request(Method::PUT, ARCHIVES_PATH).body(growing.body());
        let limit = match growing.ended() {
            None => WHILE_PACKING,
            Some(_) => {
                let seconds = growing.written() / SLOWEST_BYTES_PER_SECOND;
                SHORTEST_CALL.max(Duration::from_secs(seconds))
            }
        };
        let answer = request.timeout(limit).send().await;
        if let Some(End::Failed(why)) = growing.ended() {
            return Err(Failure::Other(why));
        }
        let asked = match answer {
            Ok(response) if response.status() == StatusCode::OK => {
                let uploaded = response.json::<Uploaded>().await;
                let whole = growing.wait().await;
                match uploaded {
                    Ok(uploaded) if End::Whole(uploaded.blake3.clone()) == whole => {
                        return Ok(uploaded);
                    }
                    Ok(_) => last = "it arrived damaged".to_owned(),
                    Err(error) => last = api::describe(&error),
                }
                None
            }
            Ok(response) if http::is_transient(response.status()) => {
                let asked = http::retry_after(response.headers());
                last = response.status().to_string();
                asked
            }
            Ok(response) => return Err(refused(CALL, response).await),
            Err(error) => {
                last = api::describe(&error);
                None
            }
        };
        // What is still packed is not begun anew for every hiccup: the rest of it first.
        if let End::Failed(why) = growing.wait().await {
            return Err(Failure::Other(why));
        }
        context.api.pause(CALL, &mut backoff, asked, last.clone()).await.map_err(Failure::from)?;
    }
    Err(Failure::from(ApiError::GaveUp { call: CALL, last }))
}

async fn refused(call: &'static str, response: reqwest::Response) -> Failure {
    let status = response.status();
    let text = response.text().await.unwrap_or_default();
    let problem: Option<russet_protocol::problem::Problem> = serde_json::from_str(&text).ok();
    let message = problem.map_or(text, |problem| problem.message);
    match status {
        StatusCode::CONFLICT => Failure::Stale(ApiError::Stale(message)),
        _ => Failure::from(ApiError::Refused { call, status: status.as_u16(), message }),
    }
}

/// An archive to fetch.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted<'a> {
    /// Where it is.
    pub(super) path: &'a str,
    pub(super) size: u64,
    pub(super) blake3: &'a str,
}

/// What was fetched.
#[derive(Debug)]
pub(super) struct Fetched {
    pub(super) unpacked: Unpacked,
    /// Whether it was on this machine already.
    pub(super) was_local: bool,
}

/// Asked for each entry that is no directory, before it is unpacked.
pub(super) type Admit = Box<dyn FnMut(&[u8]) -> io::Result<()> + Send>;

/// Fetches and unpacks. `keep` says whether a copy stays on this machine.
pub(super) async fn fetch(
    context: &Context,
    wanted: Wanted<'_>,
    bases: impl Fn() -> Bases,
    keep: bool,
    mut admit: impl FnMut() -> Admit,
) -> Result<Fetched, Failure> {
    let wanted_size = wanted.size;
    // Looking whether it is whole takes a while, and a task agent has to answer that it lives.
    let local = if keep {
        let (local, blake3) = (Arc::clone(&context.local), wanted.blake3.to_owned());
        let looking = tokio::task::spawn_blocking(move || local.open(&blake3, wanted_size));
        looking.await.ok().flatten()
    } else {
        None
    };
    if let Some(file) = local {
        let growing = Growing::new(file);
        growing.whole(wanted.size, wanted.blake3);
        let unpacked = unpacking(context, &growing, bases(), admit()).await;
        return unpacked.map(|unpacked| Fetched { unpacked, was_local: true });
    }
    // One that arrives damaged is fetched once more.
    for _ in 0..2 {
        let spool = &context.assignment.dirs.spool;
        let none = super::local::Local::default();
        let place: &super::local::Local = if keep { &context.local } else { &none };
        let (draft, file) = place.draft(spool).map_err(|error| {
            Failure::Other(format!("could not make a file for the archive: {error}"))
        })?;
        let growing = Growing::new(file);
        let (arrived, unpacked) = tokio::join!(
            async {
                let arrived = tokio::select! {
                    arrived = download(context, wanted, &growing) => arrived,
                    () = context.stop.requested() => Err(Failure::Stopped),
                };
                if let Err(Failure::Other(why)) = &arrived {
                    growing.end(End::Failed(why.clone()));
                } else if arrived.is_err() {
                    growing.end(End::Abandoned);
                }
                arrived
            },
            unpacking(context, &growing, bases(), admit()),
        );
        let whole = End::Whole(wanted.blake3.to_owned());
        match (arrived, unpacked, growing.ended()) {
            // The unpacking ended it, and says why.
            (_, Err(failure), Some(End::Abandoned)) => return Err(failure),
            (Err(failure), ..) => return Err(failure),
            (Ok(()), Ok(unpacked), Some(end)) if end == whole => {
                draft.keep(wanted.blake3);
                return Ok(Fetched { unpacked, was_local: false });
            }
            (Ok(()), Err(failure), Some(end)) if end == whole => return Err(failure),
            // It is not what was stored, so that it can not be unpacked says nothing.
            (Ok(()), ..) => {}
        }
    }
    Err(Failure::Other("the archive that arrives is not the one that was stored".to_owned()))
}

async fn unpacking(
    context: &Context,
    growing: &Arc<Growing>,
    bases: Bases,
    mut admit: Admit,
) -> Result<Unpacked, Failure> {
    let follower = Follower::new(growing);
    let ending = Arc::clone(growing);
    let mut unpacking = tokio::task::spawn_blocking(move || {
        let unpacked =
            archive::decompressed(follower, |input| archive::unpack_with(input, bases, &mut admit));
        if unpacked.is_err() {
            ending.end(End::Abandoned);
        }
        unpacked
    });
    let unpacked = tokio::select! {
        unpacked = &mut unpacking => unpacked,
        () = context.stop.requested() => {
            growing.abandon();
            drop(unpacking.await);
            return Err(Failure::Stopped);
        }
    };
    unpacked
        .map_err(|error| Failure::Other(error.to_string()))?
        .map_err(|error| Failure::Other(format!("could not unpack {error}")))
}

async fn download(
    context: &Context,
    wanted: Wanted<'_>,
    growing: &Arc<Growing>,
) -> Result<(), Failure> {
    const CALL: &str = "get the archive";
    let mut writer = Writer::new(growing);
    let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(5));
    let mut vain = 0;
    loop {
        let before = growing.written();
        let (why, asked) = match download_once(context, wanted, &mut writer).await {
            Ok(()) if growing.written() == wanted.size => {
                writer.whole();
                return Ok(());
            }
            Ok(()) => ("it broke off".to_owned(), None),
            Err(Broken::Final(failure)) => return Err(failure),
            Err(Broken::Transient(why, asked)) => (why, asked),
        };
        if growing.ended().is_some() {
            // Nobody reads any more.
            return Ok(());
        }
        vain = if growing.written() > before { 0 } else { vain + 1 };
        if vain >= MOST_TRIES {
            return Err(Failure::from(ApiError::GaveUp { call: CALL, last: why }));
        }
        context.api.pause(CALL, &mut backoff, asked, why).await.map_err(Failure::from)?;
    }
}

enum Broken {
    Transient(String, Option<Duration>),
    Final(Failure),
}

async fn download_once(
    context: &Context,
    wanted: Wanted<'_>,
    writer: &mut Writer,
) -> Result<(), Broken> {
    let offset = writer.written();
    if offset == wanted.size {
        return Ok(());
    }
    let transient = |error: reqwest::Error| Broken::Transient(api::describe(&error), None);
    let mut request = context.api.request(Method::GET, wanted.path);
    if offset > 0 {
        request = request.header(RANGE, format!("bytes={offset}-"));
    }
    let response = tokio::time::timeout(SILENCE, request.send())
        .await
        .map_err(|_| Broken::Transient("no answer for a minute".to_owned(), None))?
        .map_err(transient)?;
    let status = response.status();
    if http::is_transient(status) {
        return Err(Broken::Transient(status.to_string(), http::retry_after(response.headers())));
    }
    // A server that answers the whole where the rest was asked for.
    let mut skip = match status {
        StatusCode::PARTIAL_CONTENT => 0,
        StatusCode::OK => offset,
        _ => return Err(Broken::Final(refused("get the archive", response).await)),
    };
    let mut stream = response.bytes_stream();
    loop {
        let mut piece = match tokio::time::timeout(SILENCE, stream.next()).await {
            Ok(None) => return Ok(()),
            Ok(Some(piece)) => piece.map_err(transient)?,
            Err(_) => {
                let why = "nothing arrived for a minute".to_owned();
                return Err(Broken::Transient(why, None));
            }
        };
        let skipped = usize::try_from(skip).unwrap_or(usize::MAX).min(piece.len());
        skip -= skipped as u64;
        drop(piece.split_to(skipped));
        if writer.written() + piece.len() as u64 > wanted.size {
            return Err(Broken::Final(Failure::Other("more arrives than was stored".to_owned())));
        }
        let mut out = &mut *writer;
        if let Err(error) = out.write_all(&piece) {
            let why = format!("could not write the archive to disk: {error}");
            return Err(Broken::Final(Failure::Other(why)));
        }
    }
}
