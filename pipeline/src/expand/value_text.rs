//! Values as texts have them.

use super::expression;
use crate::source::Span;
use crate::yaml::{Kind, Node, Value};

/// Returns a boolean as it is written in texts.
pub(super) fn truth_text(value: bool) -> &'static str {
    if value { "true" } else { "false" }
}

/// Returns the node of an expression's value. Without a value, a comparison is false, and all
/// else is an empty text.
pub(super) fn expression_node(value: &expression::Value, is_boolean: bool, place: Span) -> Node {
    match value {
        expression::Value::Unknown => Node::unknown(place),
        expression::Value::Undefined if is_boolean => Node::made_plain("false", place),
        expression::Value::Undefined => Node::made_text("", place),
        expression::Value::Boolean(value) => Node::made_plain(truth_text(*value), place),
        expression::Value::Number(value) => Node::made_plain(&value.to_string(), place),
        expression::Value::Text(text) => Node::made_text(text, place),
        expression::Value::Pattern(text) => Node::made_text(&format!("/{text}/"), place),
    }
}

/// Writes a tree as JSON, as CircleCI puts `pipeline.parameters` into a text.
pub(super) fn write_json(node: &Node, out: &mut String) {
    match &node.value {
        Value::Unknown => out.push_str("null"),
        Value::Scalar { text, .. } => match node.kind() {
            Kind::Nothing => out.push_str("null"),
            Kind::Boolean(value) => out.push_str(if value { "true" } else { "false" }),
            Kind::Number => out.push_str(text),
            _ => json_text(text, out),
        },
        Value::List(items) => {
            out.push('[');
            for (at, item) in items.iter().enumerate() {
                out.push_str(if at > 0 { "," } else { "" });
                write_json(item, out);
            }
            out.push(']');
        }
        Value::Mapping(mapping) => {
            out.push('{');
            for (at, entry) in mapping.entries.iter().enumerate() {
                out.push_str(if at > 0 { "," } else { "" });
                json_text(&entry.key, out);
                out.push(':');
                write_json(&entry.value, out);
            }
            out.push('}');
        }
    }
}

fn json_text(text: &str, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\r' => out.push_str("\\r"),
            c if c.is_control() => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
}
