//! `mdutil`: the index that Spotlight makes of all that builds write.

use std::path::Path;

use crate::command::{CommandError, Tools};

const MDUTIL: &str = "/usr/bin/mdutil";

/// Returns true if the volume of `path` is indexed; `None` where the answer is another one.
///
/// # Errors
///
/// mdutil does not answer.
pub fn is_indexed(tools: &Tools, path: &Path) -> Result<Option<bool>, CommandError> {
    let output = tools.command(MDUTIL).arg("-s").arg(path).run()?;
    Ok(parse_status(&format!("{}\n{}", output.text(), output.error_text())))
}

fn parse_status(text: &str) -> Option<bool> {
    text.lines().find_map(|line| match line.trim().to_lowercase() {
        line if line.starts_with("indexing enabled") => Some(true),
        line if line.contains("indexing disabled")
            || line.contains("indexing and searching disabled") =>
        {
            Some(false)
        }
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::parse_status;

    #[test]
    fn each_answer_of_mdutil_is_understood() {
        assert_eq!(parse_status("/System/Volumes/Data:\n\tIndexing enabled. \n"), Some(true));
        assert_eq!(parse_status("/:\n\tIndexing disabled.\n"), Some(false));
        assert_eq!(parse_status("/:\n\tIndexing and searching disabled.\n"), Some(false));
        assert_eq!(parse_status("Error: unknown indexing state."), None);
    }
}
