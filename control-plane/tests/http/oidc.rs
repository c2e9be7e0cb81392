//! Signing in with OpenID Connect at a provider of the test, which does what the test says: right, or
//! wrong.

use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::extract::{Form, State};
use axum::http::HeaderMap;
use axum::routing::{get, post};
use axum::{Json, Router};
use openidconnect::core::{
    CoreEdDsaPrivateSigningKey, CoreIdToken, CoreIdTokenClaims, CoreJsonWebKeySet,
    CoreJwsSigningAlgorithm,
};
use openidconnect::{
    Audience, EmptyAdditionalClaims, EndUserEmail, EndUserUsername, IssuerUrl, JsonWebKeyId, Nonce,
    PkceCodeChallenge, PkceCodeVerifier, PrivateSigningKey as _, StandardClaims, SubjectIdentifier,
};
use reqwest::{Method, Response, StatusCode, Url};
use russet_control_plane::{ManualClock, OidcSettings, Settings};
use russet_protocol::admin::Items;
use russet_protocol::people::{AuditItem, Role, UserItem};
use russet_protocol::secret::Secret;
use serde_json::{Value, json};

use crate::sign_in::person;
use crate::support::{Harness, Home, ok};
use crate::web::{Browser, place};

/// Answers of the provider.
#[derive(Clone, Debug)]
struct Script {
    issuer: String,
    /// Issuer in the token, where it is another one.
    token_issuer: Option<String>,
    audience: String,
    nonce: String,
    subject: String,
    email: String,
    email_verified: bool,
    /// Age of the token, in seconds.
    age_s: u64,
    /// Sign with the other key, which the provider shows from now on.
    has_new_key: bool,
    /// Sign with the other key, and do not show it.
    forges: bool,
    /// Challenge of PKCE that the browser brought.
    challenge: String,
    /// Times that tokens were asked for, and that keys were.
    asked: (u32, u32),
}

#[derive(Clone)]
struct Faulty(Arc<Mutex<Script>>);

fn key(is_other: bool) -> CoreEdDsaPrivateSigningKey {
    let (pem, id) = match is_other {
        false => (include_str!("../data/oidc_key.pem"), "one"),
        true => (include_str!("../data/oidc_other_key.pem"), "other"),
    };
    CoreEdDsaPrivateSigningKey::from_ed25519_pem(pem, Some(JsonWebKeyId::new(id.to_owned())))
        .unwrap()
}

/// Returns the time of day, as a clock of a server begins.
fn since_1970() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap()
}

/// Returns a clock with the time of day: tokens of others go by it.
pub(crate) fn clock_of_today() -> ManualClock {
    let clock = ManualClock::new();
    clock.advance(since_1970().checked_sub(Duration::from_secs(1_000_000)).unwrap());
    clock
}

impl Faulty {
    async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let script = Script {
            issuer: format!("http://{}", listener.local_addr().unwrap()),
            token_issuer: None,
            audience: "russet".to_owned(),
            nonce: String::new(),
            subject: "subject-1".to_owned(),
            email: "ana@example.com".to_owned(),
            email_verified: true,
            age_s: 0,
            has_new_key: false,
            forges: false,
            challenge: String::new(),
            asked: (0, 0),
        };
        let faulty = Self(Arc::new(Mutex::new(script)));
        let routes = Router::new()
            .route("/.well-known/openid-configuration", get(document))
            .route("/keys", get(keys))
            .route("/token", post(token))
            .with_state(faulty.clone());
        tokio::spawn(async move { axum::serve(listener, routes).await.unwrap() });
        faulty
    }

    fn with<T>(&self, f: impl FnOnce(&mut Script) -> T) -> T {
        f(&mut self.0.lock().unwrap())
    }

    fn settings(&self) -> OidcSettings {
        let issuer = self.with(|script| script.issuer.clone());
        OidcSettings::new(&issuer, "russet".to_owned(), Secret::new("client-secret")).unwrap()
    }

    /// Starts a server that people sign in to with this provider.
    async fn server(&self, change: impl FnOnce(&mut OidcSettings)) -> Harness {
        let mut settings = self.settings();
        change(&mut settings);
        start_server(settings).await
    }
}

/// Starts a server with a provider.
pub(crate) async fn start_server(oidc: OidcSettings) -> Harness {
    Harness::start_with(Home::new(), clock_of_today(), |settings: &mut Settings| {
        // The way back has to be known before the server listens.
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        settings.listen = free.local_addr().unwrap();
        settings.public_url = Some(format!("http://{}", settings.listen));
        settings.oidc = Some(oidc);
    })
    .await
}

