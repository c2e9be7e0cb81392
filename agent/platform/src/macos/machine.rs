//! Facts about this machine.

use std::path::Path;

use super::sysctl;
use crate::hardware::format_uuid;
use crate::machine::Machine;
use crate::macos_tools::hardware::{self, Kernel};

/// Looks.
#[must_use]
pub fn machine() -> Machine {
    let kernel = Kernel {
        model: sysctl::read_string(c"hw.model"),
        chip: sysctl::read_string(c"machdep.cpu.brand_string"),
        arm64: sysctl::read_number(c"hw.optional.arm64"),
        translated: sysctl::read_number(c"sysctl.proc_translated"),
    };
    hardware::read_machine(kernel, Path::new("/"))
}

/// Returns the id of this hardware (`IOPlatformUUID`), which no other Mac has and which a copy of
/// its disk does not take along; gethostuuid(2). `None`: the system does not say.
#[must_use]
pub fn hardware_id(_root: &Path) -> Option<String> {
    let mut id = [0_u8; 16];
    // The kernel waits for its drivers that long where they are not there yet.
    let patience = libc::timespec { tv_sec: 10, tv_nsec: 0 };
    // SAFETY: The buffer has the 16 bytes of a uuid_t, and the time lives through the call
    // (gethostuuid.h).
    let result = unsafe { libc::gethostuuid(id.as_mut_ptr(), &raw const patience) };
    (result == 0).then(|| format_uuid(id))
}
