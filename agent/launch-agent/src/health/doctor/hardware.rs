//! Check that this is the machine that the agent was installed on.

use crate::health::{Check, Level};
use crate::install::{SealedMachine, Verdict};
use russet_platform::layout::Layout;

const NAME: &str = "hardware";

/// Compares, where an agent is installed.
pub(super) fn check_hardware(layout: &Layout) -> Option<Check> {
    let is_installed = layout.config().exists() && layout.boot().exists();
    is_installed.then(|| judge_machine(&SealedMachine::of(layout).verdict()))
}

fn judge_machine(verdict: &Verdict) -> Check {
    let ok = |text: &str| Check::new(NAME, Level::Ok, text.to_owned(), "");
    match verdict {
        Verdict::Here => ok("this is the machine that the agent was installed on"),
        Verdict::Image => ok("this is a copy of an image, which may claim on any machine"),
        Verdict::Unsealed => ok("the agent notes at its next start that this is its machine"),
        Verdict::Unknown => {
            let found = "the system does not say which hardware this is".to_owned();
            Check::new(NAME, Level::Unknown, found, "")
        }
        Verdict::Elsewhere { .. } | Verdict::Broken(_) => {
            let hint = "`sudo russet agent accept-machine`, once the machine that it was copied from \
                        claims no more or this one has a name and a token of its own";
            Check::new(NAME, Level::Bad, verdict.obstacle().unwrap_or_default(), hint)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::judge_machine;
    use crate::health::Level;
    use crate::install::Verdict;

    #[test]
    fn a_copied_disk_is_bad_and_says_what_to_do() {
        let elsewhere =
            Verdict::Elsewhere { sealed: "the-mini".to_owned(), here: "the-copy".to_owned() };
        let check = judge_machine(&elsewhere);
        assert_eq!(check.level, Level::Bad);
        assert!(check.found.contains("the-mini") && check.found.contains("the-copy"));
        assert!(check.hint.unwrap().contains("accept-machine"));
        assert_eq!(judge_machine(&Verdict::Broken("x".to_owned())).level, Level::Bad);
        assert_eq!(judge_machine(&Verdict::Unknown).level, Level::Unknown);
        for fine in [Verdict::Here, Verdict::Image, Verdict::Unsealed] {
            assert_eq!(judge_machine(&fine).level, Level::Ok);
        }
    }
}
