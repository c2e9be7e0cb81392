//! Processes of the launch agent's: task agents and helpers, the executable that they are, and how
//! they end.

mod exit;
mod prefix;
mod spawn;
mod stage;

pub(super) use exit::{Traces, judge_exit, judge_result, shown_outcome};
pub(super) use prefix::probe_prefix;
pub(super) use spawn::{
    Spawned, describe_status, empty_log, hand_over, run_helper, spawn_task_agent, tail_of_log,
};
pub(super) use stage::{Staged, own_path, stage_executable};
