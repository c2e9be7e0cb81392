//! The provider: found from its issuer, asked for tokens, and its answers verified.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use openidconnect::core::{
    CoreAuthenticationFlow, CoreClient, CoreClientAuthMethod, CoreIdToken, CoreIdTokenVerifier,
    CoreJwsSigningAlgorithm, CoreProviderMetadata, CoreTokenResponse, CoreUserInfoClaims,
};
use openidconnect::{
    AccessTokenHash, AuthType, AuthorizationCode, ClaimsVerificationError, ClientId, ClientSecret,
    CsrfToken, EndpointMaybeSet, EndpointNotSet, EndpointSet, Nonce, OAuth2TokenResponse as _,
    PkceCodeChallenge, PkceCodeVerifier, RedirectUrl, Scope, SignatureVerificationError,
    SubjectIdentifier, TokenResponse as _,
};
use serde_json::{Map, Value};
use tokio::sync::Mutex;

use super::attempt::Attempt;
use super::http::{HttpError, call, new_client};
use super::rules::Claims;
use super::settings::{OidcSettings, is_safe};
use crate::clock::Clock;
use crate::outgoing::CallError;

/// Time after which the provider's document and keys are fetched anew, in milliseconds.
const KNOWN_MS: i64 = 3_600_000;

/// Shortest time between two fetches because of a key that is not known, in milliseconds.
const REFRESH_INTERVAL_MS: i64 = 10_000;

/// Time after a fetch that failed for which none is tried, in milliseconds.
const FAILED_MS: i64 = 5000;

/// Difference that two clocks may have.
const CLOCK_LEEWAY: Duration = Duration::from_secs(60);

/// Age of a token that is still taken.
const MAX_TOKEN_AGE: Duration = Duration::from_secs(600);

/// Path to which the provider sends a browser back.
const CALLBACK: &str = "/login/oidc/callback";

/// Algorithms whose key the provider alone has. Those with a shared key (HS256) are left out.
const ALGORITHMS: [CoreJwsSigningAlgorithm; 9] = [
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha256,
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha384,
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha512,
    CoreJwsSigningAlgorithm::RsaSsaPssSha256,
    CoreJwsSigningAlgorithm::RsaSsaPssSha384,
    CoreJwsSigningAlgorithm::RsaSsaPssSha512,
    CoreJwsSigningAlgorithm::EcdsaP256Sha256,
    CoreJwsSigningAlgorithm::EcdsaP384Sha384,
    CoreJwsSigningAlgorithm::EdDsa,
];

/// Client of a provider whose document is known.
type KnownClient = CoreClient<
    EndpointSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointMaybeSet,
    EndpointMaybeSet,
>;

/// The provider does not do what it should.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ProviderError {
    #[error("the provider cannot be used: {0}")]
    Discovery(String),
    #[error("the provider names an address without TLS: {0}")]
    Insecure(String),
    #[error("the provider does not take the code: {0}")]
    Code(String),
    #[error("the provider's answer has no token that says who somebody is")]
    NoToken,
    #[error("the provider's token is refused: {0}")]
    Token(String),
    #[error("the provider does not say more about somebody: {0}")]
    UserInfo(String),
    #[error("the public URL of this server is no address to come back to")]
    PublicUrl,
    #[error(transparent)]
    Client(#[from] CallError),
}

/// Document and keys of the provider.
#[derive(Clone, Debug)]
struct Known {
    metadata: Arc<CoreProviderMetadata>,
    fetched_ms: i64,
}

/// State of what is known.
#[derive(Debug, Default)]
struct State {
    known: Option<Known>,
    /// Time of the last fetch, where it failed.
    failed_ms: Option<i64>,
}

/// A provider.
#[derive(Debug)]
pub(crate) struct Provider {
    pub(crate) settings: OidcSettings,
    redirect: RedirectUrl,
    http: reqwest::Client,
    state: Mutex<State>,
}

impl Provider {
    /// A provider, of which nothing is fetched yet.
    pub(crate) fn new(settings: OidcSettings, public_url: &str) -> Result<Self, ProviderError> {
        let redirect = format!("{}{CALLBACK}", public_url.trim_end_matches('/'));
        let redirect = RedirectUrl::new(redirect).map_err(|_| ProviderError::PublicUrl)?;
        Ok(Self { settings, redirect, http: new_client()?, state: Mutex::default() })
    }

