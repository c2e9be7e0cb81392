//! Facts about this machine.

use std::path::Path;

use super::sysctl;
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
