//! What this machine tells the control plane of itself with claims and reports.

use std::path::PathBuf;
use std::sync::Arc;

use russet_protocol::machine::MachineReport;

use crate::board::Board;
use crate::health::clock::Skew;
use crate::health::facts::find_disk;

/// Step to which free space is rounded in reports, in bytes: a number that always differs would be
/// written to the control plane's database with every claim.
const DISK_STEP: u64 = 1_000_000_000;

/// Offset of the clock up to which nothing is told of it, in seconds: a call takes its time.
const CLOCK_STEP_S: u64 = 2;

/// Facts about this machine that do not change while the agent runs, and where the others are.
#[derive(Debug)]
pub(in crate::launch) struct MachineFacts {
    pub(in crate::launch) os: Option<String>,
    pub(in crate::launch) chip: Option<String>,
    pub(in crate::launch) boot_id: String,
    /// Directory on whose disk tasks work.
    pub(in crate::launch) data: PathBuf,
    pub(in crate::launch) skew: Arc<Skew>,
}

impl MachineFacts {
    /// Returns the report about this machine, as a class of it is concerned.
    pub(in crate::launch) fn report(
        &self,
        board: &Board,
        class: usize,
        label: &str,
    ) -> MachineReport {
        MachineReport {
            os: self.os.clone(),
            chip: self.chip.clone(),
            boot_id: Some(self.boot_id.clone()),
            disk_free: find_disk(&self.data).map(|disk| disk.free / DISK_STEP * DISK_STEP),
            clock_behind_s: self.skew.seconds().filter(|s| s.unsigned_abs() > CLOCK_STEP_S),
            ..board.machine_report(class, label)
        }
    }
}
