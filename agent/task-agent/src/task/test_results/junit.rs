//! JUnit XML, as tools write it.
//!
//! There is no standard, only dialects: suites within suites or none at all, attributes that are
//! missing, times with commas, messages as attributes, as text or as CDATA, several failures in a
//! case, further runs of a test. Whatever has `<testcase>` elements is read. Entities that a
//! document declares itself are left as they stand, so that none can grow.

use quick_xml::events::{BytesStart, Event};
use quick_xml::{Reader, XmlVersion};
use russet_protocol::runner::{TestOutcome, TestResult};

use super::attempts::{self, MAX_MESSAGE_BYTES, cut, is_failed};
use super::seconds;

/// More cases than this in one file are not believed.
const MAX_CASES: usize = 200_000;

/// Bytes of a name that are kept.
const MAX_NAME_BYTES: usize = 2 * 1024;

/// Bytes of what a suite hands down to each of its cases. A case takes a dozen bytes of a report,
/// so more would let a small report fill the memory.
const MAX_INHERITED_BYTES: usize = 512;

/// Name of the test that stands for the failure of a suite.
const SUITE: &str = "(the suite itself)";

/// Reads a report: the tests up to the first mistake, and what the mistake is.
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
        if reading.results.len() >= MAX_CASES {
            return reading.finish(Some(format!("it has more than {MAX_CASES} test cases")));
        }
    }
}

/// A suite that is open.
#[derive(Default)]
struct Suite {
    name: String,
    file: Option<String>,
    /// Errors and failures that it says it has.
    said: u64,
    /// Number of its tests that did not pass.
    failed: u64,
    /// Its own failure, outside of any case: mostly the crash of its process.
    own: Option<Case>,
}

/// A case that is open.
struct Case {
    result: TestResult,
    message: String,
    /// Runs before the last one, or after the first one that counts, and what they say.
    others: Vec<String>,
}

/// Destination of text.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    /// Into the message of the open case or suite.
    Message,
    /// Into the last of the other runs.
    Other,
}

#[derive(Default)]
struct Reading {
    results: Vec<TestResult>,
    suites: Vec<Suite>,
    case: Option<Case>,
    /// Destination of the text that comes, and how many elements deep within that it is.
    part: Option<(Part, u32)>,
    /// Number of open elements of output, whose text is no message.
    output: u32,
    has_any_element: bool,
    /// Suites that say that they have failures, and show none.
    silent: Vec<String>,
}

impl Reading {
    fn start(&mut self, tag: &BytesStart<'_>) {
        self.has_any_element = true;
        let local = tag.local_name();
        let name: &str = local.as_ref();
        if let Some((_, depth)) = &mut self.part {
            *depth += 1;
        }
        match name {
            "testsuite" => self.suites.push(new_suite(tag)),
            "testcase" => self.case = Some(self.new_case(tag)),
            "failure" => self.fails(TestOutcome::Failure, tag),
            "error" => self.fails(TestOutcome::Error, tag),
            "skipped" => self.fails(TestOutcome::Skipped, tag),
            "flakyFailure" | "flakyError" | "rerunFailure" | "rerunError" => self.other_run(tag),
            "system-out" | "system-err" => self.output += 1,
            _ => {}
        }
    }

    fn new_case(&self, tag: &BytesStart<'_>) -> Case {
        let suite = self.suites.last();
        let suite_name = || suite.map(|suite| suite.name.clone());
        let status = attribute_value(tag, "status").unwrap_or_default().to_ascii_lowercase();
        let is_skipped = matches!(status.as_str(), "notrun" | "disabled" | "skipped");
        let result = TestResult {
            name: cut(attribute_value(tag, "name").unwrap_or_default(), MAX_NAME_BYTES),
            classname: cut(
                attribute_value(tag, "classname").or_else(suite_name).unwrap_or_default(),
                MAX_NAME_BYTES,
            ),
            file: attribute_value(tag, "file")
                .or_else(|| suite.and_then(|suite| suite.file.clone()))
                .filter(|file| !file.is_empty())
                .map(|file| cut(file, MAX_NAME_BYTES)),
            result: if is_skipped { TestOutcome::Skipped } else { TestOutcome::Success },
            run_time_s: seconds::parse(&attribute_value(tag, "time").unwrap_or_default()),
            ..TestResult::default()
        };
        Case { result, message: String::new(), others: Vec::new() }
    }

