//! Tells two agents that claim under one name from one agent that was restarted. Pure.
//!
//! An agent that is started anew has another identity, and its earlier one never claims again. Of
//! two agents each claims again and again, so an identity comes back after another one was seen.

use serde::{Deserialize, Serialize};

/// Time within which an identity must come back, and for which the warning stands, in milliseconds.
/// An idle agent claims once a minute at least.
const WINDOW_MS: i64 = 10 * 60 * 1000;

/// An agent that claimed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Claimant {
    /// Differs between processes of agents, as far as they say who they are.
    pub(crate) identity: String,
    /// Name of its host, for people.
    pub(crate) host: String,
    /// The time of its last claim, in milliseconds since 1970.
    pub(crate) at_ms: i64,
}

/// The agents that claimed under a name lately.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Claimants {
    last: Claimant,
    /// The one before, of another identity.
    #[serde(default)]
    before: Option<Claimant>,
    /// The time at which one of them was last seen to come back.
    #[serde(default)]
    conflict_ms: Option<i64>,
}

impl Claimants {
    /// Notes a claim.
    pub(crate) fn after(earlier: Option<Self>, claim: Claimant) -> Self {
        let Some(earlier) = earlier else {
            return Self { last: claim, before: None, conflict_ms: None };
        };
        if earlier.last.identity == claim.identity {
            return Self { last: claim, ..earlier };
        }
        let is_back = earlier.before.as_ref().is_some_and(|before| {
            before.identity == claim.identity && claim.at_ms - before.at_ms < WINDOW_MS
        });
        let conflict_ms = if is_back { Some(claim.at_ms) } else { earlier.conflict_ms };
        Self { last: claim, before: Some(earlier.last), conflict_ms }
    }

    /// Returns the other agent of the name, as long as two claim under it.
    pub(crate) fn rival(&self, now_ms: i64) -> Option<&Claimant> {
        let since = self.conflict_ms?;
        self.before.as_ref().filter(|_| now_ms - since < WINDOW_MS)
    }

    /// Returns true where an agent claimed last and no other is known under the name.
    pub(crate) fn is_alone(&self, claim: &Claimant) -> bool {
        self.last.identity == claim.identity
            && self.last.host == claim.host
            && self.rival(claim.at_ms).is_none()
    }

    /// Returns whether the last claim was the first to show that there are two.
    pub(crate) fn is_news(&self, earlier: Option<&Self>) -> bool {
        let now_ms = self.last.at_ms;
        let was_known = earlier.is_some_and(|earlier| earlier.rival(now_ms).is_some());
        self.rival(now_ms).is_some() && !was_known
    }
}

#[cfg(test)]
mod tests {
    use super::{Claimant, Claimants, WINDOW_MS};

    /// Claims of identities, a second apart.
    fn after(identities: &str) -> Claimants {
        let mut all = None;
        for (identity, at_ms) in identities.chars().zip((0_i64..).step_by(1000)) {
            let host = format!("host-{identity}");
            all = Some(Claimants::after(all, Claimant { identity: identity.into(), host, at_ms }));
        }
        all.unwrap()
    }

    fn rival(identities: &str) -> Option<String> {
        let all = after(identities);
        all.rival(all.last.at_ms).map(|rival| rival.host.clone())
    }

    #[test]
    fn an_agent_that_is_restarted_is_no_rival_and_two_that_take_turns_are() {
        assert_eq!(rival("aaa"), None);
        assert_eq!(rival("aaabbb"), None);
        assert_eq!(rival("abc"), None);
        assert_eq!(rival("aba").as_deref(), Some("host-b"));
        assert_eq!(rival("abab").as_deref(), Some("host-a"));
        assert_eq!(rival("abaaa").as_deref(), Some("host-b"));
    }

    #[test]
    fn the_warning_is_news_once_and_ends_with_the_conflict() {
        assert!(after("aba").is_news(Some(&after("ab"))));
        assert!(!after("abab").is_news(Some(&after("aba"))));
        assert!(after("aba").rival(2000 + WINDOW_MS).is_none());
    }
}
