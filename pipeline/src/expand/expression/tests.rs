//! The cases of the corpus of CircleCI's public expression library, restated with names and values
//! of our own, and what has to hold for every expression.

use std::fmt::Write as _;

use proptest::prelude::*;

use super::{ErrorKind, ExpressionError, Tree, Value, evaluate, is_beyond_re2, parse};
use crate::pattern::Patterns;

/// The variables of all cases. `None`: there is no such variable.
fn variable(name: &str) -> Option<Value> {
    Some(match name {
        "yes" => Value::Boolean(true),
        "no" => Value::Boolean(false),
        "four" => Value::Number(4),
        "seven" | "also-seven" | "seven?" => Value::Number(7),
        "seven_text" => Value::Text("7".into()),
        "title" | "pipe.title" => Value::Text("hello world".into()),
        "part" => Value::Text("lo wo".into()),
        "start" => Value::Text("he".into()),
        "quoted" => Value::Text("\"hello\"".into()),
        "food" => Value::Text("food".into()),
        "long_food" => Value::Text("fooooood".into()),
        "fd" => Value::Text("fd".into()),
        "dots" => Value::Text(".a*".into()),
        "gone" | "also-gone" => Value::Undefined,
        "vague" => Value::Unknown,
        _ => return None,
    })
}

/// Evaluates an expression as the compiler does, its patterns checked first.
fn value_of(text: &str) -> Result<Value, ErrorKind> {
    let tree = parse(text).map_err(|error| error.kind)?;
    let mut patterns = Patterns::default();
    let mut used = Vec::new();
    tree.collect_patterns(&mut used);
    for pattern in used {
        if is_beyond_re2(&pattern) {
            return Err(ErrorKind::Pattern("beyond RE2".to_owned()));
        }
        patterns.get(&pattern, true)?;
    }
    let look_up = |name: &str, at: usize| {
        let kind = ErrorKind::Extra(format!("no {name}"));
        variable(name).ok_or(ExpressionError { kind, at })
    };
    let mut matches = |pattern: &str, text: &str| {
        let pattern = patterns.get(pattern, true)?;
        pattern.is_match(text).ok_or(ErrorKind::TooSlow)
    };
    evaluate(&tree, &look_up, &mut matches).map_err(|error| error.kind)
}

/// The name that a value or a mistake has in the tables below.
fn describe(result: &Result<Value, ErrorKind>) -> String {
    match result {
        Ok(Value::Undefined) => "undefined".to_owned(),
        Ok(Value::Unknown) => "unknown".to_owned(),
        Ok(Value::Boolean(value)) => value.to_string(),
        Ok(Value::Number(value)) => value.to_string(),
        Ok(Value::Text(text)) => format!("{text:?}"),
        Ok(Value::Pattern(text)) => format!("/{text}/"),
        Err(kind) => match kind {
            ErrorKind::Character(_) => "! character".to_owned(),
            ErrorKind::NotAnOperator(_) => "! operator".to_owned(),
            ErrorKind::OpenText => "! open text".to_owned(),
            ErrorKind::OpenPattern => "! open pattern".to_owned(),
            ErrorKind::PatternCharacter(_) => "! pattern character".to_owned(),
            ErrorKind::PatternTooLong => "! pattern length".to_owned(),
            ErrorKind::Pattern(_) => "! pattern".to_owned(),
            ErrorKind::NumberTooLarge => "! number".to_owned(),
            ErrorKind::MissingBefore(_) | ErrorKind::MissingAtEnd => "! missing".to_owned(),
            ErrorKind::Extra(text) if text.starts_with("no ") => "! variable".to_owned(),
            ErrorKind::Extra(_) => "! extra".to_owned(),
            ErrorKind::OpenParenthesis => "! parenthesis".to_owned(),
            ErrorKind::TooLong => "! length".to_owned(),
            ErrorKind::TooDeep => "! depth".to_owned(),
            ErrorKind::NeedsNumbers(_) => "! numbers".to_owned(),
            ErrorKind::NeedsTexts(_) => "! texts".to_owned(),
            ErrorKind::NeedsPattern => "! needs pattern".to_owned(),
            ErrorKind::TooSlow => "! slow".to_owned(),
        },
    }
}

