//! The pages for browsers: who may see them, what they show, what a session may not do.

use reqwest::redirect::Policy;
use reqwest::{Client, Method, RequestBuilder, Response, StatusCode};
use russet_protocol::admin::{Items, ResourceClassItem};
use russet_protocol::outcome::Outcome;
use russet_protocol::runner::EventKind;
use serde_json::json;

use crate::support::{Harness, LIMIT, ONE_JOB, ok};

/// A browser: it keeps one cookie, and says where it is sent instead of going there.
pub(crate) struct Browser<'a> {
    server: &'a Harness,
    http: Client,
    pub(crate) cookie: Option<String>,
}

impl<'a> Browser<'a> {
    pub(crate) fn new(server: &'a Harness) -> Self {
        let http = Client::builder().no_proxy().redirect(Policy::none()).build().unwrap();
        Self { server, http, cookie: None }
    }

    pub(crate) async fn logged_in(server: &'a Harness) -> Self {
        let mut browser = Self::new(server);
        let answer = browser.log_in(&server.admin, "/").await;
        assert_eq!(answer.status(), StatusCode::SEE_OTHER);
        browser
    }

    pub(crate) fn request(&self, method: Method, path: &str, form: &str) -> RequestBuilder {
        let request = self.http.request(method, format!("{}{path}", self.server.url));
        let request = request.timeout(LIMIT).body(form.to_owned());
        let request = request.header("content-type", "application/x-www-form-urlencoded");
        let cookie = self.cookie.as_deref().unwrap_or("other=1");
        request.header("cookie", format!("first=a; {cookie}; last=b"))
    }

    pub(crate) async fn send(&self, method: Method, path: &str, form: &str) -> Response {
        self.request(method, path, form).send().await.unwrap()
    }

    pub(crate) async fn get(&self, path: &str) -> Response {
        self.send(Method::GET, path, "").await
    }

    pub(crate) async fn page(&self, path: &str) -> String {
        let answer = self.get(path).await;
        assert_eq!(answer.status(), StatusCode::OK, "{path}");
        answer.text().await.unwrap()
    }

    async fn log_in(&mut self, token: &str, next: &str) -> Response {
        let answer = self.send(Method::POST, "/login", &format!("token={token}&next={next}")).await;
        if let Some(set) = answer.headers().get("set-cookie") {
            let set = set.to_str().unwrap();
            assert!(set.contains("HttpOnly") && set.contains("SameSite=Strict"), "{set}");
            self.cookie = set.split(';').next().map(str::to_owned);
        }
        answer
    }
}

pub(crate) fn place(answer: &Response) -> &str {
    answer.headers()["location"].to_str().unwrap()
}

#[tokio::test]
async fn a_browser_logs_in_with_the_admin_token_and_comes_back_to_where_it_was() {
    let server = Harness::start().await;
    server.class().await;
    let pipeline = server.submit(ONE_JOB).await;
    let path = format!("/jobs/{}", pipeline.workflows[0].jobs[0].id);
    let mut browser = Browser::new(&server);
    let answer = browser.get(&path).await;
    assert_eq!(answer.status(), StatusCode::SEE_OTHER);
    assert_eq!(place(&answer), format!("/login?next={path}"));
    assert!(browser.page(place(&answer)).await.contains(&format!("value=\"{path}\"")));

    let refused = browser.log_in("rsa_guess", &path).await;
    assert_eq!(refused.status(), StatusCode::UNAUTHORIZED);
    assert!(browser.cookie.is_none());
    assert_eq!(place(&browser.log_in(&server.admin, &path).await), path);
    assert!(browser.page(&path).await.contains(">one<"));

    let left = browser.send(Method::POST, "/logout", "").await;
    assert!(left.headers()["set-cookie"].to_str().unwrap().contains("Max-Age=0"));
    // A copy of the cookie is worth nothing any more.
    assert_eq!(browser.get(&path).await.status(), StatusCode::SEE_OTHER);
    let cookie = browser.cookie.take();
    let server = server.restart().await;
    let browser = Browser { cookie, ..Browser::new(&server) };
    assert_eq!(browser.get(&path).await.status(), StatusCode::SEE_OTHER);
}

