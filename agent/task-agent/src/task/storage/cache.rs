//! `save_cache` and `restore_cache`.

use std::sync::Arc;

use reqwest::{Method, StatusCode};
use russet_protocol::storage::{
    CACHE_LOOKUP_PATH, CACHES_PATH, Cache, CacheLookupRequest, CacheLookupResponse, LONGEST_KEY,
    MOST_KEYS, SaveCacheRequest, SaveCacheResponse,
};

use super::transfer::{self, Failure, Sent, Wanted};
use super::{key, paths};
use crate::archive::Root;
use crate::task::api::ApiError;
use crate::task::context::{Context, StepEnd};
use crate::task::spool::StepLog;
use crate::task::{command, environment};
use russet_text::format_size as size;

/// A restart of the server between the two calls of a save costs another upload.
const MOST_UPLOADS: u32 = 3;

/// Runs a `save_cache` step. That a cache cannot be stored is no reason to fail what was built:
/// it is said, and the next job does without.
pub(crate) async fn save(
    context: &Arc<Context>,
    log: &StepLog,
    written: &str,
    paths: &[String],
    retention_ms: Option<u64>,
) -> StepEnd {
    let key = match render_key(context, written) {
        Ok(key) => key,
        Err(why) => return fail_step(context, log, why),
    };
    let lookup = CacheLookupRequest { keys: vec![key.clone()], exact: true };
    match look_up(context, &lookup).await {
        Ok(Some(cache)) => {
            let text = format!(
                "Skipped: there is a cache for the key {key} already, from build {} ({})",
                cache.job_number,
                size(cache.size)
            );
            context.say(log, &text);
            return StepEnd::success();
        }
        Ok(None) => {}
        Err(error) => return not_saved(context, log, Failure::from(error)),
    }
    let roots = match collect_roots(context, log, paths) {
        Ok(roots) => roots,
        Err(why) => return fail_step(context, log, why),
    };
    if roots.is_empty() {
        context.say(log, "warning: none of the paths is there, so there is nothing to save");
        return StepEnd::success();
    }
    context.say(log, "Creating cache archive...");
    let mut sent = match transfer::send_archive(context, roots).await {
        Ok(sent) => sent,
        Err(failure) => return not_saved(context, log, failure),
    };
    super::say_packed(context, log, &sent.packed, sent.archive.size);
    match commit_cache(context, &mut sent, &key, paths, retention_ms).await {
        Ok(true) => {
            context.say(log, &format!("Stored cache for the key {key}"));
            for path in paths {
                context.say(log, &format!("  * {path}"));
            }
            sent.keep();
            StepEnd::success()
        }
        Ok(false) => {
            let text = format!("Skipped: a cache for the key {key} was stored meanwhile");
            context.say(log, &text);
            StepEnd::success()
        }
        Err(failure) => not_saved(context, log, failure),
    }
}

fn collect_roots(context: &Context, log: &StepLog, paths: &[String]) -> Result<Vec<Root>, String> {
    let dirs = &context.assignment.dirs;
    let mut roots = Vec::new();
    for written in paths {
        let path = environment::resolve(written, &dirs.home, &context.work);
        let found = paths::of_cache(&path, dirs)?;
        if found.is_empty() {
            context.say(log, &format!("warning: {written} is not there, and is left out"));
        }
        roots.extend(found);
    }
    Ok(paths::distinct_roots(roots))
}

async fn commit_cache(
    context: &Context,
    sent: &mut Sent<'_>,
    key: &str,
    paths: &[String],
    retention_ms: Option<u64>,
) -> Result<bool, Failure> {
    for _ in 0..MOST_UPLOADS {
        let body = SaveCacheRequest {
            allocation: context.api.allocation().clone(),
            key: key.to_owned(),
            archive: sent.archive.clone(),
            paths: paths.iter().map(|path| context.masks.apply(path)).collect(),
            retention_ms,
        };
        let request = || context.api.request(Method::POST, CACHES_PATH).json(&body);
        match context.api.json::<SaveCacheResponse>("save the cache", request).await {
            Ok(answer) => return Ok(answer.is_stored),
            Err(ApiError::Refused { status, .. }) if status == StatusCode::GONE => {
                transfer::send_again(context, sent).await?;
            }
            Err(error) => return Err(error.into()),
        }
    }
    Err(Failure::Other("the control plane lost the archive again and again".to_owned()))
}

