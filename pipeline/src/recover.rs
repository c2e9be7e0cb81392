//! Further mistakes in a text that is not YAML.
//!
//! The parser ends at the first one. The key of the top level that has it is blanked out, and the
//! rest is parsed again, so that mistakes in other parts come with it. Nothing is compiled of what
//! is left: what refers to a part that is blanked out would seem to be wrong.

use crate::problem::Problem;
use crate::source::Span;
use crate::yaml;

/// Parts that are blanked out at most.
const MAX_PARTS: usize = 5;

/// Returns mistakes of syntax behind or before `first`, at which the parser ended.
pub(crate) fn further_mistakes(text: &str, first: &Problem) -> Vec<Problem> {
    let mut found = Vec::new();
    let mut rest = text.to_owned();
    let mut at = is_syntax(first).then(|| problem_cause(first));
    for _ in 0..MAX_PARTS {
        let Some(part) = at.and_then(|span| section_around(&rest, span)) else { break };
        rest = blank_out(&rest, part);
        let (root, mut problems) = yaml::parse(&rest, 0);
        let last = problems.pop().filter(|problem| root.is_none() && is_syntax(problem));
        at = last.as_ref().map(problem_cause);
        found.extend(last);
    }
    found
}

/// Returns the place of the cause: a bracket that is open where the parser ended, if there is one.
fn problem_cause(problem: &Problem) -> Span {
    problem.related.as_ref().map_or(problem.span, |(open, _)| *open)
}

fn is_syntax(problem: &Problem) -> bool {
    problem.message.starts_with("this is not valid YAML")
}

/// Returns the bytes of the key of the top level, with its value, that a place lies in.
fn section_around(text: &str, place: Span) -> Option<(usize, usize)> {
    let is_start =
        |line: &str| line.starts_with(|c: char| !c.is_whitespace() && !"#-}]".contains(c));
    let mut start = None;
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        if is_start(line) {
            if at > place.start {
                return Some((start?, at));
            }
            start = Some(at);
        }
        at += line.len();
    }
    Some((start?, at))
}

/// Returns the text with a part made white space, so that all else keeps its place.
fn blank_out(text: &str, (start, end): (usize, usize)) -> String {
    let part = text.get(start..end).unwrap_or("");
    let blank: String = part.bytes().map(|b| if b == b'\n' { '\n' } else { ' ' }).collect();
    [text.get(..start).unwrap_or(""), &blank, text.get(end..).unwrap_or("")].concat()
}

#[cfg(test)]
mod tests {
    use super::further_mistakes;

    #[test]
    fn mistakes_in_several_parts_of_a_text_are_all_found() {
        let text = "version: 2.1\na: [1, 2\nb: {c: d}\ne:\n  f: \"x\" y\ng: h\n";
        let (root, problems) = crate::yaml::parse(text, 0);
        assert!(root.is_none());
        let found = further_mistakes(text, problems.last().unwrap());
        let places: Vec<&str> =
            found.iter().map(|problem| text.get(problem.span.start..).unwrap_or("")).collect();
        assert_eq!(places.len(), 1, "{found:?}");
        assert!(places[0].starts_with(['y', '"']), "{places:?}");
    }
}
