//! `save_cache` and `restore_cache`.

use reqwest::{Method, StatusCode};
use russet_protocol::storage::{
    CACHE_LOOKUP_PATH, CACHES_PATH, Cache, CacheLookupRequest, CacheLookupResponse, LONGEST_KEY,
    MOST_KEYS, SaveCacheRequest, SaveCacheResponse,
};

use super::key::{self, Facts, KeyError};
use super::paths::{self, PatternError};
use super::step::StorageStep;
use super::transfer::{self, Failure, Sent, Wanted};
use crate::archive::Root;
use crate::task::api::ApiError;
use crate::task::step_end::StepEnd;
use russet_text::format_size as size;

/// A restart of the server between the two calls of a save costs another upload.
const MOST_UPLOADS: u32 = 3;

/// Runs a `save_cache` step. That a cache cannot be stored is no reason to fail what was built:
/// it is said, and the next job does without.
pub(super) async fn save(
    step: StorageStep<'_>,
    facts: Facts<'_>,
    written: &str,
    paths: &[String],
    retention_ms: Option<u64>,
) -> StepEnd {
    let key = match render_key(step, facts, written) {
        Ok(key) => key,
        Err(why) => return step.output.fail(why),
    };
    let lookup = CacheLookupRequest { keys: vec![key.clone()], exact: true };
    match look_up(step, &lookup).await {
        Ok(Some(cache)) => {
            let text = format!(
                "Skipped: there is a cache for the key {key} already, from build {} ({})",
                cache.job_number,
                size(cache.size)
            );
            step.say(&text);
            return StepEnd::success();
        }
        Ok(None) => {}
        Err(error) => return not_saved(step, Failure::from(error)),
    }
    let roots = match collect_roots(step, paths) {
        Ok(roots) => roots,
        Err(why) => return step.output.fail(why),
    };
    if roots.is_empty() {
        step.say("warning: none of the paths is there, so there is nothing to save");
        return StepEnd::success();
    }
    step.say("Creating cache archive...");
    let mut sent = match transfer::send_archive(step.transfer(), roots).await {
        Ok(sent) => sent,
        Err(failure) => return not_saved(step, failure),
    };
    step.say_packed(&sent.packed, sent.archive.size);
    match commit_cache(step, &mut sent, &key, paths, retention_ms).await {
        Ok(true) => {
            step.say(&format!("Stored cache for the key {key}"));
            for path in paths {
                step.say(&format!("  * {path}"));
            }
            sent.keep();
            StepEnd::success()
        }
        Ok(false) => {
            let text = format!("Skipped: a cache for the key {key} was stored meanwhile");
            step.say(&text);
            StepEnd::success()
        }
        Err(failure) => not_saved(step, failure),
    }
}

fn collect_roots(step: StorageStep<'_>, paths: &[String]) -> Result<Vec<Root>, PatternError> {
    let mut roots = Vec::new();
    for written in paths {
        let path = step.dirs.resolve(written);
        let found = paths::of_cache(&path, &step.dirs.slot)?;
        if found.is_empty() {
            step.say(&format!("warning: {written} is not there, and is left out"));
        }
        roots.extend(found);
    }
    Ok(paths::distinct_roots(roots))
}

async fn commit_cache(
    step: StorageStep<'_>,
    sent: &mut Sent<'_>,
    key: &str,
    paths: &[String],
    retention_ms: Option<u64>,
) -> Result<bool, Failure> {
    for _ in 0..MOST_UPLOADS {
        let body = SaveCacheRequest {
            allocation: step.api.allocation().clone(),
            key: key.to_owned(),
            archive: sent.archive.clone(),
            paths: paths.iter().map(|path| step.output.masks().apply(path)).collect(),
            retention_ms,
        };
        let request = || step.api.request(Method::POST, CACHES_PATH).json(&body);
        match step.api.json::<SaveCacheResponse>("save the cache", request).await {
            Ok(answer) => return Ok(answer.is_stored),
            Err(ApiError::Refused { status, .. }) if status == StatusCode::GONE => {
                transfer::send_again(step.transfer(), sent).await?;
            }
            Err(error) => return Err(error.into()),
        }
    }
    Err(Failure::Other("the control plane lost the archive again and again".to_owned()))
}

/// Runs a `restore_cache` step.
pub(super) async fn restore(
    step: StorageStep<'_>,
    facts: Facts<'_>,
    written: &[String],
) -> StepEnd {
    let mut keys = Vec::new();
    for written in written.iter().take(MOST_KEYS) {
        match render_key(step, facts, written) {
            Ok(key) => keys.push(key),
            Err(why) => return step.output.fail(why),
        }
    }
    let lookup = CacheLookupRequest { keys, exact: false };
    let cache = match look_up(step, &lookup).await {
        Ok(Some(cache)) => cache,
        Ok(None) => {
            for key in &lookup.keys {
                step.say(&format!("No cache is found for key: {key}"));
            }
            return StepEnd::success();
        }
        Err(error) => return step.fail(Failure::from(error)),
    };
    let text = format!("Found a cache from build {} at {}", cache.job_number, cache.key);
    step.say(&text);
    step.say(&format!("Size: {} compressed\nCached paths:", size(cache.size)));
    for path in &cache.paths {
        step.say(&format!("  * {path}"));
    }
    let path = format!("{CACHES_PATH}/{}/archive", cache.id);
    let wanted = Wanted { path: &path, size: cache.size, blake3: &cache.blake3 };
    let bases = || paths::cache_bases(&step.dirs.slot);
    let fetched =
        transfer::fetch_archive(step.transfer(), wanted, bases, || Box::new(|_: &[u8]| Ok(())))
            .await;
    match fetched {
        Ok(fetched) => {
            step.say_unpacked(&fetched);
            StepEnd::success()
        }
        Err(failure) => step.fail(failure),
    }
}

/// Reason why a step has no key.
#[derive(Debug, thiserror::Error)]
enum CacheKeyError {
    #[error("could not make the key of `{written}`: {source}")]
    Template { written: String, source: KeyError },
    #[error("a key has 1 to {LONGEST_KEY} bytes, and this one has {0}")]
    Length(usize),
}

/// Returns a key with its templates filled in.
fn render_key(
    step: StorageStep<'_>,
    facts: Facts<'_>,
    written: &str,
) -> Result<String, CacheKeyError> {
    let hash = |file: &str| key::file_checksum(&step.dirs.resolve(file));
    let key = key::render_template(written, facts, hash)
        .map_err(|source| CacheKeyError::Template { written: written.to_owned(), source })?;
    if key.is_empty() || key.len() > LONGEST_KEY {
        return Err(CacheKeyError::Length(key.len()));
    }
    Ok(key)
}

async fn look_up(
    step: StorageStep<'_>,
    lookup: &CacheLookupRequest,
) -> Result<Option<Cache>, ApiError> {
    let request = || step.api.request(Method::POST, CACHE_LOOKUP_PATH).json(lookup);
    let looking = step.api.json::<CacheLookupResponse>("look for a cache", request);
    tokio::select! {
        found = looking => Ok(found?.cache),
        () = step.stop.requested() => Ok(None),
    }
}

fn not_saved(step: StorageStep<'_>, failure: Failure) -> StepEnd {
    match failure {
        Failure::Other(why) => {
            step.say(&format!("warning: the cache was not saved: {why}"));
            StepEnd::success()
        }
        failure => step.cut_short(failure),
    }
}
