//! The client of the notarization service, against one of the tests' own.

use std::collections::VecDeque;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use russet_notarize::notary::{Notary, Services, Storage, sign_token, sign_upload};
use serde_json::Value;

use crate::service::{Apple, Script, key};

/// Submits a package and waits for the verdict.
fn submit(apple: &Apple, services: &Services) -> anyhow::Result<String> {
    let _other = rustls::crypto::ring::default_provider().install_default();
    let _keep = apple;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let notary = Notary::new(services, key())?;
        let id = notary.submit("Russet.pkg", "abc123", b"the package".to_vec()).await?;
        let status = notary.wait(&id).await?;
        let log = notary.log(&id).await?;
        assert!(log.contains("secure timestamp"), "{log}");
        Ok(status)
    })
}

#[test]
fn a_package_is_submitted_uploaded_and_accepted() {
    let verdicts = VecDeque::from(["In Progress", "In Progress", "Accepted"]);
    let apple = Apple::start(Script { verdicts, ..Script::default() });
    assert_eq!(submit(&apple, &apple.services()).unwrap(), "Accepted");
    apple.seen(|seen| {
        assert_eq!(seen.uploads, [b"the package".to_vec()]);
        assert_eq!(seen.submissions[0]["sha256"], "abc123");
        assert_eq!(seen.questions, 3);
    });
}

#[test]
fn too_many_calls_and_failures_of_the_server_are_tried_again() {
    let failures = VecDeque::from([(429, Some("0")), (500, None), (503, Some("0"))]);
    let apple = Apple::start(Script { failures, ..Script::default() });
    assert_eq!(submit(&apple, &apple.services()).unwrap(), "Accepted");
    apple.seen(|seen| assert_eq!(seen.submissions.len(), 1));
}

#[test]
fn a_server_that_goes_on_failing_is_given_up() {
    let failures = VecDeque::from([(500, None); 20]);
    let apple = Apple::start(Script { failures, ..Script::default() });
    let error = submit(&apple, &apple.services()).unwrap_err().to_string();
    assert!(error.contains("could not submit the package: 500"), "{error}");
}

#[test]
fn a_key_that_is_refused_is_not_tried_again_and_it_is_said_what_to_do() {
    let failures = VecDeque::from([(401, None); 20]);
    let apple = Apple::start(Script { failures, ..Script::default() });
    let error = submit(&apple, &apple.services()).unwrap_err().to_string();
    assert!(
        error.contains("401") && error.contains("scripted") && error.contains("hint:"),
        "{error}"
    );
    apple.seen(|seen| assert_eq!(seen.tokens.len(), 1, "it was tried again"));
}

#[test]
fn an_upload_that_is_lost_is_made_again() {
    let apple = Apple::start(Script { lost_uploads: 2, ..Script::default() });
    assert_eq!(submit(&apple, &apple.services()).unwrap(), "Accepted");
    apple.seen(|seen| {
        assert_eq!(seen.uploads.len(), 1);
        assert_eq!(seen.submissions.len(), 1, "the submission itself was not lost");
    });
}

#[test]
fn a_verdict_that_does_not_come_in_time_says_how_to_go_on() {
    let verdicts = VecDeque::from(["In Progress"]);
    let apple = Apple::start(Script { verdicts, ..Script::default() });
    let services = Services { wait: std::time::Duration::ZERO, ..apple.services() };
    let error = submit(&apple, &services).unwrap_err().to_string();
    assert!(error.contains("still in progress") && error.contains("hint:"), "{error}");
}

#[test]
fn a_service_that_is_not_there_is_named() {
    let apple = Apple::start(Script::default());
    let services = Services { notary: "http://127.0.0.1:1".to_owned(), ..apple.services() };
    let error = submit(&apple, &services).unwrap_err().to_string();
    assert!(error.contains("could not submit the package"), "{error}");
}

#[test]
fn a_token_is_a_signed_claim_of_the_key_for_a_quarter_of_an_hour() {
    let token = sign_token(&key(), 1_800_000_000).unwrap();
    let parts: Vec<Vec<u8>> =
        token.split('.').map(|part| URL_SAFE_NO_PAD.decode(part).unwrap()).collect();
    let header: Value = serde_json::from_slice(&parts[0]).unwrap();
    let claims: Value = serde_json::from_slice(&parts[1]).unwrap();
    assert_eq!((&header["alg"], &header["kid"]), (&"ES256".into(), &"KEY1".into()));
    assert_eq!(claims["aud"], "appstoreconnect-v1");
    assert_eq!(claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(), 900);
    assert_eq!(parts[2].len(), 64);
}

/// The expected signature was computed with Python's hmac and hashlib from Amazon's description.
#[test]
fn the_signature_of_an_upload_is_what_another_implementation_computes() {
    let storage: Storage = serde_json::from_value(serde_json::json!({
        "awsAccessKeyId": "AKIDEXAMPLE",
        "awsSecretAccessKey": "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
        "awsSessionToken": "TOKEN", "bucket": "b", "object": "prod/a b:c",
    }))
    .unwrap();
    let (address, host) = storage.address(None);
    assert_eq!(address, "https://b.s3.us-west-2.amazonaws.com/prod/a%20b%3Ac");
    let headers = sign_upload(&storage, &host, &"0".repeat(64), "20260102T030405Z");
    let (_, authorization) = headers.last().unwrap();
    assert!(
        authorization.ends_with(
            "Signature=d9a970acb2c58ec2088a504b63e2746171db7319a397b870d03fa4b306760460"
        ),
        "{authorization}"
    );
}
