//! Jobs that filters leave out, and what follows from that for those that require them.

use std::collections::{HashMap, HashSet};

/// Returns the names of the jobs that do not run: those that are left out themselves, and those
/// of which every requirement is left out. One that is left out beside others is ignored, as
/// CircleCI does it.
///
/// `requires` has the jobs with the names that each requires; names that are no jobs count as ones
/// that run.
pub(crate) fn left_out<'n>(
    requires: &[(&'n str, Vec<&'n str>)],
    own: impl IntoIterator<Item = &'n str>,
) -> HashSet<&'n str> {
    let mut dependents: HashMap<&str, Vec<usize>> = HashMap::new();
    let mut remaining: Vec<usize> = Vec::with_capacity(requires.len());
    for (at, (_, names)) in requires.iter().enumerate() {
        let distinct: HashSet<&str> = names.iter().copied().collect();
        remaining.push(distinct.len());
        for name in distinct {
            dependents.entry(name).or_default().push(at);
        }
    }
    let mut out: HashSet<&'n str> = own.into_iter().collect();
    let mut next: Vec<&'n str> = out.iter().copied().collect();
    while let Some(name) = next.pop() {
        for at in dependents.get(name).into_iter().flatten() {
            let (Some(count), Some((job, _))) = (remaining.get_mut(*at), requires.get(*at)) else {
                continue;
            };
            *count = count.saturating_sub(1);
            if *count == 0 && out.insert(job) {
                next.push(job);
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::left_out;

    #[test]
    fn a_job_is_left_out_only_with_all_that_it_requires() {
        let jobs = [
            ("build", vec![]),
            ("release", vec![]),
            ("both", vec!["build", "release", "release"]),
            ("after-release", vec!["release"]),
            ("last", vec!["after-release", "after-release"]),
            ("circle", vec!["circle", "release"]),
        ];
        let mut out: Vec<&str> = left_out(&jobs, ["release"]).into_iter().collect();
        out.sort_unstable();
        assert_eq!(out, ["after-release", "last", "release"]);
        assert!(left_out(&jobs, []).is_empty());
    }
}
