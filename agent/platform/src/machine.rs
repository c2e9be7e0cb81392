//! Facts about this machine, for people who look at a farm of them.

/// Facts about this machine that do not change while it runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Machine {
    /// As its maker calls it: `Mac14,3`.
    pub model: Option<String>,
    /// Its processor: `Apple M2`.
    pub chip: Option<String>,
    /// The operating system and its version: `macOS 15.6.1 (24G90)`.
    pub system: Option<String>,
    /// Architecture of the processor, whatever this process was compiled for: `arm64`, `x86_64`.
    pub architecture: String,
    /// This process is compiled for another processor, and translated (Rosetta).
    pub is_translated: bool,
    /// The Xcodes in `/Applications` when the agent started, the newest release first.
    pub xcodes: Vec<String>,
}

impl std::fmt::Display for Machine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let known = [&self.model, &self.chip, &self.system].into_iter().flatten();
        for fact in known {
            write!(f, "{fact}, ")?;
        }
        write!(f, "{}", self.architecture)?;
        if !self.xcodes.is_empty() {
            write!(f, ", Xcode {}", self.xcodes.join(" and "))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::Machine;

    #[test]
    fn what_is_known_is_said_in_one_line() {
        let unknown = Machine { architecture: "x86_64".to_owned(), ..Machine::default() };
        assert_eq!(unknown.to_string(), "x86_64");
        let mac = Machine {
            model: Some("Mac14,3".to_owned()),
            chip: Some("Apple M2".to_owned()),
            system: Some("macOS 15.6.1 (24G90)".to_owned()),
            architecture: "arm64".to_owned(),
            is_translated: false,
            xcodes: vec!["16.2 (16C5032a)".to_owned(), "26.0".to_owned()],
        };
        assert_eq!(
            mac.to_string(),
            "Mac14,3, Apple M2, macOS 15.6.1 (24G90), arm64, Xcode 16.2 (16C5032a) and 26.0"
        );
    }

    #[test]
    fn this_machine_knows_its_processor_and_its_system() {
        let machine = crate::machine();
        assert!(["x86_64", "aarch64", "arm64"].contains(&machine.architecture.as_str()));
        assert!(!machine.is_translated && machine.system.is_some(), "{machine:?}");
    }
}
