//! The value of a tree.

use super::{ErrorKind, ExpressionError, Operator, Tree, Value};

/// Evaluates an expression. `value_of` returns the value of a name, and `matches` whether a
/// pattern matches the whole of a text. Operands that a result does not depend on are not
/// evaluated.
///
/// # Errors
///
/// Operands of a type that an operator does not take, and what `value_of` and `matches` return.
pub(in crate::expand) fn evaluate<'t>(
    tree: &Tree<'t>,
    value_of: &impl Fn(&'t str, usize) -> Result<Value, ExpressionError>,
    matches: &mut impl FnMut(&str, &str) -> Result<bool, ErrorKind>,
) -> Result<Value, ExpressionError> {
    match tree {
        Tree::Literal(value) => Ok(value.clone()),
        Tree::Name(name, at) => value_of(name, *at),
        Tree::Not(inner) => {
            let value = evaluate(inner, value_of, matches)?;
            Ok(value.truth().map_or(Value::Unknown, |truth| Value::Boolean(!truth)))
        }
        Tree::And(all) => choose_operand(all, false, value_of, matches),
        Tree::Or(all) => choose_operand(all, true, value_of, matches),
        Tree::Comparisons(first, rest) => {
            let mut left = evaluate(first, value_of, matches)?;
            for (operator, at, right) in rest {
                let right = evaluate(right, value_of, matches)?;
                left = apply_operator(*operator, &left, &right, matches)
                    .map_err(|kind| ExpressionError { kind, at: *at })?;
            }
            Ok(left)
        }
    }
}

/// Returns the first operand with a certain truth, or the last one.
fn choose_operand<'t>(
    all: &[Tree<'t>],
    wanted: bool,
    value_of: &impl Fn(&'t str, usize) -> Result<Value, ExpressionError>,
    matches: &mut impl FnMut(&str, &str) -> Result<bool, ErrorKind>,
) -> Result<Value, ExpressionError> {
    let mut last = Value::Undefined;
    let mut is_unknown = false;
    for tree in all {
        last = evaluate(tree, value_of, matches)?;
        match last.truth() {
            Some(truth) if truth == wanted => {
                // An operand before it that is unknown may have been the one. Of `and`, the
                // result is false either way.
                return Ok(match (is_unknown, wanted) {
                    (false, _) => last,
                    (true, false) => Value::Boolean(false),
                    (true, true) => Value::Unknown,
                });
            }
            Some(_) => {}
            None => is_unknown = true,
        }
    }
    Ok(if is_unknown { Value::Unknown } else { last })
}

/// Applies an operator. A result with an undefined operand is undefined.
fn apply_operator(
    operator: Operator,
    left: &Value,
    right: &Value,
    matches: &mut impl FnMut(&str, &str) -> Result<bool, ErrorKind>,
) -> Result<Value, ErrorKind> {
    match (left, right) {
        (Value::Undefined, _) | (_, Value::Undefined) => return Ok(Value::Undefined),
        (Value::Unknown, _) | (_, Value::Unknown) => return Ok(Value::Unknown),
        _ => {}
    }
    let numbers = |holds: fn(i64, i64) -> bool| match (left, right) {
        (Value::Number(left), Value::Number(right)) => Ok(holds(*left, *right)),
        _ => Err(ErrorKind::NeedsNumbers(operator.as_str())),
    };
    let texts = |holds: fn(&str, &str) -> bool| match (left, right) {
        (Value::Text(left), Value::Text(right)) => Ok(holds(left, right)),
        _ => Err(ErrorKind::NeedsTexts(operator.as_str())),
    };
    let result = match operator {
        Operator::Equal => left == right,
        Operator::NotEqual => left != right,
        Operator::Less => numbers(|left, right| left < right)?,
        Operator::LessOrEqual => numbers(|left, right| left <= right)?,
        Operator::Greater => numbers(|left, right| left > right)?,
        Operator::GreaterOrEqual => numbers(|left, right| left >= right)?,
        Operator::StartsWith => texts(|left, right| left.starts_with(right))?,
        Operator::Contains => texts(|left, right| left.contains(right))?,
        Operator::Matches => match (left, right) {
            (Value::Text(text), Value::Pattern(pattern)) => matches(pattern, text)?,
            (Value::Text(_), _) => return Err(ErrorKind::NeedsPattern),
            _ => return Err(ErrorKind::NeedsTexts(operator.as_str())),
        },
    };
    Ok(Value::Boolean(result))
}