    /// Returns the provider's document, fetched when it is old, or where it was fetched before `after_ms`.
    async fn metadata(
        &self,
        clock: &dyn Clock,
        after_ms: i64,
    ) -> Result<Arc<CoreProviderMetadata>, ProviderError> {
        // Held while it is fetched: many browsers fetch it once.
        let mut state = self.state.lock().await;
        let now_ms = clock.steady_ms();
        if let Some(known) = &state.known
            && now_ms - known.fetched_ms < KNOWN_MS
            && known.fetched_ms >= after_ms
        {
            return Ok(Arc::clone(&known.metadata));
        }
        // Those who come while it is away do not wait for each other's failures.
        if state.failed_ms.is_some_and(|failed_ms| now_ms - failed_ms < FAILED_MS) {
            return Err(ProviderError::Discovery("it did not answer a moment ago".to_owned()));
        }
        let http = |request| call(self.http.clone(), request);
        let issuer = self.settings.issuer.clone();
        let metadata = CoreProviderMetadata::discover_async(issuer, &http).await;
        state.failed_ms = metadata.is_err().then(|| clock.steady_ms());
        let metadata =
            metadata.map_err(|error| ProviderError::Discovery(russet_text::error_chain(&error)))?;
        check_addresses(&metadata)?;
        let metadata = Arc::new(metadata);
        state.known = Some(Known { metadata: Arc::clone(&metadata), fetched_ms: now_ms });
        Ok(metadata)
    }

    fn client(&self, metadata: &CoreProviderMetadata) -> KnownClient {
        let id = ClientId::new(self.settings.client_id.clone());
        let secret = ClientSecret::new(self.settings.client_secret.expose().to_owned());
        let methods = metadata.token_endpoint_auth_methods_supported();
        let has = |method| methods.is_none_or(|methods| methods.contains(&method));
        let by_header = has(CoreClientAuthMethod::ClientSecretBasic)
            || !has(CoreClientAuthMethod::ClientSecretPost);
        let by = if by_header { AuthType::BasicAuth } else { AuthType::RequestBody };
        CoreClient::from_provider_metadata(metadata.clone(), id, Some(secret))
            .set_redirect_uri(self.redirect.clone())
            .set_auth_type(by)
    }

    /// Returns the address to which a browser goes to sign in.
    pub(crate) async fn sign_in_url(
        &self,
        clock: &dyn Clock,
        attempt: &Attempt,
    ) -> Result<String, ProviderError> {
        let client = self.client(&*self.metadata(clock, i64::MIN).await?);
        let (state, nonce) = (CsrfToken::new(attempt.state()), Nonce::new(attempt.nonce()));
        let verifier = PkceCodeVerifier::new(attempt.verifier());
        let flow = CoreAuthenticationFlow::AuthorizationCode;
        let (url, ..) = client
            .authorize_url(flow, move || state, move || nonce)
            .add_scope(Scope::new("email".to_owned()))
            .add_scope(Scope::new("profile".to_owned()))
            .set_pkce_challenge(PkceCodeChallenge::from_code_verifier_sha256(&verifier))
            .url();
        Ok(url.into())
    }

    /// Exchanges a code, and verifies who somebody is.
    pub(crate) async fn redeem(
        &self,
        clock: &dyn Clock,
        attempt: &Attempt,
        code: String,
    ) -> Result<Claims, ProviderError> {
        let http = |request| call(self.http.clone(), request);
        let mut client = self.client(&*self.metadata(clock, i64::MIN).await?);
        let answer = client
            .exchange_code(AuthorizationCode::new(code))
            .map_err(|error| ProviderError::Code(error.to_string()))?
            .set_pkce_verifier(PkceCodeVerifier::new(attempt.verifier()))
            .request_async(&http)
            .await
            .map_err(|error| ProviderError::Code(russet_text::error_chain(&error)))?;
        let token = answer.id_token().ok_or(ProviderError::NoToken)?;
        let nonce = Nonce::new(attempt.nonce());
        let now_ms = clock.wall_ms();
        let mut claims = verify_token(&client, token, &nonce, now_ms);
        if is_unknown_key(&claims) {
            // The provider may have a new key since the last look.
            let after_ms = clock.steady_ms().saturating_sub(REFRESH_INTERVAL_MS);
            client = self.client(&*self.metadata(clock, after_ms).await?);
            claims = verify_token(&client, token, &nonce, now_ms);
        }
        let subject = claims.map_err(|error| refused_token(&error))?;
        let mut all = payload_of(token)?;
        check_access_token(&client, token, &answer, &all, now_ms)?;
        // Some providers say more in a call of its own alone.
        if !all.contains_key("email") && client.user_info_url().is_some() {
            let more = user_info(&client, &answer, &subject, &http).await?;
            for (name, value) in more {
                all.entry(name).or_insert(value);
            }
        }
        Ok(Claims { subject: subject.as_str().to_owned(), all })
    }
}

