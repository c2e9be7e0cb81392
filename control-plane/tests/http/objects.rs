//! Objects in a bucket of a server that speaks S3 and is not ours.

use std::time::Duration;

use futures_util::StreamExt as _;
use reqwest::Method;
use russet_control_plane::{ManualClock, S3Settings, Server, Settings};
use russet_protocol::outcome::Outcome;
use russet_protocol::storage::ARCHIVES_PATH;
use russet_test_object_store::{Bucket, bucket, bucket_apart, bucket_with_tls};
use serde_json::json;

use crate::support::{Agent, Harness, Home, LIMIT, ONE_JOB, ok, refused, s3_settings};

/// A server on a bucket, with a task that runs.
async fn running(bucket: Bucket) -> (Harness, russet_protocol::admin::Pipeline, Agent) {
    let server = Harness::start_in(Home::in_bucket(bucket), ManualClock::new()).await;
    let token = server.class().await;
    let pipeline = server.submit(ONE_JOB).await;
    let agent = server.claim(&token).await.unwrap();
    (server, pipeline, agent)
}

/// Bytes that nothing makes smaller.
fn bytes(length: u32) -> Vec<u8> {
    let mut bytes = vec![0; length as usize];
    blake3::Hasher::new().finalize_xof().fill(&mut bytes);
    bytes
}

/// Parts of uploads that are not complete, as versitygw keeps them.
fn open_uploads(bucket: &Bucket) -> usize {
    let mut dirs = vec![bucket.dir().join(".sgwtmp/multipart")];
    let mut files = 0;
    while let Some(dir) = dirs.pop() {
        for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
            if entry.path().is_dir() { dirs.push(entry.path()) } else { files += 1 }
        }
    }
    files
}

async fn wait_until(what: &str, is_so: impl Fn() -> bool) {
    let wait = async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(LIMIT, wait).await.unwrap_or_else(|_| panic!("{what}"));
}

#[tokio::test]
async fn a_large_object_goes_in_parts_and_comes_back_from_any_offset() {
    let Some(bucket) = bucket() else { return };
    let (server, pipeline, agent) = running(bucket.clone()).await;
    // Two whole parts and a rest, then exactly one part, then nothing.
    for (name, length) in [("large", 20_000_000), ("exact", 8 << 20), ("empty", 0)] {
        let bytes = bytes(length);
        let put = agent.call(Method::PUT, &format!("/api/v3/task/artifacts/{name}"));
        ok(put.body(bytes.clone())).await;
        let path = format!("/api/v3/jobs/{}/artifacts/{name}", pipeline.workflows[0].jobs[0].id);
        let whole = ok(server.as_admin(Method::GET, &path)).await.bytes().await.unwrap();
        assert!(whole == bytes, "{name}");
        if length > 0 {
            let at = bytes.len() - 5;
            let rest = server.as_admin(Method::GET, &path);
            let rest = ok(rest.header("range", format!("bytes={at}-"))).await;
            assert_eq!(rest.bytes().await.unwrap(), bytes[at..], "{name}");
        }
    }
    assert_eq!(open_uploads(&bucket), 0);
    assert_eq!(server.dir.objects("multipart/").len(), 0, "a note stays");
    assert_eq!(server.dir.objects("artifacts/").len(), 3);
}

#[tokio::test]
async fn an_upload_that_breaks_off_or_has_another_hash_leaves_nothing() {
    let Some(bucket) = bucket() else { return };
    let (server, _pipeline, agent) = running(bucket.clone()).await;
    // The body ends before what its length announces.
    let parts = [Ok(bytes(17_000_000)), Err(std::io::Error::other("gone"))];
    let body = reqwest::Body::wrap_stream(futures_util::stream::iter(parts).map(|part| part));
    let broken = agent.call(Method::PUT, "/api/v3/task/artifacts/a").body(body).send().await;
    assert!(broken.is_err(), "{broken:?}");
    let other = blake3::hash(b"other").to_hex().to_string();
    let path = format!("/api/v3/sources/{other}");
    refused(server.as_admin(Method::PUT, &path).body(bytes(17_000_000)), 400).await;
    refused(server.as_admin(Method::PUT, &path).body("small"), 400).await;
    let stored = || {
        let objects = bucket.objects().into_iter();
        // By which a server knows its bucket.
        objects.filter(|name| name != "identity").collect::<Vec<_>>()
    };
    wait_until("parts stay", || open_uploads(&bucket) == 0 && stored().is_empty()).await;
    ok(server.as_admin(Method::PUT, &path).body("other")).await;
    let objects = stored();
    assert_eq!(objects.len(), 1, "{objects:?}");
    assert!(objects[0].starts_with(&format!("sources/{other}")), "{objects:?}");
}