    /// Takes a failure, of a case or of a suite; of several in a case, all.
    fn fails(&mut self, outcome: TestOutcome, tag: &BytesStart<'_>) {
        let case = match (&mut self.case, self.suites.last_mut()) {
            (Some(case), _) => case,
            // A suite that is left out as a whole has nothing to show.
            (None, Some(suite)) if is_failed(outcome) => {
                let result = TestResult {
                    name: SUITE.to_owned(),
                    classname: suite.name.clone(),
                    file: suite.file.clone(),
                    ..TestResult::default()
                };
                let case = || Case { result, message: String::new(), others: Vec::new() };
                suite.own.get_or_insert_with(case)
            }
            _ => return,
        };
        // What failed stays so, whatever else the case says.
        if !is_failed(case.result.result) {
            case.result.result = outcome;
        }
        separate(&mut case.message);
        if let Some(message) = attribute_value(tag, "message").filter(|message| !message.is_empty())
        {
            // The text within the element follows, if there is any.
            push(&mut case.message, &format!("{message}\n"));
        }
        self.part = Some((Part::Message, 0));
    }

    fn other_run(&mut self, tag: &BytesStart<'_>) {
        if let Some(case) = &mut self.case {
            let message = attribute_value(tag, "message").unwrap_or_default();
            case.others.push(cut(format!("{message}\n"), MAX_MESSAGE_BYTES));
            self.part = Some((Part::Other, 0));
        }
    }

    fn end(&mut self, name: &str) {
        match name {
            "testsuite" => self.end_suite(),
            "testcase" => self.end_case(),
            "system-out" | "system-err" => self.output = self.output.saturating_sub(1),
            _ => {}
        }
        self.part = match self.part {
            Some((part, depth)) if depth > 0 => Some((part, depth - 1)),
            _ => None,
        };
    }

    fn end_case(&mut self) {
        let Some(case) = self.case.take() else { return };
        let result = finish_case(case);
        if let Some(suite) = self.suites.last_mut() {
            suite.failed += u64::from(is_failed(result.result));
        }
        self.results.push(result);
        // A case within a failure would leave it open.
        self.part = None;
    }

    fn end_suite(&mut self) {
        let Some(suite) = self.suites.pop() else { return };
        let own = u64::from(suite.own.is_some());
        self.results.extend(suite.own.map(finish_case));
        let failed = suite.failed + own;
        if suite.said > 0 && failed == 0 {
            self.silent.push(suite.name);
        }
        if let Some(parent) = self.suites.last_mut() {
            parent.failed += failed;
        }
    }