#[tokio::test]
async fn a_name_that_turns_the_direction_of_text_is_shown_as_it_is() {
    let server = Harness::start().await;
    let token = server.class().await;
    let pipeline = server.submit(ONE_JOB).await;
    let mut agent = server.claim(&token).await.unwrap();
    let name = "run \u{202e}gnp.exe".to_owned();
    let detail = None;
    agent.event(EventKind::StepStarted { step: 1, name, background: false, detail }).await;
    let browser = Browser::logged_in(&server).await;
    let page = browser.page(&format!("/jobs/{}", pipeline.workflows[0].jobs[0].id)).await;
    assert!(page.contains("run \u{fffd}gnp.exe") && !page.contains('\u{202e}'), "{page}");
}

#[tokio::test]
async fn output_is_sent_as_text_with_the_name_of_a_file() {
    let server = Harness::start().await;
    let token = server.class().await;
    let pipeline = server.submit(ONE_JOB).await;
    let mut agent = server.claim(&token).await.unwrap();
    agent.start_step(1).await;
    ok(agent.append(1, 0, b"<script>".to_vec())).await;
    let job = &pipeline.workflows[0].jobs[0].id;
    let path = format!("/api/v3/jobs/{job}/stdout?filter[step_num]=1");
    let response = ok(server.as_admin(Method::GET, &path)).await;
    let headers = response.headers();
    assert_eq!(headers["content-type"], "text/plain; charset=utf-8");
    assert_eq!(headers["x-content-type-options"], "nosniff");
    assert_eq!(headers["content-disposition"], "attachment; filename=\"job-1-step-1.log\"");
}

#[tokio::test]
async fn a_session_reads_the_api_and_changes_nothing_there() {
    let server = Harness::start().await;
    server.class().await;
    let pipeline = server.submit(ONE_JOB).await;
    let browser = Browser::logged_in(&server).await;
    let job = format!("/api/v3/jobs/{}", pipeline.workflows[0].jobs[0].id);
    assert_eq!(browser.get(&job).await.status(), StatusCode::OK);
    for (method, path) in [
        (Method::POST, format!("{job}/cancel")),
        (Method::POST, "/api/v3/runner/token".to_owned()),
        (Method::PUT, "/api/v3/contexts/deploy".to_owned()),
        (Method::DELETE, "/api/v3/contexts/deploy".to_owned()),
    ] {
        let answer = browser.send(method, &path, "{}").await;
        assert_eq!(answer.status(), StatusCode::NOT_FOUND, "{path}");
    }
}

#[tokio::test]
async fn a_session_ends_after_a_day_of_work_and_can_not_be_made_up() {
    let server = Harness::start().await;
    let mut browser = Browser::logged_in(&server).await;
    assert_eq!(browser.get("/").await.status(), StatusCode::OK);
    let real = browser.cookie.clone().unwrap();
    let (until, mac) = real.split_once('=').unwrap().1.split_once('.').unwrap();
    let later = until.parse::<i64>().unwrap() + 1;
    for made_up in [format!("{later}.{mac}"), format!("{until}."), until.to_owned(), String::new()]
    {
        browser.cookie = Some(format!("russet_session={made_up}"));
        assert_eq!(browser.get("/").await.status(), StatusCode::SEE_OTHER, "{made_up}");
    }
    browser.cookie = Some(real);
    server.clock.advance(std::time::Duration::from_secs(12 * 3600));
    assert_eq!(browser.get("/").await.status(), StatusCode::SEE_OTHER);
}

/// Names that would be markup if they were not text.
const HOSTILE: &str = r#"
version: 2.1
jobs:
  one:
    machine: true
    resource_class: acme/mini
    steps:
      - run: echo hello
workflows:
  "<script>alert(1)</script><img src=x>":
    jobs:
      - one: {name: "\"><b>"}
"#;

