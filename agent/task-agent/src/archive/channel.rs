//! Compressing and decompressing on threads of their own, so that they and the disk work at the
//! same time.

use std::io::{self, Read, Write};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use super::{LEVEL, PIECE};

/// Pieces between two threads, which bounds memory.
const QUEUE: usize = 8;

/// The largest window that is decompressed, as a power of two: 8 MiB. What [`compress`] makes needs
/// a quarter of it; an archive made by hand can ask for no more.
const LARGEST_WINDOW: u32 = 23;

/// Compresses what `make` writes, into `out`: one thread makes, one compresses, one writes.
///
/// # Errors
/// Those of `make` and of `out`.
pub fn compress<T>(
    out: impl Write + Send,
    make: impl FnOnce(&mut dyn Write) -> io::Result<T>,
) -> io::Result<T> {
    written_apart(out, |out| {
        let mut encoder = zstd::stream::write::Encoder::new(out, LEVEL)?;
        encoder.include_checksum(true)?;
        let made = written_apart(&mut encoder, |pieces| make(pieces))?;
        encoder.finish()?;
        Ok(made)
    })
}

/// Writes what `make` writes into `out`, on a thread of its own.
fn written_apart<T>(
    mut out: impl Write + Send,
    make: impl FnOnce(&mut Sending) -> io::Result<T>,
) -> io::Result<T> {
    let (sender, receiver) = sync_channel(QUEUE);
    std::thread::scope(|scope| {
        let writing = scope.spawn(move || -> io::Result<()> {
            for piece in receiver {
                let piece: Vec<u8> = piece;
                out.write_all(&piece)?;
            }
            out.flush()
        });
        let mut pieces = Sending { sender, piece: Vec::with_capacity(PIECE) };
        let made = make(&mut pieces);
        let sent = pieces.flush();
        drop(pieces);
        // What stopped the writing is why there was nobody to send to any more.
        writing.join().unwrap_or_else(|_| Err(io::Error::other("a thread failed")))?;
        let made = made?;
        sent?;
        Ok(made)
    })
}

/// Decompresses `input` for `take`. What `take` leaves is read to its end, which holds a checksum.
///
/// # Errors
/// Those of `input` and of `take`.
pub fn decompressed<T>(
    input: impl Read + Send,
    take: impl FnOnce(&mut dyn Read) -> io::Result<T>,
) -> io::Result<T> {
    let (sender, receiver) = sync_channel(QUEUE);
    std::thread::scope(|scope| {
        let decompressing = scope.spawn(move || -> io::Result<()> {
            let mut decoder = zstd::stream::read::Decoder::new(input)?;
            decoder.window_log_max(LARGEST_WINDOW)?;
            loop {
                let mut piece = vec![0; PIECE];
                let count = fill(&mut decoder, &mut piece)?;
                piece.truncate(count);
                // Nobody takes any more: whoever did says why.
                if count == 0 || sender.send(piece).is_err() {
                    return Ok(());
                }
            }
        });
        let mut pieces = Receiving { receiver, piece: Vec::new(), at: 0 };
        let taken = take(&mut pieces).and_then(|taken| {
            io::copy(&mut pieces, &mut io::sink())?;
            Ok(taken)
        });
        drop(pieces);
        let arrived = decompressing.join();
        // A stream that broke off is why there was nothing to take any more.
        arrived.unwrap_or_else(|_| Err(io::Error::other("decompressing failed")))?;
        taken
    })
}

/// Reads until the piece is full or there is no more.
fn fill(input: &mut impl Read, piece: &mut [u8]) -> io::Result<usize> {
    let mut count = 0;
    while let Some(rest) = piece.get_mut(count..).filter(|rest| !rest.is_empty()) {
        match input.read(rest) {
            Ok(0) => break,
            Ok(more) => count += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(count)
}

struct Sending {
    sender: SyncSender<Vec<u8>>,
    piece: Vec<u8>,
}

impl Write for Sending {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let room = PIECE - self.piece.len();
        let taken = bytes.get(..room.min(bytes.len())).unwrap_or_default();
        self.piece.extend_from_slice(taken);
        if self.piece.len() == PIECE {
            self.flush()?;
        }
        Ok(taken.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.piece.is_empty() {
            return Ok(());
        }
        let piece = std::mem::replace(&mut self.piece, Vec::with_capacity(PIECE));
        self.sender.send(piece).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}

struct Receiving {
    receiver: Receiver<Vec<u8>>,
    piece: Vec<u8>,
    at: usize,
}

impl Read for Receiving {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.at == self.piece.len() {
            match self.receiver.recv() {
                Ok(piece) => (self.piece, self.at) = (piece, 0),
                Err(_) => return Ok(0),
            }
        }
        let rest = self.piece.get(self.at..).unwrap_or_default();
        let count = rest.len().min(buffer.len());
        if let (Some(to), Some(from)) = (buffer.get_mut(..count), rest.get(..count)) {
            to.copy_from_slice(from);
        }
        self.at += count;
        Ok(count)
    }
}
