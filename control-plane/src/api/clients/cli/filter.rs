//! Expressions that a search of runs is bounded by, such as
//! `pipeline.git.branch == "main" and pipeline.status == "failed"`. Pure.

/// Bounds of a search.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct RunFilter {
    pub(super) branch: Option<String>,
    pub(super) status: Option<String>,
}

/// Reads an expression.
///
/// # Errors
///
/// An unknown part: without it the search would find other runs than are asked for.
pub(super) fn parse_filter(text: &str) -> Result<RunFilter, String> {
    let mut filter = RunFilter::default();
    let mut rest = text.trim();
    while !rest.is_empty() {
        let unknown = || {
            format!(
                "filter: `{}` is not understood; `pipeline.git.branch == \"…\"` and \
                 `pipeline.status == \"…\"` are, joined by `and`",
                rest.escape_debug()
            )
        };
        let (name, after) = rest.split_once("==").ok_or_else(unknown)?;
        // Quoted as Go quotes, which is as JSON does for names of branches.
        let mut values =
            serde_json::Deserializer::from_str(after.trim_start()).into_iter::<String>();
        let value = values.next().and_then(Result::ok).ok_or_else(unknown)?;
        let behind = after.trim_start().get(values.byte_offset()..).unwrap_or_default();
        match name.trim() {
            "pipeline.git.branch" => filter.branch = Some(value),
            "pipeline.status" => filter.status = Some(value),
            _ => return Err(unknown()),
        }
        rest = behind.trim_start();
        if !rest.is_empty() {
            rest = rest.strip_prefix("and ").ok_or_else(unknown)?.trim_start();
        }
    }
    Ok(filter)
}

#[cfg(test)]
mod tests {
    use super::{RunFilter, parse_filter};

    #[test]
    fn what_the_command_line_writes_is_read_and_anything_else_is_refused() {
        let both = r#"pipeline.git.branch == "a \"b\"" and pipeline.status == "failed""#;
        let wanted = RunFilter { branch: Some("a \"b\"".into()), status: Some("failed".into()) };
        assert_eq!(parse_filter(both), Ok(wanted));
        assert_eq!(parse_filter(" "), Ok(RunFilter::default()));
        for wrong in [
            "pipeline.git.branch",
            "pipeline.git.branch == main",
            r#"pipeline.git.tag == "x""#,
            r#"pipeline.status == "a" or pipeline.status == "b""#,
            r#"pipeline.status == "a" and"#,
        ] {
            assert!(parse_filter(wrong).is_err(), "{wrong}");
        }
    }
}