#[tokio::test]
async fn what_killed_servers_left_goes_with_age() {
    let Some(bucket) = bucket() else { return };
    // The task is held all the time.
    let century = Duration::from_secs(100 * 366 * 24 * 3600);
    let home = Home::in_bucket(bucket.clone());
    let long = |settings: &mut Settings| settings.lease = 4 * century;
    let server = Harness::start_with(home, ManualClock::new(), long).await;
    let token = server.class().await;
    server.submit(ONE_JOB).await;
    let agent = server.claim(&token).await.unwrap();
    ok(agent.append(1, 0, bytes(100_000))).await;
    ok(agent.call(Method::PUT, ARCHIVES_PATH).body("archive")).await;
    let kept = server.dir.objects("output/");
    let task = agent.claim.task_id.as_ref().unwrap();
    let left = bucket.dir().join(format!("russet/output/{task}/1/9-left"));
    std::fs::write(&left, "x").unwrap();
    // A note of an upload that nobody goes on with.
    let note = bucket.dir().join("russet/multipart/note");
    std::fs::create_dir_all(note.parent().unwrap()).unwrap();
    std::fs::write(&note, "sources/x\nno-such-upload").unwrap();
    // The next look is in an hour, when nothing is old by the clock of the store.
    server.clock.advance(Duration::from_secs(3601));
    let token = server.token().await;
    assert!(token.token.is_some());
    assert!(left.exists() && note.exists());
    // By then everything is.
    server.clock.advance(2 * century);
    // A look may have begun before that, so there are more.
    let is_gone = || {
        server.clock.advance(Duration::from_secs(3601));
        !note.exists() && !left.exists()
    };
    wait_until("what was left stays", is_gone).await;
    assert!(!kept.is_empty() && server.dir.objects("output/") == kept);
}

#[tokio::test]
async fn a_store_that_goes_away_is_named_and_nothing_is_lost_when_it_is_back() {
    let Some(bucket) = bucket_apart() else { return };
    let (server, pipeline, mut agent) = running(bucket.clone()).await;
    agent.start_step(1).await;
    let first = bytes(100_000);
    ok(agent.append(1, 0, first.clone())).await;
    bucket.gateway().stop();
    let answer = agent.append(1, 100_000, bytes(50_000)).send().await.unwrap();
    assert_eq!(answer.status(), 503);
    assert!(answer.headers().contains_key("retry-after"));
    let text = answer.text().await.unwrap();
    assert!(text.contains("object store"), "{text}");
    // What is few goes to the database.
    ok(agent.append(1, 100_000, b"few".to_vec())).await;
    let put = agent.call(Method::PUT, "/api/v3/task/artifacts/a").body("artifact");
    refused(put, 503).await;
    bucket.gateway().start_again();
    ok(agent.append(1, 100_003, bytes(50_000))).await;
    ok(agent.call(Method::PUT, "/api/v3/task/artifacts/a").body("artifact")).await;
    agent.end_step(1, 150_003).await;
    ok(agent.finish_request(Outcome::Success, &[(1, 150_003)])).await;
    let path = format!("/api/v3/jobs/{}/stdout", pipeline.workflows[0].jobs[0].id);
    let whole = ok(server.as_admin(Method::GET, &path)).await.bytes().await.unwrap();
    assert!(whole == [&first[..], b"few", &bytes(50_000)].concat());
}

/// What a server says that cannot use a bucket.
async fn start_error(settings: S3Settings) -> String {
    drop(rustls::crypto::ring::default_provider().install_default());
    let temp = tempfile::tempdir().unwrap();
    let mut all = Settings::new(temp.path().join("data"), "127.0.0.1:0".parse().unwrap());
    all.objects = Some(settings);
    let mut text = String::new();
    let error = Server::start(all).await.err().unwrap();
    let mut next: Option<&dyn std::error::Error> = Some(&error);
    while let Some(error) = next {
        text.push_str(&format!("{error}\n"));
        next = error.source();
    }
    text
}

