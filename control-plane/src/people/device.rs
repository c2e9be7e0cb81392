//! Decisions about command lines that ask for a token which somebody allows in a browser (RFC 8628).

use std::net::IpAddr;

use russet_protocol::people::DeviceLoginError;

/// Letters of the codes that people type: consonants, so that they spell no words (RFC 8628, section 6.1).
const LETTERS: &[u8; 20] = b"BCDFGHJKLMNPQRSTVWXZ";

/// Letters of a code: 20^8 codes, of which at most a thousand count at a time.
const CODE_LETTERS: usize = 8;

/// Time by which each poll that comes too soon makes the interval longer, in seconds (section 3.5).
pub(crate) const SLOWED_BY_S: i64 = 5;

/// Difference between the clocks of two servers that is no reason to slow somebody, in milliseconds.
const TOLERANCE_MS: i64 = 500;

/// State of a login.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DeviceState {
    /// Nobody has decided.
    Waiting,
    /// Somebody allowed it.
    Allowed,
    /// Somebody denied it.
    Denied,
    /// Its token was fetched.
    Fetched,
}

impl DeviceState {
    /// Name in the database.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Allowed => "allowed",
            Self::Denied => "denied",
            Self::Fetched => "fetched",
        }
    }

    /// Reads a name of the database.
    pub(crate) fn from_name(name: &str) -> Option<Self> {
        let all = [Self::Waiting, Self::Allowed, Self::Denied, Self::Fetched];
        all.into_iter().find(|state| state.as_str() == name)
    }
}

/// Times of a login, as a poll finds them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DeviceTimes {
    pub(crate) until_ms: i64,
    pub(crate) interval_s: i64,
    /// Time of the poll before.
    pub(crate) polled_ms: Option<i64>,
}

/// Decides the answer to a poll.
///
/// # Errors
///
/// The reason why there is no token.
pub(crate) fn answer_poll(
    state: DeviceState,
    times: DeviceTimes,
    now_ms: i64,
) -> Result<(), DeviceLoginError> {
    if state == DeviceState::Fetched {
        return Err(DeviceLoginError::InvalidGrant);
    }
    if now_ms >= times.until_ms {
        return Err(DeviceLoginError::ExpiredToken);
    }
    match state {
        DeviceState::Allowed => Ok(()),
        DeviceState::Denied => Err(DeviceLoginError::AccessDenied),
        DeviceState::Waiting | DeviceState::Fetched => {
            let least_ms = times.interval_s.saturating_mul(1000) - TOLERANCE_MS;
            let is_soon = times.polled_ms.is_some_and(|before| now_ms - before < least_ms);
            Err(match is_soon {
                true => DeviceLoginError::SlowDown,
                false => DeviceLoginError::AuthorizationPending,
            })
        }
    }
}

/// Makes a code of random bytes. Bytes that would make some letters more likely are left out; `None`
/// where too few are left.
pub(crate) fn user_code_from(random: &[u8]) -> Option<String> {
    let letters = LETTERS.len();
    let fair =
        random.iter().copied().map(usize::from).filter(|byte| *byte < 256 / letters * letters);
    let code: String = fair
        .take(CODE_LETTERS)
        .filter_map(|byte| LETTERS.get(byte % letters))
        .map(|of| char::from(*of))
        .collect();
    (code.len() == CODE_LETTERS).then_some(code)
}

/// Reads a code as a person types it: small letters, spaces and hyphens do not matter.
pub(crate) fn plain_user_code(typed: &str) -> Option<String> {
    let code: String = typed
        .chars()
        .filter(|c| !c.is_whitespace() && *c != '-')
        .take(CODE_LETTERS + 1)
        .map(|c| c.to_ascii_uppercase())
        .collect();
    let is_code = code.len() == CODE_LETTERS && code.bytes().all(|byte| LETTERS.contains(&byte));
    is_code.then_some(code)
}

/// Writes a code as people read it: `BCDF-GHJK`.
pub(crate) fn shown_user_code(code: &str) -> String {
    match code.split_at_checked(CODE_LETTERS / 2) {
        Some((first, second)) => format!("{first}-{second}"),
        None => code.to_owned(),
    }
}

/// Returns the name that logins from an address are counted by.
///
/// Threat: whoever has one address of IPv6 has all of its network, so that is counted.
pub(crate) fn counted_source(address: IpAddr) -> String {
    match address.to_canonical() {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            format!("{a:x}:{b:x}:{c:x}:{d:x}::/64")
        }
    }
}

#[cfg(test)]
mod tests {
    use russet_protocol::people::DeviceLoginError::{
        AccessDenied, AuthorizationPending, ExpiredToken, InvalidGrant, SlowDown,
    };

    use super::{
        DeviceState, DeviceTimes, answer_poll, counted_source, plain_user_code, shown_user_code,
        user_code_from,
    };

    #[test]
    fn a_poll_is_answered_as_the_rfc_says() {
        let times = |polled_ms| DeviceTimes { until_ms: 600_000, interval_s: 3, polled_ms };
        let answer = |state, polled_ms, now_ms| answer_poll(state, times(polled_ms), now_ms);
        assert_eq!(answer(DeviceState::Waiting, None, 0), Err(AuthorizationPending));
        assert_eq!(answer(DeviceState::Waiting, Some(0), 3000), Err(AuthorizationPending));
        assert_eq!(answer(DeviceState::Waiting, Some(0), 1000), Err(SlowDown));
        assert_eq!(answer(DeviceState::Denied, Some(0), 1), Err(AccessDenied));
        assert_eq!(answer(DeviceState::Allowed, Some(0), 1), Ok(()));
        assert_eq!(answer(DeviceState::Allowed, Some(0), 600_000), Err(ExpiredToken));
        assert_eq!(answer(DeviceState::Fetched, Some(0), 1), Err(InvalidGrant));
    }

    #[test]
    fn codes_are_fair_and_read_however_they_are_typed() {
        let random: Vec<u8> = [255, 0, 250, 1, 2, 3, 4, 5, 6, 19, 20].to_vec();
        let code = user_code_from(&random).unwrap();
        assert_eq!(code, "BCDFGHJZ");
        assert_eq!(shown_user_code(&code), "BCDF-GHJZ");
        assert_eq!(plain_user_code(" bcdf ghjz").as_ref(), Some(&code));
        assert_eq!(plain_user_code("BCDF-GHJZ").as_ref(), Some(&code));
        for bad in ["", "BCDF-GHJ", "BCDF-GHJA", "BCDF-GHJZZ", "ÄCDF-GHJZ"] {
            assert_eq!(plain_user_code(bad), None, "{bad}");
        }
        assert_eq!(user_code_from(&[255; 64]), None);
    }

    #[test]
    fn addresses_of_a_network_count_as_one() {
        let source = |text: &str| counted_source(text.parse().unwrap());
        assert_eq!(source("2001:db8:1:2::1"), source("2001:db8:1:2:ffff::9"));
        assert_ne!(source("2001:db8:1:2::1"), source("2001:db8:1:3::1"));
        assert_eq!(source("::ffff:192.0.2.1"), source("192.0.2.1"));
    }
}
