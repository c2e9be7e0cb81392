//! Signals by their names in the protocol (RFC 4254, 6.9 and 6.10).

use nix::sys::signal::Signal;
use russh::Sig;

/// Returns the signal that a client names.
pub(crate) fn number_of(signal: &Sig) -> Option<Signal> {
    Some(match signal {
        Sig::ABRT => Signal::SIGABRT,
        Sig::ALRM => Signal::SIGALRM,
        Sig::FPE => Signal::SIGFPE,
        Sig::HUP => Signal::SIGHUP,
        Sig::ILL => Signal::SIGILL,
        Sig::INT => Signal::SIGINT,
        Sig::KILL => Signal::SIGKILL,
        Sig::PIPE => Signal::SIGPIPE,
        Sig::QUIT => Signal::SIGQUIT,
        Sig::SEGV => Signal::SIGSEGV,
        Sig::TERM => Signal::SIGTERM,
        Sig::USR1 => Signal::SIGUSR1,
        Sig::Custom(name) => match name.as_str() {
            "USR2" => Signal::SIGUSR2,
            "INFO@openssh.com" => return info_signal(),
            _ => return None,
        },
    })
}

/// Of a Mac's `^T`, which OpenSSH passes on by this name.
#[cfg(target_os = "macos")]
fn info_signal() -> Option<Signal> {
    Some(Signal::SIGINFO)
}

#[cfg(not(target_os = "macos"))]
fn info_signal() -> Option<Signal> {
    None
}

/// Returns the name of the signal that ended a process.
pub(crate) fn name_of(number: i32) -> Sig {
    match Signal::try_from(number) {
        Ok(Signal::SIGABRT) => Sig::ABRT,
        Ok(Signal::SIGALRM) => Sig::ALRM,
        Ok(Signal::SIGFPE) => Sig::FPE,
        Ok(Signal::SIGHUP) => Sig::HUP,
        Ok(Signal::SIGILL) => Sig::ILL,
        Ok(Signal::SIGINT) => Sig::INT,
        Ok(Signal::SIGKILL) => Sig::KILL,
        Ok(Signal::SIGPIPE) => Sig::PIPE,
        Ok(Signal::SIGQUIT) => Sig::QUIT,
        Ok(Signal::SIGSEGV) => Sig::SEGV,
        Ok(Signal::SIGTERM) => Sig::TERM,
        Ok(Signal::SIGUSR1) => Sig::USR1,
        Ok(Signal::SIGUSR2) => Sig::Custom("USR2".to_owned()),
        // As OpenSSH names those that the RFC does not.
        Ok(other) => Sig::Custom(format!("{}@openssh.com", &other.as_str()[3..])),
        Err(_) => Sig::Custom(format!("SIG{number}@openssh.com")),
    }
}

#[cfg(test)]
mod tests {
    use super::{name_of, number_of};

    #[test]
    fn signals_have_the_same_name_both_ways() {
        for number in [1, 2, 3, 4, 6, 8, 9, 11, 13, 14, 15] {
            assert_eq!(number_of(&name_of(number)).map(|signal| signal as i32), Some(number));
        }
    }
}
