//! The port, the address of people, the relay for mail and the bucket.

use std::net::TcpListener;
use std::time::Duration;

use russet_control_plane::inspect;
use russet_launch_agent::health::{Check, Level};
use russet_platform::http::Failure;
use russet_text::error_chain;

use super::{Question, check, judge};
use crate::commands::server::install::{answers, reachable};

/// Longest wait for an answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// Largest difference of clocks that is no matter, in seconds.
const MAX_SKEW_S: i64 = 120;

/// Checks that the server answers at its port, or that the port is free for it.
pub(super) fn check_port(question: &Question) -> Check {
    let (name, listen) = ("port", question.server.listen);
    if answers(reachable(listen)) {
        return check(name, Level::Ok, format!("a server answers at {listen}"), "");
    }
    let level = if question.is_installed { Level::Bad } else { Level::Warning };
    match TcpListener::bind(listen) {
        Ok(_free) => {
            let hint = "start the server; its log says why it ended";
            check(name, level, format!("nothing listens at {listen}"), hint)
        }
        Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => {
            let found = format!("something that is not a server listens at {listen}");
            let hint = "end it (`sudo ss -ltnp`, on a Mac `sudo lsof -nP -iTCP -sTCP:LISTEN`), or \
                        choose another port with --listen";
            check(name, Level::Bad, found, hint)
        }
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {
            check(name, level, format!("nothing answers at {listen}"), "start the server")
        }
        Err(error) => {
            let hint = "--listen needs an address of this machine";
            check(name, Level::Bad, format!("{listen}: {error}"), hint)
        }
    }
}

/// Checks that people and agents reach the server under its public address, with a certificate that
/// they trust, and that this machine's clock is right by what is there.
pub(super) async fn check_public_url(question: &Question) -> Vec<Check> {
    let name = "public URL";
    let is_asked = question.server.public_url.is_some() || question.server.tls.files().is_some();
    if !is_asked {
        let found = "none is given: alerts and commit statuses have no links";
        return vec![check(name, Level::Unknown, found, "")];
    }
    let url = match question.server.url_for_people() {
        Ok(url) => url,
        Err(error) => return vec![judge::option_fault(name, &error)],
    };
    let ca_file = question.ca_file.as_deref();
    let client = match russet_platform::http::api_client(&url, ca_file, None) {
        Ok(client) => client,
        Err(error) => {
            let hint = "correct --public-url of the server, or --ca-file";
            return vec![check(name, Level::Bad, error.to_string(), hint)];
        }
    };
    let login = format!("{}/login", url.trim_end_matches('/'));
    let asked = client.get(login).timeout(ANSWER_TIMEOUT).send().await;
    let answer = match asked {
        Ok(answer) => answer,
        Err(error) => {
            let found = format!("{url}: {}", Failure::of(&error));
            let hint = "agents and people meet the same: look at DNS, the proxy, and the certificate \
                        with its chain; --ca-file names an authority of your own";
            return vec![check(name, Level::Bad, found, hint)];
        }
    };
    let skew = skew_s(&answer, question.now_s);
    let status = answer.status();
    let is_ours = answer.text().await.is_ok_and(|page| page.contains("Russet"));
    let reached = if status.is_success() && is_ours {
        check(name, Level::Ok, format!("{url} answers, and this machine trusts it"), "")
    } else {
        let hint = "the proxy leads elsewhere, or the server behind it is away";
        check(name, Level::Bad, format!("{url} answers {status}, and not as a server"), hint)
    };
    let clock = skew.map(|skew| {
        let level = if skew.abs() > MAX_SKEW_S { Level::Warning } else { Level::Ok };
        let found = format!("{skew} s from that of {url}");
        check("clock", level, found, "let this machine follow a time server")
    });
    [Some(reached), clock].into_iter().flatten().collect()
}

fn skew_s(answer: &reqwest::Response, now_s: i64) -> Option<i64> {
    let date = answer.headers().get(reqwest::header::DATE)?.to_str().ok()?;
    let there = jiff::fmt::rfc2822::parse(date).ok()?;
    Some(now_s - there.timestamp().as_second())
}

/// Checks the relay for mail, where there is one.
pub(super) async fn check_mail(question: &Question) -> Option<Check> {
    let name = "mail";
    let server = match question.server.mail.open() {
        Ok(server) => server?,
        Err(error) => return Some(judge::option_fault(name, &error)),
    };
    Some(match inspect::try_mail(&server).await {
        Ok(()) => check(name, Level::Ok, "the relay answers, and lets us in", ""),
        Err(error) => {
            let hint = "look at --mail-server, --mail-password-file and --mail-ca-file";
            check(name, Level::Bad, error_chain(&*error), hint)
        }
    })
}

/// Checks the bucket of the objects, where there is one.
pub(super) async fn check_bucket(question: &Question) -> Option<Check> {
    let settings = question.server.objects.clone().into_settings()?;
    Some(match inspect::try_bucket(&settings).await {
        Ok(()) => check("objects", Level::Ok, format!("{} can be used", settings.url), ""),
        Err(error) => {
            let found = format!("{}: {}", settings.url, error_chain(&*error));
            check("objects", Level::Bad, found, "docs/objects.md says what is needed")
        }
    })
}