/// Runs a `restore_cache` step.
pub(crate) async fn restore(context: &Arc<Context>, log: &StepLog, written: &[String]) -> StepEnd {
    let mut keys = Vec::new();
    for written in written.iter().take(MOST_KEYS) {
        match render_key(context, written) {
            Ok(key) => keys.push(key),
            Err(why) => return fail_step(context, log, why),
        }
    }
    let lookup = CacheLookupRequest { keys, exact: false };
    let cache = match look_up(context, &lookup).await {
        Ok(Some(cache)) => cache,
        Ok(None) => {
            for key in &lookup.keys {
                context.say(log, &format!("No cache is found for key: {key}"));
            }
            return StepEnd::success();
        }
        Err(error) => return super::end_failed(context, log, Failure::from(error)),
    };
    let text = format!("Found a cache from build {} at {}", cache.job_number, cache.key);
    context.say(log, &text);
    context.say(log, &format!("Size: {}\nCached paths:", size(cache.size)));
    for path in &cache.paths {
        context.say(log, &format!("  * {path}"));
    }
    let path = format!("{CACHES_PATH}/{}/archive", cache.id);
    let wanted = Wanted { path: &path, size: cache.size, blake3: &cache.blake3 };
    let bases = || paths::cache_bases(&context.assignment.dirs);
    let fetched =
        transfer::fetch_archive(context, wanted, bases, || Box::new(|_: &[u8]| Ok(()))).await;
    match fetched {
        Ok(fetched) => {
            super::say_unpacked(context, log, &fetched);
            StepEnd::success()
        }
        Err(failure) => super::end_failed(context, log, failure),
    }
}

/// A key with its templates filled in.
fn render_key(context: &Context, written: &str) -> Result<String, String> {
    let job = &context.config.job;
    let facts = key::Facts {
        branch: job.branch.as_deref().unwrap_or_default(),
        revision: job.revision.as_deref().unwrap_or_default(),
        number: job.number,
        epoch: context.clock.wall_ms() / 1000,
        environment: &context.variables,
    };
    let key = key::render_template(written, facts, |file| {
        let home = &context.assignment.dirs.home;
        key::file_checksum(&environment::resolve(file, home, &context.work))
            .map_err(|error| error.to_string())
    });
    let key = key.map_err(|why| format!("could not make the key of `{written}`: {why}"))?;
    if key.is_empty() || key.len() > LONGEST_KEY {
        return Err(format!("a key has 1 to {LONGEST_KEY} bytes, and this one has {}", key.len()));
    }
    Ok(key)
}

async fn look_up(
    context: &Context,
    lookup: &CacheLookupRequest,
) -> Result<Option<Cache>, ApiError> {
    let request = || context.api.request(Method::POST, CACHE_LOOKUP_PATH).json(lookup);
    let looking = context.api.json::<CacheLookupResponse>("look for a cache", request);
    tokio::select! {
        found = looking => Ok(found?.cache),
        () = context.stop.requested() => Ok(None),
    }
}

fn fail_step(context: &Context, log: &StepLog, why: String) -> StepEnd {
    context.say(log, &format!("error: {why}"));
    StepEnd::failed(why)
}

fn not_saved(context: &Context, log: &StepLog, failure: Failure) -> StepEnd {
    match failure {
        Failure::Other(why) => {
            context.say(log, &format!("warning: the cache was not saved: {why}"));
            StepEnd::success()
        }
        Failure::Stopped => command::stopped(context),
        Failure::Stale(error) => context.call_failed(&error),
    }
}
