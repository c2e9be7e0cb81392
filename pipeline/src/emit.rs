//! A configuration that is written out, as YAML.
//!
//! For people to read and to compare, so it is the same text each time, in blocks, with scripts
//! as they were written. It is of version 2, in which `<<` is plain text: nothing in it is
//! replaced when it is read again.

use russet_text::is_printable;

use crate::config::Written;
use crate::yaml::{Entry, Kind, Node, Value};

/// Writes a configuration.
pub(crate) fn emit(written: &Written) -> String {
    let mut out = String::from("version: 2\n");
    if written.is_setup {
        out.push_str("setup: true\n");
    }
    write_section(&mut out, "jobs", &written.jobs, "");
    if let Some(workflows) = &written.workflows {
        write_section(&mut out, "workflows", workflows, "  version: 2\n");
    }
    out
}

/// A key of the top level with its entries.
fn write_section(out: &mut String, key: &str, entries: &[Entry], first: &str) {
    out.push_str(key);
    if entries.is_empty() && first.is_empty() {
        out.push_str(": {}\n");
        return;
    }
    out.push_str(":\n");
    out.push_str(first);
    for entry in entries {
        write_entry(out, entry, 2);
    }
}

/// An entry of a mapping, on a line that starts here.
fn write_entry(out: &mut String, entry: &Entry, indent: usize) {
    write_indent(out, indent);
    entry_here(out, entry, indent);
}

/// An entry of a mapping whose key stands at a column, on a line that was begun.
fn entry_here(out: &mut String, entry: &Entry, indent: usize) {
    write_text(out, &entry.key);
    out.push(':');
    write_value(out, &entry.value, indent);
}

/// Writes the rest of the line after the `:` of a key that stands at a column.
fn write_value(out: &mut String, node: &Node, indent: usize) {
    match &node.value {
        Value::Scalar { .. } | Value::Unknown => {
            out.push(' ');
            write_scalar(out, node, indent + 2);
            out.push('\n');
        }
        Value::List(items) if items.is_empty() => out.push_str(" []\n"),
        Value::Mapping(mapping) if mapping.entries.is_empty() => out.push_str(" {}\n"),
        Value::List(items) => {
            out.push('\n');
            for item in items.iter() {
                write_item(out, item, indent + 2);
            }
        }
        Value::Mapping(mapping) => {
            out.push('\n');
            for entry in &mapping.entries {
                write_entry(out, entry, indent + 2);
            }
        }
    }
}

/// An item of a list.
fn write_item(out: &mut String, node: &Node, indent: usize) {
    write_indent(out, indent);
    out.push('-');
    match &node.value {
        Value::Mapping(mapping) if !mapping.entries.is_empty() => {
            for (at, entry) in mapping.entries.iter().enumerate() {
                if at == 0 {
                    out.push(' ');
                } else {
                    write_indent(out, indent + 2);
                }
                entry_here(out, entry, indent + 2);
            }
        }
        _ => write_value(out, node, indent),
    }
}

fn write_indent(out: &mut String, indent: usize) {
    out.extend(std::iter::repeat_n(' ', indent));
}

/// A text, number, boolean or nothing. Lines of a block stand at a column.
fn write_scalar(out: &mut String, node: &Node, indent: usize) {
    let Value::Scalar { text, .. } = &node.value else {
        out.push_str("null");
        return;
    };
    match node.kind() {
        Kind::Nothing => out.push_str("null"),
        Kind::Boolean(_) | Kind::Number => out.push_str(text),
        _ if is_block(text) => write_block(out, text, indent),
        _ => write_text(out, text),
    }
}

/// A text in one line: plain where it says the same then, otherwise in quotes.
fn write_text(out: &mut String, text: &str) {
    if is_plain(text) {
        out.push_str(text);
        return;
    }
    out.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\r' => out.push_str("\\r"),
            c if is_printable(c) => out.push(c),
            c if u32::from(c) <= 0xff => out.push_str(&format!("\\x{:02x}", u32::from(c))),
            c if u32::from(c) <= 0xffff => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => out.push_str(&format!("\\U{:08x}", u32::from(c))),
        }
    }
    out.push('"');
}

/// A text of several lines.
fn write_block(out: &mut String, text: &str, indent: usize) {
    out.push('|');
    // Where the first line is indented itself, the reader has to be told how far the block is.
    if text.starts_with([' ', '\n']) {
        out.push('2');
    }
    let body = text.trim_end_matches('\n');
    match text.len() - body.len() {
        0 => out.push('-'),
        1 => {}
        _ => out.push('+'),
    }
    let mut lines = text.split('\n').peekable();
    while let Some(line) = lines.next() {
        // What follows on the last line break is no line.
        if lines.peek().is_none() && line.is_empty() {
            break;
        }
        out.push('\n');
        if !line.is_empty() {
            write_indent(out, indent);
            out.push_str(line);
        }
    }
}

/// Returns true if a text is best written as a block, and can be.
fn is_block(text: &str) -> bool {
    let body = text.trim_end_matches('\n');
    text.contains('\n')
        && !body.is_empty()
        && !body.starts_with('\t')
        && text.chars().all(|c| c == '\n' || c == '\t' || is_printable(c))
        // Lines of nothing but white space would lose it.
        && text.split('\n').all(|line| line.is_empty() || !line.trim().is_empty())
}

/// Returns true if a text means itself without quotes.
fn is_plain(text: &str) -> bool {
    const SAFE: &str = "_./-@+,=()$%^~*'<>;!|& ";
    // Of these, a text must not start with any but the first three.
    const SAFE_FIRST: &str = "_./";
    text.starts_with(|c: char| c.is_ascii_alphanumeric() || SAFE_FIRST.contains(c))
        && text.chars().all(|c| c.is_ascii_alphanumeric() || SAFE.contains(c) || c == ':')
        && !text.contains(": ")
        && !text.ends_with([':', ' '])
        && text != "..."
        && Node::made_plain(text, crate::source::Span::default()).kind() == Kind::Text
        && !could_be_number(text)
}

/// Returns true if another reader of YAML might take a text for a number or a date.
fn could_be_number(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_digit() || c == '.')
        && text.chars().all(|c| c.is_ascii_hexdigit() || "._-:xoTZe+ ".contains(c))
}
