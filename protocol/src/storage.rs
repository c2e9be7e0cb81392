//! Caches, workspaces and timings of tests: what the calls of a task about them say.
//!
//! An archive is a tar archive compressed with zstd. It is stored in two steps, so that nothing is
//! ever named that did not arrive whole: [`ARCHIVES_PATH`] takes the bytes and answers what came,
//! and once the sender has compared that, it says what they are.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::ids::AllocationId;

/// Path that archives are sent to, with `PUT`.
pub const ARCHIVES_PATH: &str = "/api/v3/task/archives";

/// `POST` saves a cache.
pub const CACHES_PATH: &str = "/api/v3/task/caches";

/// `POST` looks for a cache.
pub const CACHE_LOOKUP_PATH: &str = "/api/v3/task/caches/lookup";

/// `POST` adds a layer, `GET` lists the layers that the job may see.
pub const WORKSPACE_PATH: &str = "/api/v3/task/workspace";

/// `GET` answers how long tests took.
pub const TIMINGS_PATH: &str = "/api/v3/task/test-timings";

/// The longest key of a cache, in bytes: CircleCI's.
pub const LONGEST_KEY: usize = 900;

/// Maximum number of keys of one look-up.
pub const MOST_KEYS: usize = 100;

/// The answer to an archive.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Uploaded {
    /// Name for the next call.
    pub upload: String,
    /// Size in bytes.
    pub size: u64,
    /// BLAKE3 of the bytes, in hexadecimal.
    pub blake3: String,
}

/// Saves a cache whose archive has arrived.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SaveCacheRequest {
    /// The claim.
    pub allocation: AllocationId,
    /// The key, 1 to 900 bytes.
    pub key: String,
    /// The archive.
    pub archive: Uploaded,
    /// Saved paths, as the configuration writes them, for people.
    #[serde(default)]
    pub paths: Vec<String>,
    /// Longest time to keep it, in milliseconds. `None`: as the server is set up.
    #[serde(default)]
    pub retention_ms: Option<u64>,
}

/// The answer to a cache.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SaveCacheResponse {
    /// Set if it is stored now. Otherwise the key was there already.
    pub is_stored: bool,
}

/// Looks for a cache.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct CacheLookupRequest {
    /// Keys, 1 to 100, the first that has something wins.
    pub keys: Vec<String>,
    /// Set if keys are whole ones. Otherwise they are prefixes of keys, and the newest cache
    /// wins.
    #[serde(default)]
    pub exact: bool,
}

/// Cache that was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct CacheLookupResponse {
    /// The cache. `None`: there is none.
    pub cache: Option<Cache>,
}

/// A cache.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Cache {
    /// Its id, under which its archive is fetched.
    pub id: String,
    /// Its whole key.
    pub key: String,
    /// Number of the job that saved it.
    pub job_number: u64,
    /// Time, in milliseconds since 1970.
    pub created_ms: u64,
    /// Size of the archive in bytes.
    pub size: u64,
    /// BLAKE3 of the archive, in hexadecimal.
    pub blake3: String,
    /// Saved paths, as the configuration writes them.
    #[serde(default)]
    pub paths: Vec<String>,
}

/// Adds a layer to the workspace, whose archive has arrived.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PersistRequest {
    /// The claim.
    pub allocation: AllocationId,
    /// The archive. Its upload identifies the layer: a replay changes nothing.
    pub archive: Uploaded,
}

/// The layers that a job may see: those of all jobs that it comes after, each job's after those of
/// the jobs before it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Workspace {
    /// In the order in which they are applied.
    pub layers: Vec<Layer>,
}

/// Files that one `persist_to_workspace` handed on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Layer {
    /// Its id, under which its archive is fetched.
    pub id: String,
    /// Name of the job.
    pub job: String,
    /// Index of the task in its job, from 0.
    #[serde(default)]
    pub node_index: u32,
    /// Size of the archive in bytes.
    pub size: u64,
    /// BLAKE3 of the archive, in hexadecimal.
    pub blake3: String,
    /// Indexes of the layers before this one whose files it may replace: those of the same task and
    /// of jobs that its own job comes after. All others were made at the same time.
    #[serde(default)]
    pub after: Vec<u32>,
}

/// Recent durations of tests in the job of the same name: seconds of a run, on average.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Timings {
    /// By file, where results name one.
    #[serde(default)]
    pub file: BTreeMap<String, f64>,
    /// By class.
    #[serde(default)]
    pub classname: BTreeMap<String, f64>,
    /// By name of the test.
    #[serde(default)]
    pub testname: BTreeMap<String, f64>,
    /// Tests that failed in the run that this one repeats, where only those are to run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed: Option<FailedTests>,
}

/// Names of tests that failed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct FailedTests {
    /// Their files, where results name them.
    #[serde(default)]
    pub files: BTreeSet<String>,
    /// Their classes.
    #[serde(default)]
    pub classnames: BTreeSet<String>,
    /// Their own names.
    #[serde(default)]
    pub testnames: BTreeSet<String>,
}

/// Variable of a job whose `tests run` is to run only [`Timings::failed`]: without them it fails.
pub const FAILED_TESTS_VARIABLE: &str = "CIRCLE_INTERNAL_RERUN_FAILED_TESTS";

/// Name of the file with [`Timings`] in the task's data directory.
pub const TIMINGS_FILE: &str = "timings.json";
