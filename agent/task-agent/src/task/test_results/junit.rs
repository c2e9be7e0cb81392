//! JUnit XML, as tools write it.
//!
//! There is no standard, only dialects: suites within suites or none at all, attributes that are
//! missing, times with commas, messages as attributes, as text or as CDATA. Whatever has
//! `<testcase>` elements is read. Entities that a document declares itself are left as they
//! stand, so that none can grow.

use quick_xml::events::{BytesStart, Event};
use quick_xml::{Reader, XmlVersion};
use russet_protocol::runner::{TestOutcome, TestResult};

/// More cases than this in one file are not believed.
const MOST_CASES: usize = 200_000;

/// Bytes of a message that are kept.
const LONGEST_MESSAGE: usize = 16 * 1024;

/// Bytes of a name that are kept.
const LONGEST_NAME: usize = 2 * 1024;

/// Bytes of what a suite hands down to each of its cases. A case takes a dozen bytes of a report,
/// so more would let a small report fill the memory.
const LONGEST_INHERITED: usize = 512;

/// Reads a report: the cases up to the first mistake, and what the mistake is.
pub(super) fn parse(text: &str) -> (Vec<TestResult>, Option<String>) {
    let mut reader = Reader::from_str(text.trim_start_matches('\u{feff}'));
    reader.config_mut().allow_dangling_amp = true;
    let mut reading = Reading::default();
    loop {
        match reader.read_event() {
            Ok(Event::Start(tag)) => reading.start(&tag),
            Ok(Event::Empty(tag)) => {
                reading.start(&tag);
                reading.end(tag.local_name().as_ref());
            }
            Ok(Event::End(tag)) => reading.end(tag.local_name().as_ref()),
            Ok(Event::Text(text)) => reading.text(&text.xml10_content()),
            Ok(Event::CData(text)) => reading.text(&text.xml10_content()),
            Ok(Event::GeneralRef(name)) => reading.reference(&name),
            Ok(Event::Eof) => return reading.finish(None),
            Ok(_) => {}
            Err(error) => {
                let at = reader.error_position();
                return reading.finish(Some(format!("it is no XML at byte {at}: {error}")));
            }
        }
        if reading.results.len() >= MOST_CASES {
            return reading.finish(Some(format!("it has more than {MOST_CASES} test cases")));
        }
    }
}

#[derive(Default)]
struct Reading {
    results: Vec<TestResult>,
    /// Names and files of the suites that are open.
    suites: Vec<(String, Option<String>)>,
    case: Option<TestResult>,
    /// Set if the text that comes is a message.
    is_message: bool,
    has_any_element: bool,
}

impl Reading {
    fn start(&mut self, tag: &BytesStart<'_>) {
        self.has_any_element = true;
        let name = tag.local_name();
        match (AsRef::<str>::as_ref(&name), &mut self.case) {
            ("testsuite", _) => {
                let inherited =
                    |name| attribute(tag, name).map(|text| cut(text, LONGEST_INHERITED));
                self.suites.push((inherited("name").unwrap_or_default(), inherited("file")));
            }
            ("testcase", _) => self.case = Some(self.new_case(tag)),
            ("failure", Some(case)) => set(case, TestOutcome::Failure, tag),
            ("error", Some(case)) => set(case, TestOutcome::Error, tag),
            ("skipped", Some(case)) => set(case, TestOutcome::Skipped, tag),
            _ => return,
        }
        self.is_message = matches!(name.as_ref(), "failure" | "error" | "skipped");
    }

    fn new_case(&self, tag: &BytesStart<'_>) -> TestResult {
        let suite = self.suites.last();
        let suite_name = || suite.map(|(name, _)| name.clone());
        let status = attribute(tag, "status").unwrap_or_default().to_ascii_lowercase();
        let is_skipped = matches!(status.as_str(), "notrun" | "disabled" | "skipped");
        let seconds = attribute(tag, "time").unwrap_or_default().replace(',', "");
        let run_time_s = seconds.trim().parse().unwrap_or(0.0);
        TestResult {
            name: cut(attribute(tag, "name").unwrap_or_default(), LONGEST_NAME),
            classname: cut(
                attribute(tag, "classname").or_else(suite_name).unwrap_or_default(),
                LONGEST_NAME,
            ),
            file: attribute(tag, "file")
                .or_else(|| suite.and_then(|(_, file)| file.clone()))
                .filter(|file| !file.is_empty())
                .map(|file| cut(file, LONGEST_NAME)),
            result: if is_skipped { TestOutcome::Skipped } else { TestOutcome::Success },
            run_time_s: if f64::is_finite(run_time_s) { run_time_s.max(0.0) } else { 0.0 },
            message: None,
        }
    }

    fn end(&mut self, name: &str) {
        match name {
            "testsuite" => drop(self.suites.pop()),
            "testcase" => self.results.extend(self.case.take().map(finished)),
            _ => {}
        }
        self.is_message = false;
    }

    fn text(&mut self, text: &str) {
        if let (true, Some(case)) = (self.is_message, &mut self.case) {
            let message = case.message.get_or_insert_default();
            if message.len() < LONGEST_MESSAGE {
                message.push_str(text);
            }
        }
    }

