//! A GitHub App: its proof is one that openssl verifies, and its tokens serve the API and git.

use std::io::Write as _;
use std::process::{Command, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reqwest::Method;
use russet_protocol::outcome::Outcome;
use serde_json::{Value, json};

use crate::commit_statuses::{JOB, push, run, settled, start, token};
use crate::git_projects::{Repository, connect, details};
use crate::git_remote::GitHttp;
use crate::github_host::{GithubHost, Prism};
use crate::support::{Harness, refused};

const PATH: &str = "/api/v3/projects/acme%2Fapp/connection";

fn openssl(args: &[&str], input: &[u8]) -> Vec<u8> {
    let mut child = Command::new("openssl")
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "openssl {args:?}");
    output.stdout
}

/// Makes a private key in the form in which GitHub gives it out (PKCS#1).
fn new_key() -> String {
    String::from_utf8(openssl(&["genrsa", "-traditional", "2048"], b"")).unwrap()
}

/// Verifies a proof by openssl. Returns its claims.
fn verified(jwt: &str, private_key: &str) -> Value {
    let dir = tempfile::tempdir().unwrap();
    let public = openssl(&["rsa", "-pubout"], private_key.as_bytes());
    let (signed, signature) = jwt.rsplit_once('.').unwrap();
    let file = |name: &str, bytes: &[u8]| {
        let path = dir.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let public = file("public.pem", &public);
    let signature = file("signature", &URL_SAFE_NO_PAD.decode(signature).unwrap());
    openssl(&["dgst", "-sha256", "-verify", &public, "-signature", &signature], signed.as_bytes());
    let (header, claims) = signed.split_once('.').unwrap();
    let decoded = |part: &str| -> Value {
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
    };
    assert_eq!(decoded(header), json!({"alg": "RS256", "typ": "JWT"}));
    decoded(claims)
}

async fn stored_secrets(harness: &Harness, secret: &str) -> bool {
    let text: Value = harness.get(PATH).await;
    text.to_string().contains(secret)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_app_proves_itself_to_the_api_and_its_tokens_serve_git_and_are_renewed() {
    let repository = Repository::new();
    let host = GithubHost::start().await;
    let Some(prism) = Prism::start(&host).await else { return };
    let root = repository.root();
    let git = GitHttp::start(root.parent().unwrap(), "x-access-token", "ghs_1").await;
    let harness = start().await;
    let token = token(&harness).await;
    let key = new_key();
    let folder = root.file_name().unwrap().to_str().unwrap().replace("..", "");
    let url = format!("{}/{folder}/app.git", git.url);
    let app = json!({"id": "Iv1.42", "private_key": key});
    connect(&harness, json!({"url": url, "api_url": prism.url, "github_app": app})).await;
    let of = details(&harness).await.connection;
    assert_eq!(of.credential.as_str(), "github_app");
    push(&harness, &repository, 1).await;
    let of = settled(&harness).await;
    assert!(
        !of.statuses.is_empty() && of.statuses.iter().all(|of| of.is_sent),
        "{:?}",
        of.statuses
    );

    let calls = host.calls();
    let proofs = calls.iter().filter(|call| call.path.contains("installation"));
    let proofs: Vec<&str> =
        proofs.map(|call| call.authorization.strip_prefix("Bearer ").unwrap()).collect();
    assert_eq!(proofs.len(), 2, "one installation and one token serve them all");
    for proof in proofs {
        let claims = verified(proof, &key);
        assert_eq!(claims["iss"], "Iv1.42");
        let seconds = |name: &str| claims[name].as_i64().unwrap();
        assert!(seconds("exp") - seconds("iat") <= 600, "{claims}");
    }
    let wish = calls.iter().find(|call| call.path.ends_with("access_tokens")).unwrap();
    assert_eq!(wish.body["repositories"], json!(["app"]));
    assert_eq!(wish.body["permissions"]["statuses"], "write");
    assert!(
        !stored_secrets(&harness, "PRIVATE KEY").await && !stored_secrets(&harness, "ghs_").await
    );

    // The token is revoked: another one is asked for.
    host.take_only(&["none"]);
    run(&harness, &token, Outcome::Success).await;
    let of = settled(&harness).await;
    assert!(of.statuses.iter().all(|of| of.is_sent), "{:?}", of.statuses);
    assert!(host.words(JOB).last().unwrap().starts_with("success"), "{:?}", host.words(JOB));
    let granted = host.calls().iter().filter(|call| call.path.ends_with("access_tokens")).count();
    assert_eq!(granted, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_app_that_is_not_installed_or_has_no_key_of_its_own_is_refused_in_words() {
    let host = GithubHost::start().await;
    let harness = start().await;
    let wish = |url: &str, key: &str| {
        let app = json!({"id": "42", "private_key": key});
        let wish = json!({"url": url, "api_url": host.url, "github_app": app});
        harness.as_admin(Method::PUT, PATH).json(&wish)
    };
    let url = "https://github.com/acme/app";
    let problem = refused(wish(url, "no key"), 400).await;
    assert!(problem["message"].as_str().unwrap().contains("PEM"), "{problem}");
    let key = new_key();
    let problem = refused(wish("git@github.com:acme/app", &key), 400).await;
    assert!(problem["message"].as_str().unwrap().contains("https"), "{problem}");
    host.fail(
        Method::GET,
        [crate::github_host::Fault::Answer(404, vec![], json!({"message": "Not Found"}))],
    );
    let problem = refused(wish(url, &key), 400).await;
    assert!(problem["message"].as_str().unwrap().contains("Install App"), "{problem}");
}