/// Compares a table: an expression, `=>`, and its value or the mistake in it.
#[track_caller]
fn check(table: &str) {
    let mut wrong = String::new();
    for line in table.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let (text, expected) = line.rsplit_once("=>").unwrap();
        let found = describe(&value_of(text.trim()));
        if found != expected.trim() {
            writeln!(wrong, "{text}: {found}, not{expected}").unwrap();
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn literals_and_variables_are_their_own_values() {
    check(
        r#"
        0 => 0
        1 => 1
        "some text" => "some text"
        /some pattern/ => /some pattern/
        seven => 7
        true => true
        FALSE => false
        seven? => 7
        pipe.title => "hello world"
        "a \" and a \\" => "a \" and a \\"
        /a\/b/ => /a/b/
        "#,
    );
}

#[test]
fn and_or_yield_operands_and_look_no_further_than_needed() {
    check(
        r#"
        true and true => true
        true and false => false
        false and true => false
        false and false => false
        false and missing => false
        true AND false => false
        true and seven => 7
        yes and "hello" => "hello"
        true or false => true
        false or true => true
        false or false => false
        true or missing => true
        false OR true => true
        false or seven => 7
        no or no => false
        !true => false
        !false => true
        not true => false
        NOT false => true
        not yes => false
        !yes => false
        0 and "" => ""
        not "" => false
        "#,
    );
}

#[test]
fn comparisons_know_types() {
    check(
        r#"
        2 == 2 => true
        2 == 3 => false
        "a" == "a" => true
        "a" == "b" => false
        true == true => true
        false == false => true
        quoted == quoted => true
        seven == also-seven => true
        seven == four => false
        true == 7 => false
        "text" == 7 => false
        7 == false => false
        seven_text == yes => false
        seven_text == seven => false
        2 != 2 => false
        2 != 3 => true
        "a" != "a" => false
        "a" != "b" => true
        true != true => false
        quoted != quoted => false
        seven != also-seven => false
        seven != four => true
        true != 7 => true
        "text" != 7 => true
        seven_text != yes => true
        /a/ == /a/ => true
        1 > 3 => false
        5 > 3 => true
        5 > 5 => false
        5 > four => true
        seven > 5 => true
        1 >= 3 => false
        5 >= 5 => true
        seven >= 5 => true
        1 < 3 => true
        5 < 5 => false
        5 < four => false
        four < 5 => true
        1 <= 3 => true
        5 <= 3 => false
        5 <= 5 => true
        5 <= four => false
        1 < 2 == true => true
        2 == 2 == true => true
        "#,
    );
}

#[test]
fn texts_are_searched_and_matched_as_a_whole() {
    check(
        r#"
        "hello world" contains "hello" => true
        "hello world" contains "api" => false
        "hello world" contains part => true
        title contains "ello" => true
        title contains "api" => false
        "hello world" starts-with "hello" => true
        "hello world" starts-with "api" => false
        "hello world" starts-with start => true
        title starts-with "hello" => true
        title starts-with "world" => false
        "hello world" matches /hello\s\w+/ => true
        "hello world" matches /\w+ world/ => true
        "hello world" matches /^hello/ => false
        "hello world" matches /^world/ => false
        "hello world" matches /world/ => false
        "hello world" matches /world$/ => false
        food matches /fo+d/ => true
        long_food matches /fo+d/ => true
        fd matches /fo+d/ => false
        title matches /fo+d/ => false
        dots matches /(?i)\..\*/ => true
        food matches /(?i)\..\*/ => false
        "a/b" matches /a\/b/ => true
        "#,
    );
}

#[test]
fn operators_refuse_operands_of_other_types() {
    for operator in [">", ">=", "<", "<="] {
        for operands in [("5", "true"), ("no", "3"), ("\"a\"", "\"b\""), ("title", "10")] {
            let text = format!("{} {operator} {}", operands.0, operands.1);
            assert_eq!(describe(&value_of(&text)), "! numbers", "{text}");
        }
    }
    for operator in ["contains", "starts-with"] {
        for operands in [("\"a\"", "5"), ("no", "\"a\""), ("55", "5"), ("seven", "\"a\"")] {
            let text = format!("{} {operator} {}", operands.0, operands.1);
            assert_eq!(describe(&value_of(&text)), "! texts", "{text}");
        }
    }
    check(
        r#"
        5 matches /a/ => ! texts
        seven matches /a/ => ! texts
        "text" matches true => ! needs pattern
        title matches 12 => ! needs pattern
        title matches "hello" => ! needs pattern
        missing > 5 => ! variable
        "#,
    );
}

#[test]
fn operators_bind_as_the_grammar_says() {
    check(
        r#"
        (5 < 4 or not no) and "s" != 42 => true
        (5 < 4 or not yes) and "s" != 42 => false
        title == "hello world" and food == "food" or no => true
        title == "main" and food == "food" or yes => true
        title == "main" and food == "food" or no => false
        title == "hello world" and not (seven == 5 and food == "food") => true
        title starts-with "hello" and not (seven == 7 and food == "food") => false
        not no and no => false
        not (yes and no) => true
        not yes == false => true
        yes or no and no => true
        "#,
    );
}

#[test]
fn the_undefined_is_neither_equal_nor_unequal_and_gives_way() {
    for operator in ["==", "!=", ">", ">=", "<", "<="] {
        for operands in ["1 ? gone", "gone ? 2", "gone ? gone", "seven ? gone", "gone ? seven"] {
            let text = operands.replace('?', operator);
            assert_eq!(describe(&value_of(&text)), "undefined", "{text}");
        }
    }
    check(
        r#"
        "hello" == gone => undefined
        gone != true => undefined
        "hello" starts-with gone => undefined
        gone starts-with "hello" => undefined
        gone matches /a/ => undefined
        gone contains "a" => undefined
        true and gone => undefined
        gone and true => undefined
        12 and gone => undefined
        gone and "text" => undefined
        false and gone => false
        gone and false => undefined
        true or gone => true
        gone or true => true
        12 or gone => 12
        gone or 12 => 12
        gone or "text" => "text"
        false or gone => undefined
        gone or false => false
        gone or also-gone => undefined
        !gone => true
        not gone => true
        not (gone == "v1") => true
        food == "food" and gone or "default" => "default"
        gone == "food" and title or "default" => "default"
        gone or food == "food" and title => "hello world"
        yes or food == "food" and gone => true
        title or no and gone => "hello world"
        (title or gone) and food => "food"
        "#,
    );
}

#[test]
fn what_is_unknown_while_checking_decides_nothing() {
    check(
        r#"
        vague => unknown
        vague == 1 => unknown
        not vague => unknown
        vague and false => false
        false and vague => false
        vague and true => unknown
        vague or true => unknown
        true or vague => true
        vague > "a" => unknown
        "#,
    );
}

#[test]
fn mistakes_are_told_apart() {
    check(
        r#"
        foo..bar => ! character
        .foo => ! character
        -foo => ! character
        _foo => ! character
        =! => ! operator
        a = b => ! operator
        a =~ /b/ => ! operator
        a && b => ! operator
        a || b => ! operator
        text "open => ! open text
        text /open => ! open pattern
        /foo(?:bar/ => ! pattern
        /(?!main).*/ => ! pattern
        /(a)\1/ => ! pattern
        /foo⏰/ => ! pattern character
        /foo\u23f0/ => ! pattern character
        /foo\x{23f0}/ => ! pattern character
        9223372036854775808 => ! number
        9223372036854775807 => 9223372036854775807
        and => ! missing
        yes and no title => ! extra
         => ! missing
        yes or => ! missing
        and yes => ! missing
        ! => ! missing
        5 < => ! missing
        >= 4 => ! missing
        ( => ! missing
        yes and ( => ! missing
        (1 > 2 3 => ! parenthesis
        1 > 2) < 3 => ! extra
        ((yes and no) => ! parenthesis
        0 <= (1 > (2 < 3) >= 5 => ! parenthesis
        1 > 2 and hello world => ! extra
        hello invalid world => ! operator
        true or hello invalid bar => ! operator
        4 invalid 5 => ! operator
        "#,
    );
    for c in "&*^%$£?#~:;@'".chars() {
        assert_eq!(describe(&value_of(&c.to_string())), "! character", "{c}");
    }
    // The limit counts characters, not bytes.
    for (count, found) in [(256, None), (257, Some("! pattern length"))] {
        for c in ["x", "é"] {
            let result = describe(&value_of(&format!("/{}/", c.repeat(count))));
            assert_eq!(found.unwrap_or(&result), result, "{count}");
        }
    }
    let deep = format!("{}yes", "not ".repeat(500));
    assert_eq!(describe(&value_of(&deep)), "! depth");
    let long = format!("yes{}", " and yes".repeat(10_000));
    assert_eq!(describe(&value_of(&long)), "! length");
}

/// A random tree of booleans, with the text that stands for it.
fn boolean_tree() -> impl Strategy<Value = (String, bool)> {
    let leaf = prop_oneof![
        any::<bool>().prop_map(|value| (value.to_string(), value)),
        (0..9_i64, 0..9_i64).prop_map(|(a, b)| (format!("{a} < {b}"), a < b)),
        ("[a-c]{0,2}", "[a-c]{0,2}").prop_map(|(a, b)| (format!("{a:?} != {b:?}"), a != b)),
    ];
    leaf.prop_recursive(5, 40, 2, |inner| {
        prop_oneof![
            inner.clone().prop_map(|(text, value)| (format!("not ({text})"), !value)),
            (inner.clone(), inner.clone())
                .prop_map(|(a, b)| (format!("({}) and ({})", a.0, b.0), a.1 && b.1)),
            (inner.clone(), inner)
                .prop_map(|(a, b)| (format!("({}) or ({})", a.0, b.0), a.1 || b.1)),
        ]
    })
}

/// The tree with all parentheses, as text again.
fn write(tree: &Tree<'_>) -> String {
    let all = |all: &[Tree<'_>], word: &str| {
        let parts: Vec<String> = all.iter().map(|one| format!("({})", write(one))).collect();
        parts.join(word)
    };
    match tree {
        Tree::Literal(Value::Text(text)) => {
            format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
        }
        Tree::Literal(value) => describe(&Ok(value.clone())).replace("\\/", "/"),
        Tree::Name(name, _) => (*name).to_owned(),
        Tree::Not(inner) => format!("not ({})", write(inner)),
        Tree::And(parts) => all(parts, " and "),
        Tree::Or(parts) => all(parts, " or "),
        Tree::Comparisons(first, rest) => {
            rest.iter().fold(format!("({})", write(first)), |left, (operator, _, right)| {
                format!("({left} {} ({}))", operator.as_str(), write(right))
            })
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_tree_of_booleans_has_their_value((text, expected) in boolean_tree()) {
        prop_assert_eq!(value_of(&text), Ok(Value::Boolean(expected)), "{}", text);
    }

    #[test]
    fn parentheses_that_say_the_same_change_nothing(
        words in proptest::collection::vec(proptest::sample::select(vec![
            "yes", "no", "gone", "seven", "title", "1", "\"a\"", "and", "or", "not", "==", "!=",
            "<", ">=", "starts-with", "contains", "(", ")",
        ]), 1..12),
    ) {
        let text = words.join(" ");
        if let Ok(tree) = parse(&text) {
            let written = write(&tree);
            prop_assert_eq!(value_of(&text), value_of(&written), "{} | {}", text, written);
        }
    }

    #[test]
    fn no_text_makes_it_panic_and_mistakes_have_a_place(text in "[a-z0-9 .\"/\\\\()!<>=&|'é-]{0,40}") {
        if let Err(error) = parse(&text) {
            prop_assert!(error.at <= text.len());
            prop_assert!(!error.to_string().is_empty() && !error.kind.hint().is_empty());
        }
        prop_assert!(!describe(&value_of(&text)).is_empty());
    }
}

#[test]
fn a_text_is_taken_for_an_expression_only_where_it_looks_like_one() {
    for yes in ["pipeline.number == 1", "not true", "\"a\" != \"b\"", "!pipeline.in_setup"] {
        assert!(super::looks_like_expression(yes), "{yes}");
    }
    for no in ["main", "a text", "yes", ""] {
        assert!(!super::looks_like_expression(no), "{no}");
    }
}
