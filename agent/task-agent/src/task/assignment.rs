//! Assignment of the task agent, from its standard input.
//!
//! The input is read whole and then replaced by `/dev/null`: a step that asks for the
//! descriptors of its task agent finds nothing there to read again. Every other descriptor that
//! came along is closed, since it may lead to what root has open.

use std::fs::File;
use std::io::Read as _;
use std::os::fd::{AsFd as _, AsRawFd as _, FromRawFd as _};

use russet_protocol::supervise::Assignment;

use russet_platform::os;

/// More than any assignment has. It bounds what a mistaken caller can make us read.
const MOST_BYTES: u64 = 4 * 1024 * 1024;

/// Reason why there is no assignment.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AssignmentError {
    /// The standard input or another descriptor could not be handled.
    #[error("could not take over the standard input: {0}")]
    Input(#[from] std::io::Error),
    /// It is no assignment. The text is not shown: it may hold a token.
    #[error("the standard input is no assignment (line {line}, column {column})")]
    Malformed {
        /// Line of the first mistake.
        line: usize,
        /// Its column.
        column: usize,
    },
    /// It goes on and on.
    #[error("the standard input is longer than {MOST_BYTES} bytes")]
    TooLong,
}

/// Reads the assignment and lets go of everything else that was inherited.
///
/// Call it once, before anything is opened.
pub(crate) fn take() -> Result<Assignment, AssignmentError> {
    os::close_from(3)?;
    let mut text = zeroize::Zeroizing::new(Vec::new());
    {
        // SAFETY: Descriptor 0 is the standard input; the file is forgotten below, so that it
        // is not closed here and stays a valid descriptor for everybody else.
        let input = std::mem::ManuallyDrop::new(unsafe { File::from_raw_fd(0) });
        (&*input).take(MOST_BYTES + 1).read_to_end(&mut text)?;
    }
    let null = File::open("/dev/null")?;
    // SAFETY: Both are open descriptors of this process.
    os::check(unsafe { libc::dup2(null.as_fd().as_raw_fd(), 0) })?;
    parse(&text)
}

fn parse(text: &[u8]) -> Result<Assignment, AssignmentError> {
    if u64::try_from(text.len()).is_ok_and(|length| length > MOST_BYTES) {
        return Err(AssignmentError::TooLong);
    }
    serde_json::from_slice(text)
        .map_err(|error| AssignmentError::Malformed { line: error.line(), column: error.column() })
}

#[cfg(test)]
mod tests {
    use super::{AssignmentError, MOST_BYTES, parse};

    #[test]
    fn a_mistake_is_placed_without_showing_the_text() {
        let error = parse(b"{\"version\":1,\n \"token\": hunter2}").unwrap_err();
        assert!(!error.to_string().contains("hunter2"), "{error}");
        assert!(error.to_string().contains("line 2"), "{error}");
    }

    #[test]
    fn endless_input_is_refused() {
        let text = vec![b' '; usize::try_from(MOST_BYTES).unwrap() + 1];
        assert!(matches!(parse(&text), Err(AssignmentError::TooLong)));
    }
}
