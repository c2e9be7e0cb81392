//! Looks at the files of the certificate while the server runs.

use std::sync::Arc;

use super::error::TlsError;
use super::pair::{Contents, Pair};
use super::{ServerTls, State};
use crate::clock::Clock;
use crate::text::rfc3339;

/// Memory of the looks at the files.
#[derive(Debug)]
pub(super) struct Look {
    /// Contents that are in use.
    used: blake3::Hash,
    /// Contents, or their absence, that could not be used at the last look.
    broken: Option<Option<blake3::Hash>>,
}

/// Consequence of a look.
#[derive(Debug, PartialEq, Eq)]
enum Next {
    /// The files hold what is in use.
    Same,
    /// They hold something else, which is to be tried.
    Try,
    /// They hold what was tried before.
    Tried,
}

impl Look {
    pub(super) fn new(used: blake3::Hash) -> Self {
        Self { used, broken: None }
    }

    /// Decides about contents; `None` where they cannot be read.
    fn decide(&self, seen: Option<blake3::Hash>) -> Next {
        match seen {
            Some(seen) if seen == self.used => Next::Same,
            seen if self.broken == Some(seen) => Next::Tried,
            _ => Next::Try,
        }
    }

    /// Notes contents that cannot be used. Returns true where people are to hear of it: at once
    /// where somebody asked for the look, else when the same are found twice. Whoever renews writes
    /// one file after the other, and a look may come between.
    fn is_told(&mut self, seen: Option<blake3::Hash>, is_asked: bool) -> bool {
        let is_second = self.broken == Some(seen);
        self.broken = Some(seen);
        is_second || is_asked
    }
}

/// Looks at the files of the certificate, for as long as it is polled.
pub(crate) async fn run_renewal(tls: Arc<ServerTls>, clock: Arc<dyn Clock>) {
    loop {
        let is_asked = tokio::select! {
            () = tls.asked.notified() => true,
            () = tokio::time::sleep(tls.files.interval) => false,
        };
        let (looking, now_s) = (Arc::clone(&tls), clock.wall_ms() / 1000);
        // Files on a network may take their time.
        if let Err(error) = tokio::task::spawn_blocking(move || looking.look(now_s, is_asked)).await
        {
            tracing::error!(%error, "the look at the certificate ended with a fault");
        }
    }
}

impl ServerTls {
    /// Looks at the files, and takes what they hold where it can be used.
    fn look(&self, now_s: i64, is_asked: bool) {
        let read = Contents::read(&self.files);
        let print = read.as_ref().ok().map(Contents::print);
        let mut state = self.lock();
        let tried = match state.look.decide(print) {
            Next::Same => {
                if state.standing.fault.take().is_some() {
                    tracing::info!("the certificate in use is in its files again");
                }
                state.look.broken = None;
                return;
            }
            // Nothing is read again that was found broken and told of, unless somebody asks.
            Next::Tried if state.standing.fault.is_some() && !is_asked => return,
            Next::Try | Next::Tried => read.and_then(|contents| {
                let pair = Pair::of(&contents, &self.files)?;
                self.refuse_older(&pair, &state.standing.pair, now_s)?;
                Ok((pair, contents.print()))
            }),
        };
        match tried {
            Ok((pair, used)) => self.take(&mut state, pair, used),
            Err(error) => keep(&mut state, print, &error, is_asked),
        }
    }

    /// Refuses a certificate that has expired where the one in use has not.
    fn refuse_older(&self, new: &Pair, used: &Pair, now_s: i64) -> Result<(), TlsError> {
        if new.not_after_s < now_s && used.not_after_s >= now_s {
            let at = rfc3339(new.not_after_s.saturating_mul(1000));
            return Err(TlsError::Expired { path: self.files.certificate.clone(), at });
        }
        Ok(())
    }

    fn take(&self, state: &mut State, pair: Pair, used: blake3::Hash) {
        let expires = rfc3339(pair.not_after_s.saturating_mul(1000));
        tracing::info!(expires, names = pair.names.join(", "), "a renewed certificate is in use");
        self.exchange(&pair);
        state.look = Look::new(used);
        state.standing.pair = pair;
        state.standing.fault = None;
        state.standing.exchanges += 1;
    }
}

/// Keeps the pair that is in use, and says why.
fn keep(state: &mut State, print: Option<blake3::Hash>, error: &TlsError, is_asked: bool) {
    let error = russet_text::error_chain(error);
    if !state.look.is_told(print, is_asked) {
        tracing::debug!(error, "the files of the certificate changed and cannot be used yet");
        return;
    }
    state.standing.failures += 1;
    tracing::error!(error, "a renewed certificate cannot be used: the one before stays in use");
    state.standing.fault = Some(error);
}

#[cfg(test)]
mod tests {
    use super::{Look, Next};

    #[test]
    fn what_is_in_use_or_was_tried_is_not_tried_again() {
        let [used, new, other] = [1_u8, 2, 3].map(|byte| blake3::hash(&[byte]));
        let mut look = Look::new(used);
        assert_eq!(look.decide(Some(used)), Next::Same);
        assert_eq!(look.decide(Some(new)), Next::Try);
        assert!(!look.is_told(Some(new), false), "the other file may be about to be written");
        assert_eq!(look.decide(Some(new)), Next::Tried);
        assert!(look.is_told(Some(new), false), "it stayed so");
        assert_eq!(look.decide(Some(other)), Next::Try);
        assert!(look.is_told(Some(other), true), "somebody asked");
        assert_eq!(look.decide(None), Next::Try);
        assert!(!look.is_told(None, false));
        assert_eq!(look.decide(None), Next::Tried);
        assert_eq!(look.decide(Some(used)), Next::Same);
    }
}