/// Refuses a document with addresses that anybody on the way could answer for.
fn check_addresses(metadata: &CoreProviderMetadata) -> Result<(), ProviderError> {
    let token = metadata.token_endpoint().map(|of| of.url());
    let user_info = metadata.userinfo_endpoint().map(|of| of.url());
    let always = [metadata.authorization_endpoint().url(), metadata.jwks_uri().url()];
    let unsafe_one = always.into_iter().chain(token).chain(user_info).find(|url| !is_safe(url));
    match unsafe_one {
        Some(url) => Err(ProviderError::Insecure(russet_text::one_line(url.as_str()))),
        None => Ok(()),
    }
}

/// Returns the verifier of tokens, which goes by a clock of ours.
fn verifier(client: &KnownClient, now_ms: i64) -> CoreIdTokenVerifier<'_> {
    let now = UNIX_EPOCH + Duration::from_millis(u64::try_from(now_ms).unwrap_or_default());
    client
        .id_token_verifier()
        .set_allowed_algs(ALGORITHMS)
        .set_time_fn(move || now.checked_sub(CLOCK_LEEWAY).unwrap_or(now).into())
        .set_issue_time_verifier_fn(move |issued| {
            let issued = SystemTime::from(issued);
            if issued > now + CLOCK_LEEWAY {
                return Err("it is of a later time: do the clocks agree?".to_owned());
            }
            match issued + MAX_TOKEN_AGE + CLOCK_LEEWAY < now {
                true => Err("it is too old: do the clocks agree?".to_owned()),
                false => Ok(()),
            }
        })
}

fn verify_token(
    client: &KnownClient,
    token: &CoreIdToken,
    nonce: &Nonce,
    now_ms: i64,
) -> Result<SubjectIdentifier, ClaimsVerificationError> {
    token.claims(&verifier(client, now_ms), nonce).map(|claims| claims.subject().clone())
}

fn is_unknown_key<T>(verified: &Result<T, ClaimsVerificationError>) -> bool {
    let unknown = SignatureVerificationError::NoMatchingKey;
    matches!(verified, Err(ClaimsVerificationError::SignatureVerification(error)) if *error == unknown)
}

fn refused_token(error: &ClaimsVerificationError) -> ProviderError {
    ProviderError::Token(russet_text::error_chain(error))
}

/// Refuses an access token that is not the one that was signed, where the provider has signed its hash.
fn check_access_token(
    client: &KnownClient,
    token: &CoreIdToken,
    answer: &CoreTokenResponse,
    claims: &Map<String, Value>,
    now_ms: i64,
) -> Result<(), ProviderError> {
    let Some(signed) = claims.get("at_hash").and_then(Value::as_str) else { return Ok(()) };
    let refused = |error: &dyn std::error::Error| ProviderError::Token(error.to_string());
    let verifier = verifier(client, now_ms);
    let algorithm = token.signing_alg().map_err(|error| refused(&error))?;
    let key = token.signing_key(&verifier).map_err(|error| refused(&error))?;
    let hash = AccessTokenHash::from_token(answer.access_token(), algorithm, key)
        .map_err(|error| refused(&error))?;
    match hash.as_str() == signed {
        true => Ok(()),
        false => Err(ProviderError::Token("it is not of this access token".to_owned())),
    }
}

/// Returns all claims of a token, which was verified before.
fn payload_of(token: &CoreIdToken) -> Result<Map<String, Value>, ProviderError> {
    let text = token.to_string();
    let payload = text.split('.').nth(1).and_then(|part| URL_SAFE_NO_PAD.decode(part).ok());
    let payload = payload.and_then(|bytes| serde_json::from_slice(&bytes).ok());
    payload.ok_or_else(|| ProviderError::Token("its claims cannot be read".to_owned()))
}

async fn user_info<C, F>(
    client: &KnownClient,
    answer: &CoreTokenResponse,
    subject: &SubjectIdentifier,
    http: &C,
) -> Result<Map<String, Value>, ProviderError>
where
    C: Fn(openidconnect::HttpRequest) -> F,
    F: Future<Output = Result<openidconnect::HttpResponse, HttpError>>,
{
    let failed = |error: String| ProviderError::UserInfo(error);
    // Refused where it is about somebody else.
    let request = client
        .user_info(answer.access_token().clone(), Some(subject.clone()))
        .map_err(|error| failed(error.to_string()))?;
    let claims: CoreUserInfoClaims = request
        .request_async(http)
        .await
        .map_err(|error| failed(russet_text::error_chain(&error)))?;
    match serde_json::to_value(&claims) {
        Ok(Value::Object(all)) => Ok(all),
        Ok(_) | Err(_) => Err(failed("its claims cannot be read".to_owned())),
    }
}
