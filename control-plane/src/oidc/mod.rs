//! Signing in with OpenID Connect: authorization code with PKCE, at one provider that the owner of the
//! server names.
//!
//! | threat | what is against it |
//! |---|---|
//! | another site starts or ends a sign-in in somebody's browser | `state` is derived from a secret in a cookie of that browser, for ten minutes, and counts once |
//! | a code or a token is stolen on the way, or played again | PKCE (S256), a nonce, and the client's secret; each attempt is used up before its code is exchanged |
//! | a token of another provider, for another client, or out of date | signature, issuer, audience, nonce and times are verified by `openidconnect`; algorithms with a shared key are refused |
//! | the answer leads to a page of somebody else | `next` is a path of ours, sealed in the cookie |
//! | the provider answers without end, or elsewhere | no redirects, ten seconds and a megabyte for each call; its addresses have TLS |
//! | somebody takes over an account by a name of their choice | an account is matched once, by a verified e-mail address (or a claim that the owner chose); from then on by the subject |

mod attempt;
mod http;
mod provider;
mod rules;
mod settings;

pub(crate) use attempt::{ATTEMPT_TIMEOUT_S, Attempt, new_attempt, read_attempt};
pub(crate) use provider::{Provider, ProviderError};
pub(crate) use rules::{Claims, Refused, check_claims, wanted_name};
pub use settings::{AccountClaim, OidcSettings, OidcSettingsError};
