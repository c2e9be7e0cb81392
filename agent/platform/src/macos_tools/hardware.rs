//! Facts about this machine, from the kernel and from Apple's property lists.
//!
//! Threat to the truth: to a process under Rosetta `uname -m` says `x86_64` on Apple silicon
//! (rust-lang/rustup#3438), so the processor is asked for by `hw.optional.arm64`, which does not
//! depend on who asks.

use std::path::Path;

use super::{preferences, xcode};
use crate::machine::Machine;

/// Values of the kernel (sysctl(3)); `None` where it knows no such name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Kernel {
    /// `hw.model`: `Mac14,3`.
    pub model: Option<String>,
    /// `machdep.cpu.brand_string`: `Apple M2`.
    pub chip: Option<String>,
    /// `hw.optional.arm64`: 1 on Apple silicon, unknown on Intel.
    pub arm64: Option<u64>,
    /// `sysctl.proc_translated`: 1 in a process under Rosetta, 0 in another on Apple silicon, unknown
    /// on Intel.
    pub translated: Option<u64>,
}

/// The machine whose files are below `root`.
#[must_use]
pub fn read_machine(kernel: Kernel, root: &Path) -> Machine {
    let is_arm = kernel.arm64 == Some(1);
    Machine {
        model: kernel.model,
        chip: kernel.chip,
        system: preferences::system_version(root).map(|version| format!("macOS {version}")),
        architecture: if is_arm { "arm64" } else { "x86_64" }.to_owned(),
        is_translated: kernel.translated == Some(1),
        xcodes: xcode::usable_xcodes(&[root.join("Applications")])
            .iter()
            .map(ToString::to_string)
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::{Kernel, read_machine};
    use std::path::Path;

    #[test]
    fn apple_silicon_is_known_also_under_rosetta_and_intel_by_what_it_does_not_know() {
        let kernel = Kernel {
            model: Some("Mac14,3".to_owned()),
            chip: Some("Apple M2".to_owned()),
            arm64: Some(1),
            translated: Some(1),
        };
        let rosetta = read_machine(kernel.clone(), Path::new("/none"));
        assert_eq!((rosetta.architecture.as_str(), rosetta.is_translated), ("arm64", true));
        let native = read_machine(Kernel { translated: Some(0), ..kernel }, Path::new("/none"));
        assert_eq!((native.architecture.as_str(), native.is_translated), ("arm64", false));
        let intel = read_machine(Kernel::default(), Path::new("/none"));
        assert_eq!((intel.architecture.as_str(), intel.is_translated), ("x86_64", false));
    }
}
