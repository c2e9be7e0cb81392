//! The source directory of an orb to the one document that configurations use: `@orb.yml`, the
//! files of `commands`, `jobs`, `executors` and `examples`, and `<<include(file)>>`.

use std::path::{Component, Path, PathBuf};

use crate::error::{CliError, Result};
use crate::exit::Exit;
use crate::project::read_config;

/// The file that makes a directory the source of an orb.
const ROOT: &str = "@orb.yml";

/// Folders whose files are entries of the document, by their names.
const FOLDERS: [&str; 4] = ["commands", "executors", "examples", "jobs"];

/// The directory with the source of an orb, if a path is one or has it in `src`.
pub(crate) fn source_root(path: &Path) -> Option<PathBuf> {
    [path.to_owned(), path.join("src")].into_iter().find(|folder| folder.join(ROOT).is_file())
}

/// Packs the source of an orb.
pub(crate) fn pack_source(root: &Path) -> Result<String> {
    let mut out = resolve_includes(&strip_comments(&read_config(&root.join(ROOT))?), root)?;
    for folder in FOLDERS {
        let files = source_files(&root.join(folder));
        if files.is_empty() {
            continue;
        }
        out.push_str(&format!("{folder}:\n"));
        for (name, file) in files {
            let text = resolve_includes(&strip_comments(&read_config(&file)?), root)?;
            out.push_str(&format!("  {name}:\n{}", indent_lines(&text, 4)));
        }
    }
    Ok(out)
}

/// The YAML files of a folder by name.
fn source_files(folder: &Path) -> Vec<(String, PathBuf)> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let named = entries.filter_map(|entry| {
        let file = entry.path();
        let is_yaml = file.extension().is_some_and(|end| end == "yml" || end == "yaml");
        Some((file.file_stem()?.to_str()?.to_owned(), file)).filter(|_| is_yaml)
    });
    let mut files: Vec<_> = named.collect();
    files.sort();
    files
}

/// A document without the lines that only say that it is one.
fn strip_comments(text: &str) -> String {
    let is_content =
        |line: &&str| !matches!(line.trim_end(), "---" | "...") && !line.starts_with('%');
    let mut out: String = text
        .trim_start_matches('\u{feff}')
        .lines()
        .filter(is_content)
        .map(|line| format!("{line}\n"))
        .collect();
    if !out.ends_with('\n') {
        out.push('\n');
    }
    out
}

fn indent_lines(text: &str, by: usize) -> String {
    let line = |line: &str| {
        if line.is_empty() { "\n".to_owned() } else { format!("{:by$}{line}\n", "") }
    };
    text.lines().map(line).collect()
}

/// A text with the files that it includes.
fn resolve_includes(text: &str, root: &Path) -> Result<String> {
    let mut out = String::new();
    for line in text.lines() {
        match parse_include(line) {
            None => out.push_str(line),
            Some((before, name)) => {
                let is_inside =
                    Path::new(name).components().all(|part| matches!(part, Component::Normal(_)));
                if !is_inside {
                    let message = format!("`{name}` is outside of the orb, and cannot be included");
                    return Err(CliError::new(Exit::BadConfig, message));
                }
                // What is included is plain text: `<<` in a script is a here-document.
                let file = read_config(&root.join(name))?.replace("<<", "\\<<");
                let column = line.find(|c| c != ' ' && c != '-').unwrap_or(0);
                out.push_str(before);
                out.push_str(&block_scalar(&file, column + 2));
            }
        }
        out.push('\n');
    }
    Ok(out)
}

/// A line whose value is `<<include(file)>>`: what stands before that, and the file.
fn parse_include(line: &str) -> Option<(&str, &str)> {
    let start = line.find("<<")?;
    let value = line.get(start..)?.trim_end().trim_end_matches(['"', '\'']);
    let name = value.strip_prefix("<<")?.trim_start().strip_prefix("include(")?;
    let name = name.strip_suffix(">>")?.trim_end().strip_suffix(')')?.trim();
    let before = line.get(..start)?.trim_end_matches(['"', '\'']);
    let is_value = before.trim_end().ends_with(':') || before.trim() == "-";
    is_value.then_some((before, name))
}

/// A text as a YAML scalar whose lines stand at a column: as it is where that is possible.
fn block_scalar(text: &str, column: usize) -> String {
    let is_plain = |c: char| c == '\n' || c == '\t' || !c.is_control();
    let ends_once = text.ends_with('\n') && !text.ends_with("\n\n");
    let starts = text.chars().next().is_some_and(|c| !c.is_whitespace());
    if !starts || !text.chars().all(is_plain) || text.ends_with("\n\n") {
        // JSON's strings are YAML's.
        return serde_json::Value::from(text).to_string();
    }
    let chomping = if ends_once { "" } else { "-" };
    format!("|{chomping}\n{}", indent_lines(text, column).trim_end_matches('\n'))
}

#[cfg(test)]
mod tests {
    use russet_pipeline::{Orbs, check_orb};

    use super::{block_scalar, pack_source, parse_include, source_root};

    #[test]
    fn the_source_of_an_orb_becomes_one_document() {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let file = dir.path().join(name);
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(file, text).unwrap();
        };
        write("src/@orb.yml", "---\nversion: 2.1\ndescription: >\n  Tools\n");
        write(
            "src/commands/greet.yml",
            "parameters:\n  to: {type: string}\nsteps:\n  - run:\n      environment: {TO: << parameters.to >>}\n      name: Greet\n      command: <<include(scripts/greet.sh)>>\n",
        );
        write("src/executors/default.yml", "machine: true\nresource_class: acme/mini");
        write("src/jobs/greet.yaml", "executor: default\nsteps:\n  - greet: {to: you}\n");
        write("src/scripts/greet.sh", "#!/bin/sh\n\ncat <<EOF\n  hello $TO\nEOF\n");
        let packed = pack_source(&source_root(dir.path()).unwrap()).unwrap();
        check_orb("acme/tools", "1.0.0", &packed, &Orbs(None)).unwrap();
        let wanted = "      command: |\n            #!/bin/sh\n\n            cat \\<<EOF\n";
        assert!(packed.contains(wanted), "{packed}");
        assert!(packed.contains("executors:\n  default:\n    machine: true\n"), "{packed}");

        write("src/commands/bad.yml", "steps:\n  - run: <<include(../../secret)>>\n");
        let error = pack_source(&dir.path().join("src")).unwrap_err();
        assert!(format!("{error:?}").contains("outside of the orb"), "{error:?}");
    }

    #[test]
    fn an_include_is_a_whole_value() {
        assert_eq!(parse_include("  command: <<include(a.sh)>>"), Some(("  command: ", "a.sh")));
        assert_eq!(parse_include("- \"<< include(a b) >>\""), Some(("- ", "a b")));
        for no in [
            "a: << parameters.x >>",
            "a: x <<include(a)>>",
            "# <<include(a)>>",
            "a: <<include(a)>> b",
        ] {
            assert_eq!(parse_include(no), None, "{no}");
        }
    }

    #[test]
    fn a_text_that_no_block_can_hold_is_quoted() {
        assert_eq!(block_scalar("a\nb", 4), "|-\n    a\n    b");
        assert_eq!(block_scalar(" a\n", 2), "\" a\\n\"");
        assert_eq!(block_scalar("a\n\n", 2), "\"a\\n\\n\"");
        assert_eq!(block_scalar("", 2), "\"\"");
    }
}