#[tokio::test]
async fn what_a_project_wrote_is_text_on_every_page_and_no_page_runs_foreign_scripts() {
    let server = Harness::start().await;
    let token = server.class().await;
    let pipeline = server.submit(HOSTILE).await;
    let mut agent = server.claim(&token).await.unwrap();
    agent.start_step(1).await;
    ok(agent.append(1, 0, b"hello\n".to_vec())).await;
    agent.end_step(1, 6).await;
    agent.finish(Outcome::Failed).await;
    let browser = Browser::logged_in(&server).await;
    let job = format!("/jobs/{}", pipeline.workflows[0].jobs[0].id);
    let whole = format!("/pipelines/{}", pipeline.id);
    for path in ["/", "/runners", &whole, &job] {
        let answer = browser.get(path).await;
        let policy = answer.headers()["content-security-policy"].to_str().unwrap().to_owned();
        assert!(policy.contains("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
        assert_eq!(answer.headers()["cache-control"], "no-store");
        let text = answer.text().await.unwrap();
        for markup in ["<script>alert", "<img src=x>", "\"><b>"] {
            assert!(!text.contains(markup), "{path}: {text}");
        }
    }
    let text = browser.page(&job).await;
    assert!(text.contains("&#34;&#62;&#60;b&#62;"), "{text}");
    assert!(text.contains("class=\"state failed\""), "{text}");
    assert!(browser.page(&whole).await.contains("acme/mini"));
}

#[tokio::test]
async fn the_page_of_runners_says_what_they_are_to_run_and_why_there_was_no_update() {
    let server = Harness::start().await;
    let token = server.class().await;
    let why = "it was killed by signal 11";
    let update = json!({"state": "rolled_back", "version": "1.3.0", "why": why});
    let claim = json!({"name": "mini-1", "version": "1.2.0", "update": update});
    let request = server.call(Method::POST, "/api/v3/runner/claim").bearer_auth(&token);
    ok(request.json(&claim)).await;
    let browser = Browser::logged_in(&server).await;
    let page = browser.page("/runners").await;
    for said in ["channel stable", "1.2.0", "1.3.0 was taken back", why] {
        assert!(page.contains(said), "{said}: {page}");
    }
    let classes: Items<ResourceClassItem> = server.get("/api/v3/runner/resource?org-id=any").await;
    let path = format!("/api/v3/runner/resource/{}/pin", classes.items[0].id);
    ok(server.as_admin(Method::PUT, &path).json(&json!({"channel": "beta"}))).await;
    assert!(browser.page("/runners").await.contains("pinned to channel beta"));
}

#[tokio::test]
async fn a_page_hears_of_changes_and_ids_that_are_not_there_are_no_pages() {
    let server = Harness::start().await;
    let token = server.class().await;
    let pipeline = server.submit(ONE_JOB).await;
    let browser = Browser::logged_in(&server).await;
    let path = format!("/pipelines/{}", pipeline.id);
    assert!(browser.page(&path).await.contains("data-changes"));
    let mut changes = browser.get(&format!("{path}/changes")).await;
    assert_eq!(changes.headers()["content-type"], "text/event-stream");
    let event = async |changes: &mut Response| changes.chunk().await.unwrap().unwrap();
    assert_eq!(event(&mut changes).await, "data: changed\n\n");
    let agent = server.claim(&token).await.unwrap();
    assert_eq!(event(&mut changes).await, "data: changed\n\n");
    agent.finish(Outcome::Success).await;
    assert!(!browser.page(&path).await.contains("data-changes"));
    for nothing in
        ["/jobs/none", "/pipelines/none", "/pipelines/none/changes", "/jobs/none/changes"]
    {
        assert_eq!(browser.get(nothing).await.status(), StatusCode::NOT_FOUND, "{nothing}");
    }
}

#[tokio::test]
async fn pages_of_pipelines_and_jobs_are_found_by_the_names_that_people_give_them() {
    let server = Harness::start().await;
    server.class().await;
    let pipeline = server.submit(ONE_JOB).await;
    let job = server.job(&pipeline).await;
    let browser = Browser::logged_in(&server).await;
    let whole = format!("/pipelines/{}", pipeline.id);
    let number =
        format!("/pipelines/{}%23{}", pipeline.project.replace('/', "%2F"), pipeline.number);
    for name in ["/pipelines/latest", &number, &whole[..whole.len() - 2]] {
        let answer = browser.get(name).await;
        assert_eq!(answer.status(), StatusCode::SEE_OTHER, "{name}");
        assert_eq!(answer.headers()["location"].to_str().unwrap(), whole, "{name}");
    }
    let answer = browser.get("/jobs/latest%2Fone").await;
    let expected = format!("/jobs/{}", job.id);
    assert_eq!(answer.headers()["location"].to_str().unwrap(), expected);
    // The ids of a moment begin in the same way.
    let next = server.submit(ONE_JOB).await;
    let answer = browser.get(&whole[.."/pipelines/".len() + 5]).await;
    assert_eq!(answer.status(), StatusCode::CONFLICT);
    let page = answer.text().await.unwrap();
    assert!(page.contains(next.id.as_str()) && page.contains(pipeline.id.as_str()), "{page}");
}
