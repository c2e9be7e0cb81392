//! Fixtures that the unit tests of this folder share.

use russet_protocol::secret::Secret;
use russet_protocol::supervise::Assignment;
use russet_protocol::task::{EnvVar, TaskConfig};

/// A plain task in `/slot`.
pub(crate) fn assignment_and_config() -> (Assignment, TaskConfig) {
    let assignment = r#"{"version":1,"mode":"run","token":"t","allocation":"a",
        "api_url":"http://127.0.0.1:1","runner":"r","max_run_time_ms":1000,
        "dirs":{"root":"/slot","home":"/slot/home","work":"/slot/work","tmp":"/slot/tmp",
        "spool":"/slot/spool"}}"#;
    let config = r#"{"version":1,"task_id":"task-1","allocation":"a","heartbeat_ms":1000,
        "job":{"job_id":"j","name":"build","number":7,"workflow_id":"w","workflow":"main",
        "pipeline_id":"p","pipeline_number":1,"project":"acme/app","node_index":0,
        "node_total":1},"steps":[]}"#;
    (serde_json::from_str(assignment).unwrap(), serde_json::from_str(config).unwrap())
}

/// A variable of a job.
pub(crate) fn variable(name: &str, value: &str) -> EnvVar {
    EnvVar { name: name.to_owned(), value: Secret::new(value), masked: false }
}
