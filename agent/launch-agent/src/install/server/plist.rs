//! The job of a control plane for launchd: the committed file with this installation's paths. Pure.

use plist::{Dictionary, Value};

use super::unit::Unit;
use crate::install::error::InstallError;
use russet_platform::server_layout::ServerLayout;

/// launchd's file, as it is.
const JOB_FILE: &str = include_str!("../../../../../launchd/dev.russet.server.plist");

/// Returns the text of the job's file.
pub(super) fn launchd_file(
    unit: &Unit,
    layout: &ServerLayout,
    user: &str,
) -> Result<String, InstallError> {
    let failed = |error: plist::Error| {
        InstallError::file("write", &layout.job())(std::io::Error::other(error))
    };
    let mut job: Dictionary = plist::from_bytes(JOB_FILE.as_bytes()).map_err(failed)?;
    let program = layout.executable().display().to_string();
    let has_log = unit.options.iter().any(|option| option.starts_with("--log-file"));
    let log = ["--log-file".to_owned(), layout.log().display().to_string()];
    let mut words = vec![program, "server".to_owned()];
    words.extend(log.into_iter().filter(|_| !has_log));
    words.extend(unit.options.iter().cloned());
    let words = words.into_iter().map(Value::String).collect();
    job.insert("ProgramArguments".to_owned(), Value::Array(words));
    for key in ["UserName", "GroupName"] {
        job.insert(key.to_owned(), Value::String(user.to_owned()));
    }
    let errors = layout.error_log().display().to_string();
    job.insert("StandardErrorPath".to_owned(), Value::String(errors));
    let mut text = Vec::new();
    Value::Dictionary(job).to_writer_xml(&mut text).map_err(failed)?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_job_has_the_options_and_the_user_of_the_installation() {
        let unit = Unit {
            options: vec!["--data-dir".to_owned(), "/srv/<ci> & more".to_owned()],
            data_dir: "/srv/<ci> & more".into(),
            writable: Vec::new(),
            port: 8080,
        };
        let text = launchd_file(&unit, &ServerLayout::default(), "_other").unwrap();
        let job: Dictionary = plist::from_bytes(text.as_bytes()).unwrap();
        let words = job["ProgramArguments"].as_array().unwrap();
        let words: Vec<&str> = words.iter().filter_map(Value::as_string).collect();
        assert_eq!(words[..3], ["/opt/russet-server/russet", "server", "--log-file"]);
        assert_eq!(words[4..], ["--data-dir", "/srv/<ci> & more"]);
        assert_eq!(job["UserName"].as_string(), Some("_other"));
        let committed: Dictionary = plist::from_bytes(JOB_FILE.as_bytes()).unwrap();
        assert_eq!(committed.keys().collect::<Vec<_>>(), job.keys().collect::<Vec<_>>());
    }
}
