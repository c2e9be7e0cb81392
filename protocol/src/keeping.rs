//! People and their tools to control plane: what is kept for how long, and what holds the disk.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Retention of what pipelines leave. A field that is not given is taken from the settings of all
/// projects, and then from the options of the server; 0 is no limit. Pipelines that are pinned or
/// have not ended stay in any case.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Retention {
    /// Age at which a pipeline is deleted with all that it has, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pipeline_age_ms: Option<u64>,
    /// Number of pipelines of a project; the oldest beyond it are deleted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pipelines: Option<u64>,
    /// Bytes of output and artifacts of a project; the oldest pipelines beyond it are deleted. The
    /// newest stays in any case.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
    /// Age of a pipeline at which the output of its steps is removed, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output_age_ms: Option<u64>,
    /// Age of a pipeline at which its artifacts are removed, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_age_ms: Option<u64>,
    /// Age of a pipeline at which its test results are removed, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub test_age_ms: Option<u64>,
}

impl Retention {
    /// Returns these settings, with those of `general` where there are none.
    #[must_use]
    pub fn or(self, general: Self) -> Self {
        Self {
            pipeline_age_ms: self.pipeline_age_ms.or(general.pipeline_age_ms),
            pipelines: self.pipelines.or(general.pipelines),
            bytes: self.bytes.or(general.bytes),
            output_age_ms: self.output_age_ms.or(general.output_age_ms),
            artifact_age_ms: self.artifact_age_ms.or(general.artifact_age_ms),
            test_age_ms: self.test_age_ms.or(general.test_age_ms),
        }
    }
}

/// `GET /api/v3/retention`: all settings.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RetentionSettings {
    /// Options of the server.
    pub server: Retention,
    /// Settings of all projects.
    pub all: Retention,
    /// Settings of single projects.
    pub projects: BTreeMap<String, Retention>,
}

/// Disk that a project holds, in bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ProjectUsage {
    /// Its name.
    pub project: String,
    /// Number of its pipelines.
    pub pipelines: u64,
    /// Output as jobs wrote it.
    pub output_whole: u64,
    /// Output as it is stored in objects.
    pub output_packed: u64,
    /// Output as it is stored in the database, which is part of that.
    pub output_in_database: u64,
    /// Artifacts, stored as they are.
    pub artifacts: u64,
    /// Caches, packed.
    pub caches: u64,
    /// Workspaces, packed.
    pub workspaces: u64,
    /// Source snapshots of its pipelines, packed, each part counted once for each project.
    pub sources: u64,
}

/// `GET /api/v3/usage`: all that holds the disk, in bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Usage {
    /// The projects, by name.
    pub projects: Vec<ProjectUsage>,
    /// All source snapshots, each part counted once.
    pub sources: u64,
    /// Objects that rows name: output, artifacts, caches, workspaces and sources.
    pub objects: u64,
    /// Number of objects that are about to be deleted.
    pub unnamed_objects: u64,
    /// The database, with its free pages and its log.
    pub database: u64,
    /// Free pages of it, which new rows take.
    pub database_free: u64,
    /// Free bytes of the disk of the data directory, where the system says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disk_free: Option<u64>,
}

/// A part of a snapshot: a zstd frame.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Chunk {
    /// BLAKE3 of its bytes, in hexadecimal.
    pub id: String,
    /// Its bytes.
    pub size: u64,
}

/// `POST /api/v3/sources/{id}/chunks`: the parts that make a snapshot, in their order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SourceChunks {
    /// Parts, one behind the other.
    pub chunks: Vec<Chunk>,
}

/// Answer to it: the parts that have to be sent with `PUT /api/v3/chunks` before it is asked again.
/// None: the snapshot is stored.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct MissingChunks {
    /// Ids of parts that are not here.
    pub missing: Vec<String>,
}

#[cfg(test)]
mod tests {
    use super::Retention;

    #[test]
    fn a_project_s_settings_go_before_those_of_all() {
        let project = Retention { pipelines: Some(0), ..Retention::default() };
        let all = Retention { pipelines: Some(5), bytes: Some(7), ..Retention::default() };
        let both = project.or(all);
        assert_eq!((both.pipelines, both.bytes, both.test_age_ms), (Some(0), Some(7), None));
    }
}