#[tokio::test]
async fn a_server_says_at_its_start_why_it_cannot_use_a_bucket() {
    let Some(bucket) = bucket_apart() else { return };
    let good = s3_settings(&bucket);
    let other = "s3://no-such-bucket/russet".parse().unwrap();
    let text = start_error(S3Settings { url: other, ..good.clone() }).await;
    assert!(text.contains("s3://no-such-bucket/russet"), "{text}");
    assert!(text.contains("the bucket does not exist"), "{text}");
    let temp = tempfile::tempdir().unwrap();
    let file = temp.path().join("credentials");
    let write = |key: &str, secret: &str| {
        use std::os::unix::fs::PermissionsExt as _;
        let text = format!("aws_access_key_id = {key}\naws_secret_access_key = {secret}\n");
        std::fs::write(&file, text).unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
        S3Settings { credentials_file: Some(file.clone()), ..good.clone() }
    };
    let text = start_error(write("nobody", "x")).await;
    assert!(text.contains("does not know the access key"), "{text}");
    let text = start_error(write(russet_test_object_store::ACCESS_KEY, "wrong-secret")).await;
    assert!(text.contains("does not fit the access key"), "{text}");
    assert!(!text.contains("wrong-secret"), "{text}");
    let text = start_error(S3Settings { allow_http: false, ..good.clone() }).await;
    assert!(text.contains("--objects-allow-http"), "{text}");
    let text =
        start_error(S3Settings { region: Some("eu-west-9".to_owned()), ..good.clone() }).await;
    assert!(text.contains("--objects-region"), "{text}");
    bucket.gateway().stop();
    let text = start_error(good).await;
    assert!(text.contains("cannot be reached"), "{text}");
}

#[tokio::test]
async fn many_large_uploads_at_once_all_arrive() {
    let Some(bucket) = bucket() else { return };
    let (server, pipeline, agent) = running(bucket.clone()).await;
    let puts = (0..24).map(|number| {
        let put = agent.call(Method::PUT, &format!("/api/v3/task/artifacts/f{number}"));
        ok(put.body(bytes(9_000_000 + number)))
    });
    futures_util::future::join_all(puts).await;
    let path = format!("/api/v3/jobs/{}/artifacts", pipeline.workflows[0].jobs[0].id);
    let items: serde_json::Value = server.get(&path).await;
    assert_eq!(items["items"].as_array().unwrap().len(), 24, "{}", json!(items));
    assert_eq!(open_uploads(&bucket), 0);
}

/// Follows no redirect, and knows no token.
fn stranger() -> reqwest::Client {
    reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap()
}

#[tokio::test]
async fn readers_that_ask_are_sent_to_the_bucket_where_the_owner_allows_it() {
    let Some(bucket) = bucket() else { return };
    for is_direct in [false, true] {
        let direct = move |settings: &mut Settings| {
            settings.objects.as_mut().unwrap().is_direct = is_direct;
        };
        let home = Home::in_bucket(bucket.clone());
        let server = Harness::start_with(home, ManualClock::new(), direct).await;
        let token = server.class().await;
        let pipeline = server.submit(ONE_JOB).await;
        let agent = server.claim(&token).await.unwrap();
        ok(agent.call(Method::PUT, "/api/v3/task/artifacts/a").body("of the bucket")).await;
        ok(agent.call(Method::PUT, "/api/v3/task/artifacts/b").body("another one")).await;
        let path =
            format!("{}/api/v3/jobs/{}/artifacts/a", server.url, pipeline.workflows[0].jobs[0].id);
        let stranger = stranger();
        let get = || stranger.get(&path).header("circle-token", &server.admin);
        let passed = ok(get()).await;
        assert_eq!(passed.bytes().await.unwrap(), "of the bucket", "who does not ask is not sent");
        let asked = get().header(russet_protocol::DIRECT_HEADER, "true").send().await.unwrap();
        if !is_direct {
            assert_eq!(
                (asked.status(), asked.bytes().await.unwrap().as_ref()),
                (reqwest::StatusCode::OK, &b"of the bucket"[..])
            );
            continue;
        }
        assert_eq!(asked.status(), reqwest::StatusCode::TEMPORARY_REDIRECT);
        assert_eq!(asked.headers()["cache-control"], "no-store");
        let url = asked.headers()["location"].to_str().unwrap().to_owned();
        assert!(url.starts_with(&bucket.endpoint()) && url.contains("X-Amz-Expires=300"), "{url}");
        assert!(!url.contains(russet_test_object_store::SECRET_KEY), "{url}");
        let whole = ok(stranger.get(&url)).await;
        assert_eq!(whole.bytes().await.unwrap(), "of the bucket");
        let rest = ok(stranger.get(&url).header("range", "bytes=7-")).await;
        assert_eq!(rest.bytes().await.unwrap(), "bucket");
        // It is a right to read this object, and nothing else.
        let objects = server.dir.objects("artifacts/");
        let other = objects.iter().find(|name| !url.contains(name.as_str())).unwrap();
        let this = objects.iter().find(|name| url.contains(name.as_str())).unwrap();
        let longer = url.replace("X-Amz-Expires=300", "X-Amz-Expires=900");
        let forged = [
            stranger.get(url.replace(this, other)),
            stranger.put(&url).body("forged"),
            stranger.delete(&url),
            stranger.get(longer),
        ];
        for request in forged {
            let answer = request.send().await.unwrap();
            assert_eq!(answer.status(), reqwest::StatusCode::FORBIDDEN, "{}", answer.url());
        }
        ok(stranger.get(&url)).await;
    }
}

