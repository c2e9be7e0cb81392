//! The end of a pipe whose writer is another process.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::OwnedFd;

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// The reading end of a pipe. It ends with the process at the other end.
#[derive(Debug)]
pub struct PipeEnd(AsyncFd<File>);

impl PipeEnd {
    /// Watches a descriptor.
    ///
    /// # Errors
    ///
    /// It is not a descriptor that can be waited for.
    pub fn watch(fd: OwnedFd) -> io::Result<Self> {
        let flags = OFlag::from_bits_truncate(fcntl(&fd, FcntlArg::F_GETFL)?) | OFlag::O_NONBLOCK;
        fcntl(&fd, FcntlArg::F_SETFL(flags))?;
        // SAFETY: the file is owned by what waits for it, so its descriptor stays open meanwhile.
        let file = unsafe { AsyncFd::register_with_interest(File::from(fd), Interest::READABLE)? };
        Ok(Self(file))
    }

    /// Returns when the other end is closed. Bytes that come through it are thrown away.
    pub async fn ended(&self) {
        let mut buffer = [0_u8; 256];
        loop {
            let Ok(mut ready) = self.0.readable().await else { return };
            match ready.try_io(|pipe| pipe.get_ref().read(&mut buffer)) {
                Ok(Ok(count)) if count > 0 => {}
                Ok(_) => return,
                // It was not readable after all.
                Err(_) => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::PipeEnd;
    use std::io::Write as _;
    use std::time::Duration;

    #[tokio::test]
    async fn a_pipe_ends_with_its_writer_and_not_with_what_comes_through_it() {
        let (reader, mut writer) = std::io::pipe().unwrap();
        let pipe = PipeEnd::watch(reader.into()).unwrap();
        writer.write_all(&[0; 1000]).unwrap();
        let early = tokio::time::timeout(Duration::from_millis(20), pipe.ended()).await;
        assert!(early.is_err(), "its writer is there");
        drop(writer);
        tokio::time::timeout(Duration::from_secs(30), pipe.ended()).await.unwrap();
    }
}