async fn document(State(faulty): State<Faulty>) -> Json<Value> {
    let issuer = faulty.with(|script| script.issuer.clone());
    Json(json!({
        "issuer": issuer,
        "authorization_endpoint": format!("{issuer}/authorize"),
        "token_endpoint": format!("{issuer}/token"),
        "jwks_uri": format!("{issuer}/keys"),
        "response_types_supported": ["code"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["EdDSA"],
    }))
}

async fn keys(State(faulty): State<Faulty>) -> Json<Value> {
    let has_new = faulty.with(|script| {
        script.asked.1 += 1;
        script.has_new_key
    });
    let all = [Some(key(false)), has_new.then(|| key(true))];
    let all = all.iter().flatten().map(|key| key.as_verification_key()).collect();
    Json(serde_json::to_value(CoreJsonWebKeySet::new(all)).unwrap())
}

async fn token(
    State(faulty): State<Faulty>,
    headers: HeaderMap,
    Form(form): Form<std::collections::BTreeMap<String, String>>,
) -> Json<Value> {
    let script = faulty.with(|script| {
        script.asked.0 += 1;
        script.clone()
    });
    assert!(headers["authorization"].to_str().unwrap().starts_with("Basic "), "{headers:?}");
    let verifier = PkceCodeVerifier::new(form["code_verifier"].clone());
    let challenge = PkceCodeChallenge::from_code_verifier_sha256(&verifier);
    assert_eq!(challenge.as_str(), script.challenge);
    let issued = SystemTime::now() - Duration::from_secs(script.age_s);
    let standard = StandardClaims::new(SubjectIdentifier::new(script.subject))
        .set_email(Some(EndUserEmail::new(script.email)))
        .set_email_verified(Some(script.email_verified))
        .set_preferred_username(Some(EndUserUsername::new("ana".to_owned())));
    let claims = CoreIdTokenClaims::new(
        IssuerUrl::new(script.token_issuer.unwrap_or(script.issuer)).unwrap(),
        vec![Audience::new(script.audience)],
        (issued + Duration::from_secs(300)).into(),
        issued.into(),
        standard,
        EmptyAdditionalClaims {},
    );
    let claims = claims.set_nonce(Some(Nonce::new(script.nonce)));
    let signed = CoreIdToken::new(
        claims,
        &key(script.has_new_key || script.forges),
        CoreJwsSigningAlgorithm::EdDsa,
        None,
        None,
    );
    Json(json!({
        "access_token": "access", "token_type": "Bearer", "id_token": signed.unwrap().to_string()
    }))
}

/// Begins a sign-in: the browser keeps its cookie, and the provider is told the nonce. Returns the state.
async fn begin(browser: &mut Browser<'_>, faulty: &Faulty, next: &str) -> String {
    let answer = browser.get(&format!("/login/oidc?next={next}")).await;
    assert_eq!(answer.status(), StatusCode::SEE_OTHER, "{}", answer.text().await.unwrap());
    let set = answer.headers()["set-cookie"].to_str().unwrap();
    for word in ["HttpOnly", "SameSite=Lax", "Path=/login/oidc", "Max-Age=600"] {
        assert!(set.contains(word), "{set}");
    }
    browser.cookie = set.split(';').next().map(str::to_owned);
    let url: Url = place(&answer).parse().unwrap();
    let query: std::collections::BTreeMap<String, String> =
        url.query_pairs().into_owned().collect();
    assert_eq!(query["code_challenge_method"], "S256");
    assert!(query["redirect_uri"].ends_with("/login/oidc/callback"), "{url}");
    assert!(query["scope"].split(' ').any(|scope| scope == "openid"), "{url}");
    faulty.with(|script| {
        script.nonce.clone_from(&query["nonce"]);
        script.challenge.clone_from(&query["code_challenge"]);
    });
    query["state"].clone()
}

async fn come_back(browser: &Browser<'_>, state: &str) -> Response {
    browser.get(&format!("/login/oidc/callback?code=a-code&state={state}")).await
}

/// Signs in. Returns the status and the page.
async fn sign_in(browser: &mut Browser<'_>, faulty: &Faulty) -> (StatusCode, String) {
    let state = begin(browser, faulty, "/runners").await;
    let answer = come_back(browser, &state).await;
    let status = answer.status();
    let set = answer.headers().get_all("set-cookie").iter().map(|set| set.to_str().unwrap());
    let sessions: Vec<&str> = set.filter(|set| set.starts_with("russet_session=")).collect();
    if let [session] = sessions[..] {
        assert!(session.contains("SameSite=Strict"), "{session}");
        browser.cookie = session.split(';').next().map(str::to_owned);
    }
    (status, answer.text().await.unwrap())
}

async fn add(server: &Harness, name: &str) {
    let body = json!({"name": name, "role": "viewer"});
    ok(server.as_admin(Method::POST, "/api/v3/users").json(&body)).await;
}

#[tokio::test]
async fn somebody_with_an_account_comes_in_and_stays_the_same_under_another_address() {
    let faulty = Faulty::start().await;
    let server = faulty.server(|_| {}).await;
    let mut browser = Browser::new(&server);
    let login = browser.page("/login").await;
    assert!(login.contains("Log in with 127.0.0.1"), "{login}");
    let (status, page) = sign_in(&mut browser, &faulty).await;
    assert_eq!(status, StatusCode::FORBIDDEN);
    assert!(page.contains("there is no account `ana@example.com`; ask an administrator"), "{page}");
    add(&server, "ana@example.com").await;
    let (status, page) = sign_in(&mut browser, &faulty).await;
    assert_eq!(status, StatusCode::OK, "{page}");
    assert!(page.contains("content=\"0; url=/runners\""), "{page}");
    browser.page("/runners").await;
    faulty.with(|script| "other@example.com".clone_into(&mut script.email));
    let mut later = Browser::new(&server);
    assert_eq!(sign_in(&mut later, &faulty).await.0, StatusCode::OK);
    assert!(later.page("/login/device").await.contains("ana@example.com"));
    // Somebody else who gets the address some day is not ana.
    faulty.with(|script| {
        "subject-2".clone_into(&mut script.subject);
        "ana@example.com".clone_into(&mut script.email);
    });
    let (status, page) = sign_in(&mut Browser::new(&server), &faulty).await;
    assert_eq!(status, StatusCode::FORBIDDEN);
    assert!(page.contains("belongs to another identity"), "{page}");
    let log: Items<AuditItem> = server.get("/api/v3/audit?target=/login/oidc/callback").await;
    let who: Vec<_> = log.items.iter().map(|item| item.who.as_str()).collect();
    let ana = "ana@example.com";
    // Refused, signed in again, signed in, linked, refused.
    assert_eq!(who, ["nobody", ana, ana, ana, "nobody"]);
}

#[tokio::test]
async fn an_unverified_address_is_nobodys_and_domains_and_roles_are_the_owners_choice() {
    let faulty = Faulty::start().await;
    let server = faulty
        .server(|settings| {
            settings.create_role = Some(Role::Member);
            settings.domains = vec!["example.com".to_owned()];
        })
        .await;
    for (email, is_verified) in [("ana@example.com", false), ("ana@evil.example", true)] {
        faulty
            .with(|script| (script.email, script.email_verified) = (email.to_owned(), is_verified));
        let (status, page) = sign_in(&mut Browser::new(&server), &faulty).await;
        assert_eq!(status, StatusCode::FORBIDDEN, "{page}");
    }
    let all: Items<UserItem> = server.get("/api/v3/users").await;
    assert!(all.items.is_empty());
    faulty.with(|script| {
        (script.email, script.email_verified) = ("New@Example.com".to_owned(), true);
    });
    let mut browser = Browser::new(&server);
    let (status, page) = sign_in(&mut browser, &faulty).await;
    assert_eq!(status, StatusCode::OK, "{page}");
    let made: UserItem = server.get("/api/v3/users/new@example.com").await;
    assert_eq!((made.role, made.has_password), (Some(Role::Member), false));
    // Its session is like any other.
    ok(server.as_admin(Method::DELETE, "/api/v3/users/new@example.com/sessions")).await;
    assert_eq!(browser.get("/").await.status(), StatusCode::SEE_OTHER);
    ok(server.as_admin(Method::DELETE, "/api/v3/users/new@example.com")).await;
    assert_eq!(sign_in(&mut browser, &faulty).await.0, StatusCode::OK);
}

#[tokio::test]
async fn a_token_that_is_not_for_this_sign_in_signs_nobody_in() {
    let faulty = Faulty::start().await;
    let server = faulty.server(|_| {}).await;
    add(&server, "ana@example.com").await;
    let good = faulty.with(|script| script.clone());
    type Fault = (&'static str, fn(&mut Script));
    let faults: [Fault; 5] = [
        ("Invalid audiences", |script| "another-client".clone_into(&mut script.audience)),
        ("Invalid issuer", |script| script.token_issuer = Some("https://evil.example".to_owned())),
        ("Expired", |script| script.age_s = 400),
        ("Expired", |script| script.age_s = 3600),
        ("Signature verification failed", |script| script.forges = true),
    ];
    for (words, fault) in faults {
        faulty.with(|script| {
            *script = good.clone();
            fault(script);
        });
        let (status, page) = sign_in(&mut Browser::new(&server), &faulty).await;
        assert_eq!(status, StatusCode::BAD_GATEWAY, "{words}: {page}");
        assert!(page.contains(words), "{words}: {page}");
    }
    faulty.with(|script| *script = good);
    let mut browser = Browser::new(&server);
    let state = begin(&mut browser, &faulty, "/").await;
    faulty.with(|script| "of-another-sign-in".clone_into(&mut script.nonce));
    let page = come_back(&browser, &state).await.text().await.unwrap();
    assert!(page.contains("Invalid nonce"), "{page}");
    // A clock that is a minute off is no reason.
    faulty.with(|script| script.age_s = 330);
    assert_eq!(sign_in(&mut browser, &faulty).await.0, StatusCode::OK);
}

#[tokio::test]
async fn an_answer_counts_once_and_in_the_browser_that_asked_for_it() {
    let faulty = Faulty::start().await;
    let server = faulty.server(|_| {}).await;
    add(&server, "ana@example.com").await;
    let (mut ana, mut eve) = (Browser::new(&server), Browser::new(&server));
    let of_eve = begin(&mut eve, &faulty, "/").await;
    let of_ana = begin(&mut ana, &faulty, "/").await;
    let refused = async |browser: &Browser<'_>, state: &str, words: &str| {
        let answer = come_back(browser, state).await;
        assert_eq!(answer.status(), StatusCode::FORBIDDEN, "{words}");
        assert!(!answer.headers().contains_key("set-cookie"), "{words}");
        let page = answer.text().await.unwrap();
        assert!(page.contains(words), "{words}: {page}");
    };
    // Eve makes ana's browser end the sign-in that eve has begun.
    refused(&ana, &of_eve, "not to the sign-in that this browser has begun").await;
    refused(&ana, "", "not to the sign-in that this browser has begun").await;
    refused(&Browser::new(&server), &of_ana, "this browser has begun no sign-in").await;
    assert_eq!(faulty.with(|script| script.asked.0), 0, "no code was exchanged");
    assert_eq!(come_back(&ana, &of_ana).await.status(), StatusCode::OK);
    refused(&ana, &of_ana, "this answer was used before").await;
    assert_eq!(faulty.with(|script| script.asked.0), 1);
    let state = begin(&mut ana, &faulty, "/").await;
    server.clock.advance(Duration::from_secs(600));
    refused(&ana, &state, "more than ten minutes ago").await;
    // Refused by the provider, and an answer that claims to be of another one.
    for (query, words) in [
        ("error=access_denied&error_description=no", "the provider refuses: access_denied: no"),
        ("code=a&iss=https://evil.example", "comes from another provider"),
        ("", "neither a code nor a reason"),
    ] {
        let state = begin(&mut ana, &faulty, "/").await;
        let answer = ana.get(&format!("/login/oidc/callback?state={state}&{query}")).await;
        assert_eq!(answer.status(), StatusCode::FORBIDDEN, "{words}");
        let page = answer.text().await.unwrap();
        assert!(page.contains(words), "{words}: {page}");
    }
}

#[tokio::test]
async fn a_sign_in_leads_to_a_page_of_ours_alone() {
    let faulty = Faulty::start().await;
    let server = faulty.server(|_| {}).await;
    add(&server, "ana@example.com").await;
    for next in ["https://evil.example", "//evil.example", "/%2F/evil", "/\\evil"] {
        let mut browser = Browser::new(&server);
        let state = begin(&mut browser, &faulty, &next.replace('\\', "%5C")).await;
        let page = come_back(&browser, &state).await.text().await.unwrap();
        assert!(page.contains("url=/\"") && !page.contains("evil"), "{next}: {page}");
    }
}

#[tokio::test]
async fn a_new_key_of_the_provider_is_fetched_when_it_is_first_used() {
    let faulty = Faulty::start().await;
    let server = faulty.server(|_| {}).await;
    add(&server, "ana@example.com").await;
    assert_eq!(sign_in(&mut Browser::new(&server), &faulty).await.0, StatusCode::OK);
    faulty.with(|script| script.has_new_key = true);
    // Not for everybody who brings something: at most every ten seconds.
    let (status, _) = sign_in(&mut Browser::new(&server), &faulty).await;
    assert_eq!(status, StatusCode::BAD_GATEWAY);
    assert_eq!(faulty.with(|script| script.asked.1), 1);
    server.clock.advance(Duration::from_secs(11));
    assert_eq!(sign_in(&mut Browser::new(&server), &faulty).await.0, StatusCode::OK);
    assert_eq!(faulty.with(|script| script.asked.1), 2);
}

#[tokio::test]
async fn a_provider_that_is_away_is_named_and_passwords_go_on() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let issuer = format!("http://{}", free.local_addr().unwrap());
    drop(free);
    let settings =
        OidcSettings::new(&issuer, "russet".to_owned(), Secret::new("client-secret")).unwrap();
    let server = start_server(settings).await;
    let answer = Browser::new(&server).get("/login/oidc").await;
    assert_eq!(answer.status(), StatusCode::BAD_GATEWAY);
    let page = answer.text().await.unwrap();
    assert!(
        page.contains("the provider cannot be used") && page.contains("log says more"),
        "{page}"
    );
    person(&server, "ana", "viewer").await.page("/").await;
}
