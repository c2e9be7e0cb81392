//! `pmset -g therm`: a Mac that is too hot to run at its speed.

use crate::command::{CommandError, Tools};

const PMSET: &str = "/usr/bin/pmset";

/// Thermal state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Thermal {
    /// It runs at its speed.
    Nominal,
    /// Its processors are slowed down to this percentage of their speed (Intel).
    Slowed(u32),
    /// A warning level was recorded (Apple silicon).
    Warned(u32),
}

/// Returns the state; `None` where the answer is another one.
///
/// # Errors
///
/// pmset does not answer.
pub fn thermal_state(tools: &Tools) -> Result<Option<Thermal>, CommandError> {
    Ok(parse_state(&tools.command(PMSET).args(["-g", "therm"]).run_ok()?.text()))
}

fn parse_state(text: &str) -> Option<Thermal> {
    let value = |name: &str| {
        let line = text.lines().map(str::trim).find_map(|line| line.strip_prefix(name))?;
        line.trim().trim_start_matches(['=', ':']).trim().parse::<u32>().ok()
    };
    let slowed = value("CPU_Speed_Limit");
    let warned = value("Thermal Warning Level").or_else(|| value("Thermal level"));
    match (slowed, warned) {
        (Some(percent), _) if percent < 100 => Some(Thermal::Slowed(percent)),
        (_, Some(level)) if level > 0 => Some(Thermal::Warned(level)),
        (Some(_), _) | (_, Some(_)) => Some(Thermal::Nominal),
        (None, None) if text.contains("No thermal warning level") => Some(Thermal::Nominal),
        (None, None) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::{Thermal, parse_state};

    /// Of Intel Macs and Apple silicon, as people posted them.
    #[test]
    fn both_kinds_of_processors_are_understood() {
        let nominal = "Note: No thermal warning level has been recorded\n\
                       Note: No performance warning level has been recorded\n";
        assert_eq!(parse_state(nominal), Some(Thermal::Nominal));
        let intel = |limit: u32| {
            format!(
                "{nominal}2026-08-20 05:08:37 -0700 CPU Power notify\n\tCPU_Scheduler_Limit \t= 100\n\
                 \tCPU_Available_CPUs \t= 12\n\tCPU_Speed_Limit \t= {limit}\n"
            )
        };
        assert_eq!(parse_state(&intel(100)), Some(Thermal::Nominal));
        assert_eq!(parse_state(&intel(62)), Some(Thermal::Slowed(62)));
        assert_eq!(parse_state("Thermal Warning Level = 2"), Some(Thermal::Warned(2)));
        assert_eq!(parse_state("nonsense"), None);
    }
}
