//! The Xcode of a task: the one that its job names under `macos`, else that of its class.

use russet_protocol::outcome::Outcome;
use russet_protocol::supervise::{Assignment, Failure};
use russet_protocol::task::TaskConfig;

use super::environment::Variables;
use russet_platform::macos_tools::xcode::{XcodeError, find_xcode, search_directories};

/// Variable that makes every tool use an Xcode.
const VARIABLE: &str = "DEVELOPER_DIR";

/// Sets `DEVELOPER_DIR`, unless the job does, and returns what there is to say of it.
///
/// A control plane that knows the Xcodes of its machines has chosen this one by them, so one that is
/// missing all the same is a failure of the machine. Otherwise a job's wish is just that.
pub(super) fn choose_xcode(
    assignment: &Assignment,
    config: &TaskConfig,
    variables: &mut Variables,
) -> Result<Option<String>, Failure> {
    let directories = search_directories(assignment.xcode_directories.as_deref().unwrap_or(&[]));
    let mut line = None;
    let mut chosen = None;
    let wish = config.xcode.as_deref().filter(|_| assignment.xcode_directories.is_some());
    if let Some(wanted) = wish {
        match find_xcode(&directories, wanted) {
            Ok(found) => {
                line = Some(format!("Xcode {} in {}", found.xcode, found.app.display()));
                chosen = Some(found.developer_dir());
            }
            Err(error) if assignment.matches_xcode => return Err(missing(&error)),
            Err(error) => {
                let other =
                    assignment.xcode.as_deref().map_or("the selected one", |_| "its class's");
                line = Some(format!("{}: {other} is used", error.reason()));
            }
        }
    }
    if let (None, Some(wanted)) = (&chosen, &assignment.xcode) {
        let found = find_xcode(&directories, wanted).map_err(|error| missing(&error))?;
        chosen = Some(found.developer_dir());
    }
    if let Some(dir) = &chosen {
        variables.entry(VARIABLE.to_owned()).or_insert_with(|| dir.to_string_lossy().into_owned());
    }
    Ok(line)
}

fn missing(error: &XcodeError) -> Failure {
    Failure { outcome: Outcome::InfrastructureFail, message: error.to_string() }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::choose_xcode;
    use crate::task::environment::Variables;
    use crate::task::testing;
    use russet_platform::macos_tools::xcode::testing::{FakeXcode, make_xcode};

    /// Text or failure, and the variable's end.
    fn chosen(
        applications: &Path,
        class: Option<&str>,
        job: Option<&str>,
        is_matched: bool,
    ) -> (Result<Option<String>, String>, Option<String>) {
        let (mut assignment, mut config) = testing::assignment_and_config();
        assignment.xcode_directories = Some(vec![applications.to_owned()]);
        assignment.xcode = class.map(str::to_owned);
        assignment.matches_xcode = is_matched;
        config.xcode = job.map(str::to_owned);
        let mut variables = Variables::new();
        let line = choose_xcode(&assignment, &config, &mut variables);
        let dir = variables.remove("DEVELOPER_DIR").map(|dir| {
            let app = Path::new(&dir).ancestors().nth(2).unwrap();
            app.file_name().unwrap().to_string_lossy().into_owned()
        });
        (line.map_err(|failure| failure.message), dir)
    }

    #[test]
    fn the_job_chooses_and_its_class_where_it_does_not() {
        let dir = tempfile::tempdir().unwrap();
        make_xcode(dir.path(), "Xcode-16.2.0.app", &FakeXcode::default());
        let new = FakeXcode { version: "26.0.1", build: "17A400", ..FakeXcode::default() };
        make_xcode(dir.path(), "Xcode.app", &new);
        let of = |class, job| chosen(dir.path(), class, job, true);
        let (line, app) = of(Some("16.2"), Some("26"));
        assert!(line.unwrap().unwrap().starts_with("Xcode 26.0.1 (17A400) in "));
        assert_eq!(app.as_deref(), Some("Xcode.app"));
        assert_eq!(of(Some("16.2"), None), (Ok(None), Some("Xcode-16.2.0.app".to_owned())));
        assert_eq!(of(None, None), (Ok(None), None));
        assert!(of(Some("15"), None).0.unwrap_err().contains("Xcode 15 is not installed"));
        assert!(of(Some("16.2"), Some("15")).0.unwrap_err().contains("Xcode 15 is not installed"));
        let (line, app) = chosen(dir.path(), Some("16.2"), Some("15"), false);
        assert_eq!(line, Ok(Some("Xcode 15 is not installed: its class's is used".to_owned())));
        assert_eq!(app.as_deref(), Some("Xcode-16.2.0.app"));
    }
}
