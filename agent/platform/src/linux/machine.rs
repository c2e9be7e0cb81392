//! Facts about this machine.

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
}
