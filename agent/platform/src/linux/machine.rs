//! Facts about this machine.

use std::path::Path;

use crate::machine::Machine;

/// Looks.
#[must_use]
pub fn machine() -> Machine {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    // A PC says its model in its firmware's tables, a board in its device tree.
    let model = ["/sys/class/dmi/id/product_name", "/proc/device-tree/model"].map(read);
    let model = model.iter().map(|text| text.trim_matches(['\0', '\n', ' ']));
    Machine {
        model: model.filter(|text| !text.is_empty()).map(str::to_owned).next(),
        chip: value_of(&read("/proc/cpuinfo"), "model name", ':'),
        system: value_of(&read("/etc/os-release"), "PRETTY_NAME", '='),
        architecture: kernel_architecture(&read("/proc/sys/kernel/arch")),
        is_translated: false,
        xcodes: Vec::new(),
    }
}

/// Returns the id of this hardware: that of its firmware, which root alone may read, else the one
/// that the system made for itself, which a copy of its disk takes along. The files are below
/// `root`. `None`: there is neither.
#[must_use]
pub fn hardware_id(root: &Path) -> Option<String> {
    let files = ["sys/class/dmi/id/product_uuid", "etc/machine-id"];
    let mut ids = files.iter().filter_map(|file| std::fs::read_to_string(root.join(file)).ok());
    ids.find_map(|id| crate::hardware::parse_id(&id))
}

/// Returns the kernel's architecture, known since 6.1, or the one that we were compiled for.
fn kernel_architecture(said: &str) -> String {
    let said = said.trim();
    if said.is_empty() { std::env::consts::ARCH.to_owned() } else { said.to_owned() }
}

/// The first value with this name, without quotes.
fn value_of(text: &str, name: &str, separator: char) -> Option<String> {
    let mut pairs = text.lines().filter_map(|line| line.split_once(separator));
    let (_, value) = pairs.find(|(key, _)| key.trim() == name)?;
    let value = value.trim().trim_matches('"');
    (!value.is_empty()).then(|| value.to_owned())
}

#[cfg(test)]
mod tests {
    use super::value_of;

    #[test]
    fn values_are_found_by_name() {
        let cpu = "processor\t: 0\nmodel name\t: AMD EPYC\nmodel name\t: other\n";
        assert_eq!(value_of(cpu, "model name", ':').as_deref(), Some("AMD EPYC"));
        let system = "NAME=\"Debian\"\nPRETTY_NAME=\"Debian GNU/Linux 13\"\nEMPTY=\n";
        assert_eq!(value_of(system, "PRETTY_NAME", '=').as_deref(), Some("Debian GNU/Linux 13"));
        assert_eq!(value_of(system, "EMPTY", '='), None);
        assert_eq!(value_of(system, "VERSION", '='), None);
    }
    #[test]
    fn hardware_has_the_id_of_its_firmware_or_else_of_its_system() {
        let root = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = root.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        assert_eq!(super::hardware_id(root.path()), None);
        write("etc/machine-id", "0123456789abcdef0123456789abcdef\n");
        let of_system = "0123456789abcdef0123456789abcdef";
        assert_eq!(super::hardware_id(root.path()).as_deref(), Some(of_system));
        // As makers of boards leave it who set none.
        write("sys/class/dmi/id/product_uuid", "00000000-0000-0000-0000-000000000000\n");
        assert_eq!(super::hardware_id(root.path()).as_deref(), Some(of_system));
        write("sys/class/dmi/id/product_uuid", "4C4C4544-0042-3010-8054-B7C04F4E5A31\n");
        let of_firmware = "4c4c4544-0042-3010-8054-b7c04f4e5a31";
        assert_eq!(super::hardware_id(root.path()).as_deref(), Some(of_firmware));
    }
}
