//! Answers that say how a request ended.

use std::io;
use std::path::Path;

use russh_sftp::protocol::{File, Name, Status, StatusCode};
use russh_sftp::server::StatusReply;

/// Error of a request.
#[derive(Debug)]
pub(crate) struct Refusal(StatusReply);

impl Refusal {
    pub(crate) fn new(code: StatusCode, message: &str) -> Self {
        Self(StatusReply::new(code).with_message(message))
    }

    /// A handle that was never given out, or has been closed.
    pub(crate) fn bad_handle() -> Self {
        Self::new(StatusCode::Failure, "there is no such handle")
    }

    pub(crate) fn unsupported() -> Self {
        Self::new(StatusCode::OpUnsupported, "the server does not know this request")
    }

    pub(crate) fn end_of_file() -> Self {
        Self(StatusReply::new(StatusCode::Eof))
    }
}

impl From<Refusal> for StatusReply {
    fn from(refusal: Refusal) -> Self {
        refusal.0
    }
}

impl From<io::Error> for Refusal {
    fn from(error: io::Error) -> Self {
        let code = match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => StatusCode::NoSuchFile,
            io::ErrorKind::PermissionDenied => StatusCode::PermissionDenied,
            _ => StatusCode::Failure,
        };
        Self::new(code, &error.to_string())
    }
}

impl From<nix::errno::Errno> for Refusal {
    fn from(error: nix::errno::Errno) -> Self {
        io::Error::from(error).into()
    }
}

/// The answer of a request that has nothing to say.
pub(crate) fn done(id: u32) -> Status {
    Status {
        id,
        status_code: StatusCode::Ok,
        error_message: "Ok".to_owned(),
        language_tag: "en".to_owned(),
    }
}

/// The answer that is a path.
pub(crate) fn one_name(id: u32, path: &Path) -> Name {
    Name { id, files: vec![File::dummy(path.to_string_lossy())] }
}