#[tokio::test]
async fn a_bucket_behind_tls_is_trusted_by_its_own_authority_alone() {
    let temp = tempfile::tempdir().unwrap();
    let Some((bucket, certificates)) = bucket_with_tls(temp.path()) else { return };
    let with = |ca: Option<&std::path::Path>| S3Settings {
        allow_http: false,
        ca_file: ca.map(Into::into),
        ..s3_settings(&bucket)
    };
    for wrong in [None, Some(certificates.other_ca.as_path())] {
        let text = start_error(with(wrong)).await;
        assert!(text.contains("certificate"), "{text}");
    }
    let text = start_error(S3Settings {
        endpoint: Some(bucket.endpoint().replace("localhost", "127.0.0.1")),
        ..with(Some(&certificates.ca))
    })
    .await;
    assert!(text.contains("certificate"), "another name: {text}");
    let mut all = Settings::new(temp.path().join("data"), "127.0.0.1:0".parse().unwrap());
    all.objects = Some(with(Some(&certificates.ca)));
    drop(Server::start(all).await.unwrap());
    assert_eq!(bucket.objects(), ["identity"]);
}

#[tokio::test]
async fn a_session_token_is_sent_and_signed() {
    use std::io::{Read as _, Write as _};
    use std::os::unix::fs::PermissionsExt as _;
    drop(rustls::crypto::ring::default_provider().install_default());
    let temp = tempfile::tempdir().unwrap();
    let file = temp.path().join("credentials");
    std::fs::write(
        &file,
        "aws_access_key_id = key\naws_secret_access_key = secret\naws_session_token = t0ken/+=\n",
    )
    .unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let asked = std::thread::spawn(move || {
        let (mut connection, _) = listener.accept().unwrap();
        let (mut head, mut byte) = (Vec::new(), [0]);
        while !head.ends_with(b"\r\n\r\n") {
            connection.read_exact(&mut byte).unwrap();
            head.push(byte[0]);
        }
        let answer = b"HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
        connection.write_all(answer).unwrap();
        String::from_utf8(head).unwrap()
    });
    let settings = S3Settings {
        endpoint: Some(endpoint),
        allow_http: true,
        credentials_file: Some(file),
        ..S3Settings::new("s3://bucket/russet".parse().unwrap())
    };
    start_error(settings).await;
    let head = asked.join().unwrap();
    let value = |name: &str| {
        let line = head.lines().find(|line| line.to_ascii_lowercase().starts_with(name));
        line.unwrap_or_else(|| panic!("no {name}: {head}")).split_once(": ").unwrap().1.to_owned()
    };
    assert_eq!(value("x-amz-security-token"), "t0ken/+=");
    // As AWS documents it, it has to be among the headers that are signed.
    let authorization = value("authorization");
    let signed = authorization.split("SignedHeaders=").nth(1).unwrap().split(',').next().unwrap();
    assert!(signed.split(';').any(|name| name == "x-amz-security-token"), "{authorization}");
}