    /// The five that XML knows, and characters by number. Others stay as they stand.
    fn reference(&mut self, name: &quick_xml::events::BytesRef<'_>) {
        let text = match name.resolve_char_ref() {
            Ok(Some(character)) => character.to_string(),
            _ => {
                let name = name.xml10_content();
                quick_xml::escape::resolve_predefined_entity(&name)
                    .map_or_else(|| format!("&{name};"), str::to_owned)
            }
        };
        self.text(&text);
    }

    fn finish(mut self, problem: Option<String>) -> (Vec<TestResult>, Option<String>) {
        // A case that was open at the mistake did run.
        self.results.extend(self.case.take().map(finished));
        let nothing = (!self.has_any_element).then(|| "it has no XML element".to_owned());
        (self.results, problem.or(nothing))
    }
}

fn set(case: &mut TestResult, outcome: TestOutcome, tag: &BytesStart<'_>) {
    case.result = outcome;
    if let Some(message) = attribute(tag, "message").filter(|message| !message.is_empty()) {
        // The text within the element follows, if there is any.
        case.message = Some(format!("{message}\n"));
    }
}

fn finished(mut case: TestResult) -> TestResult {
    let message = case.message.take().map(|text| cut(text.trim().to_owned(), LONGEST_MESSAGE));
    case.message = message.filter(|text| !text.is_empty());
    case
}

/// The value of an attribute. One that is malformed is taken as it stands.
fn attribute(tag: &BytesStart<'_>, name: &str) -> Option<String> {
    let attribute = tag.try_get_attribute(name).ok()??;
    Some(
        attribute
            .normalized_value(XmlVersion::Implicit1_0)
            .map_or_else(|_| attribute.value.to_string(), std::borrow::Cow::into_owned),
    )
}

/// At most so many bytes, cut between characters.
fn cut(mut text: String, most: usize) -> String {
    if text.len() > most {
        let mut end = most;
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        text.truncate(end);
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::parse;
    use russet_protocol::runner::TestOutcome;

    #[test]
    fn suites_within_suites_and_attributes_that_are_missing() {
        let (results, problem) = parse(
            r#"<?xml version="1.0"?><!DOCTYPE x [<!ENTITY big "bigger">]>
            <testsuites><testsuite name="outer" file="o.py"><testsuite name="inner">
              <testcase name="adds" classname="Math" time="1,234.5"/>
              <testcase><failure message="1 &lt; 2">at &big; line 3 &amp; 4 &#65;</failure></testcase>
              <testcase name="c"><error><![CDATA[boom <tag>]]></error><system-out>x</system-out></testcase>
            </testsuite><testcase name="d" time="NaN"><skipped/></testcase></testsuite></testsuites>"#,
        );
        assert_eq!(problem, None);
        let seen: Vec<_> = results.iter().map(|r| (r.classname.as_str(), r.result)).collect();
        assert_eq!(
            seen,
            [
                ("Math", TestOutcome::Success),
                ("inner", TestOutcome::Failure),
                ("inner", TestOutcome::Error),
                ("outer", TestOutcome::Skipped),
            ]
        );
        assert!((results[0].run_time_s - 1234.5).abs() < 0.001);
        assert_eq!(results[1].message.as_deref(), Some("1 < 2\nat &big; line 3 & 4 A"));
        assert_eq!(results[2].message.as_deref(), Some("boom <tag>"));
        assert_eq!(results[3].file.as_deref(), Some("o.py"));
        assert!(results[3].run_time_s.abs() < f64::EPSILON);
    }

    #[test]
    fn other_dialects() {
        let (results, problem) = parse(
            "\u{feff}<testsuite><testcase name='gtest' status='notrun'/>\
             <testcase name='a'><rerunFailure>x</rerunFailure></testcase></testsuite>",
        );
        assert_eq!((results.len(), problem), (2, None));
        assert_eq!(results[0].result, TestOutcome::Skipped);
        assert_eq!(results[1].result, TestOutcome::Success);
    }

    #[test]
    fn what_was_read_before_a_mistake_counts() {
        let (results, problem) = parse("<testsuite><testcase name='a'/><testcase name='b'></x>");
        assert_eq!(results.len(), 2);
        assert!(problem.unwrap().contains("no XML"));
        for nothing in ["", "plain text", "{}"] {
            assert!(parse(nothing).1.is_some(), "{nothing}");
        }
    }

    #[test]
    fn a_suite_hands_no_bomb_down_to_its_cases() {
        let long = "x".repeat(1_000_000);
        let cases = "<testcase/>".repeat(1000);
        let (results, _) =
            parse(&format!("<testsuite name='{long}' file='{long}'>{cases}</testsuite>"));
        let size = |result: &russet_protocol::runner::TestResult| {
            result.classname.len() + result.file.as_deref().map_or(0, str::len)
        };
        assert_eq!(results.len(), 1000);
        assert!(results.iter().map(size).sum::<usize>() < 2_000_000);
    }

    #[test]
    fn an_entity_bomb_stays_small() {
        let mut text = "<!DOCTYPE x [<!ENTITY a0 \"lol\">".to_owned();
        for n in 1..30 {
            text.push_str(&format!("<!ENTITY a{n} \"&a{};&a{};\">", n - 1, n - 1));
        }
        text.push_str("]><testcase name='&a29;'><failure>&a29;</failure></testcase>");
        let (results, _) = parse(&text);
        assert_eq!(results[0].message.as_deref(), Some("&a29;"));
        assert!(results[0].name.len() < 100);
    }
}