    fn text(&mut self, text: &str) {
        if self.output > 0 {
            return;
        }
        let own = self.suites.last_mut().and_then(|suite| suite.own.as_mut());
        match (self.part, self.case.as_mut().or(own)) {
            (Some((Part::Message, _)), Some(case)) => push(&mut case.message, text),
            (Some((Part::Other, _)), Some(case)) => {
                if let Some(other) = case.others.last_mut() {
                    push(other, text);
                }
            }
            _ => {}
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
        // What was open at the mistake did run.
        self.end_case();
        while !self.suites.is_empty() {
            self.end_suite();
        }
        let results = attempts::join(self.results);
        let nothing = || {
            let what = if self.has_any_element { "test case" } else { "XML element" };
            results.is_empty().then(|| format!("it has no {what}"))
        };
        let silent = self.silent.first().map(|name| {
            let name = name.escape_debug();
            format!("its suite `{name}` says that it has failures, and shows none")
        });
        let problem = problem.or(silent).or_else(nothing);
        (results, problem)
    }
}

fn new_suite(tag: &BytesStart<'_>) -> Suite {
    let inherited = |name| attribute_value(tag, name).map(|text| cut(text, MAX_INHERITED_BYTES));
    let count = |name| attribute_value(tag, name).and_then(|text| text.trim().parse::<u64>().ok());
    let (errors, failures) = (count("errors").unwrap_or(0), count("failures").unwrap_or(0));
    Suite {
        name: inherited("name").unwrap_or_default(),
        file: inherited("file"),
        said: errors.saturating_add(failures),
        ..Suite::default()
    }
}

/// Adds to a message as much as is kept.
fn push(message: &mut String, text: &str) {
    if message.len() < MAX_MESSAGE_BYTES {
        message.push_str(text);
    }
}

/// Keeps one failure of a case apart from the next.
fn separate(message: &mut String) {
    let kept = message.trim_end().len();
    message.truncate(kept);
    if !message.is_empty() {
        push(message, "\n\n");
    }
}

/// The result of a case that is complete. The runs that Surefire and nextest write besides the one
/// that counts are earlier ones of a test that passed in the end, and later ones of one that
/// failed.
fn finish_case(case: Case) -> TestResult {
    let Case { mut result, message, others } = case;
    let mut message = message.trim().to_owned();
    let first = if is_failed(result.result) { 2 } else { 1 };
    for (number, other) in (first..).zip(&others) {
        separate(&mut message);
        push(&mut message, &attempts::describe(number, Some(other)));
    }
    result.attempts = u32::try_from(others.len()).unwrap_or(u32::MAX).saturating_add(1);
    result.message = Some(cut(message, MAX_MESSAGE_BYTES)).filter(|text| !text.is_empty());
    result
}

/// The value of an attribute. One that is malformed is taken as it stands.
fn attribute_value(tag: &BytesStart<'_>, name: &str) -> Option<String> {
    let attribute = tag.try_get_attribute(name).ok()??;
    Some(
        attribute
            .normalized_value(XmlVersion::Implicit1_0)
            .map_or_else(|_| attribute.value.to_string(), std::borrow::Cow::into_owned),
    )
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

    #[test]
    fn all_failures_of_a_case_are_kept() {
        let (results, problem) = parse(
            "<testsuite><testcase name='a'><failure message='one'>at 1</failure>\
             <system-out>noise</system-out><error>two</error><skipped/></testcase></testsuite>",
        );
        assert_eq!((results.len(), problem), (1, None));
        assert_eq!(results[0].result, TestOutcome::Failure);
        assert_eq!(results[0].message.as_deref(), Some("one\nat 1\n\ntwo"));
    }

    #[test]
    fn further_runs_of_surefire_and_nextest_are_attempts_of_one_test() {
        let (results, problem) = parse(
            r#"<testsuite name="com.acme.FlakyTest" tests="3" errors="0" failures="1">
            <testcase name="flaky" classname="F" time="0.1"><flakyFailure message="first" type="X">
              <stackTrace>trace 1</stackTrace><system-err>noise</system-err></flakyFailure>
              <flakyError>second</flakyError></testcase>
            <testcase name="failsAlways" classname="F" time="0.1"><failure message="one" type="X">trace
              one</failure><rerunFailure message="two" type="X"><stackTrace>trace two</stackTrace>
              <system-out>noise</system-out></rerunFailure></testcase>
            <testcase name="fine" classname="F"/></testsuite>"#,
        );
        assert_eq!((results.len(), problem), (3, None));
        let flaky = &results[0];
        assert_eq!((flaky.result, flaky.attempts), (TestOutcome::Success, 3));
        let message = flaky.message.as_deref().unwrap();
        assert!(message.starts_with("attempt 1 failed: first"), "{message}");
        assert!(message.contains("trace 1") && message.contains("attempt 2 failed: second"));
        assert!(!message.contains("noise"), "{message}");
        let fails = &results[1];
        assert_eq!((fails.result, fails.attempts), (TestOutcome::Failure, 2));
        let message = fails.message.as_deref().unwrap();
        assert!(message.starts_with("one\ntrace") && message.contains("attempt 2 failed: two"));
        assert_eq!((results[2].attempts, &results[2].message), (1, &None));
    }

    #[test]
    fn a_test_that_is_reported_again_after_its_failure_is_one_test() {
        // As gotestsum --rerun-fails and xcodebuild -retry-tests-on-failure are reported.
        let (results, _) = parse(
            "<testsuite><testcase classname='p' name='T'><failure>boom</failure></testcase>\
             <testcase classname='p' name='U'/><testcase classname='p' name='T'/></testsuite>",
        );
        let seen: Vec<_> = results.iter().map(|it| (it.result, it.attempts)).collect();
        assert_eq!(seen, [(TestOutcome::Success, 2), (TestOutcome::Success, 1)]);
        assert_eq!(results[0].message.as_deref(), Some("attempt 1 failed: boom"));
    }

    #[test]
    fn the_crash_of_a_suite_is_a_test_that_failed() {
        let (results, problem) = parse(
            r#"<testsuites><testsuite name="Crashed" tests="0" errors="1"><system-err>Segmentation
            </system-err><error message="the test process crashed"/></testsuite></testsuites>"#,
        );
        assert_eq!((results.len(), problem), (1, None));
        assert_eq!(results[0].classname, "Crashed");
        assert_eq!(results[0].result, TestOutcome::Error);
        assert_eq!(results[0].message.as_deref(), Some("the test process crashed"));
        let (_, problem) = parse("<testsuite name='S' errors='2'><testcase/></testsuite>");
        assert!(problem.unwrap().contains("`S` says that it has failures"));
    }

    #[test]
    fn a_report_without_a_case_is_said_to_have_none() {
        for text in ["<testsuites/>", "<testsuite name='a' tests='0'/>", "<html><body/></html>"] {
            assert_eq!(parse(text).1.as_deref(), Some("it has no test case"), "{text}");
        }
    }
}
