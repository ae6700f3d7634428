//! What is wrong with the fields of a command, found alike at the edge and by the rules.

use maitred_core::{Class, Rejection};
use serde::Serialize;

/// A field that breaks a rule, whatever is in the view.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Violation {
    /// The field, as a JSON pointer into the native API's body.
    pub pointer: &'static str,
    /// One sentence for a person.
    pub detail: String,
    /// The stable code.
    #[serde(skip)]
    pub code: &'static str,
}

impl Violation {
    /// A violation of the field at `pointer`.
    pub fn new(pointer: &'static str, code: &'static str, detail: impl Into<String>) -> Self {
        Violation { pointer, detail: detail.into(), code }
    }
}

/// Refuses when there is a violation: the first gives code and detail, all stand in the member `errors`.
///
/// # Errors
/// [`Class::Unprocessable`] unless `violations` is empty.
pub fn refuse_any(violations: &[Violation]) -> Result<(), Rejection> {
    let Some(first) = violations.first() else { return Ok(()) };
    let errors = serde_json::to_string(violations).expect("texts become JSON");
    Err(Rejection::new(Class::Unprocessable, first.code, first.detail.clone()).with("errors", errors))
}

/// Checks a text's length in characters, and that no NUL is in it (PostgreSQL's `text` takes none).
pub fn check_text(
    violations: &mut Vec<Violation>,
    pointer: &'static str,
    code: &'static str,
    text: &str,
    chars: std::ops::RangeInclusive<usize>,
) {
    let (min, max) = chars.into_inner();
    // A character has one to four bytes, so most texts need no counting.
    let fits = text.len() >= min && (text.len() <= max || text.chars().count() <= max);
    if !fits {
        let name = &pointer[1..];
        violations.push(Violation::new(pointer, code, format!("{name} must have {min} to {max} characters")));
    } else if text.as_bytes().contains(&0) {
        let name = &pointer[1..];
        violations.push(Violation::new(pointer, code, format!("{name} must not contain the character NUL")));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn violations(text: &str) -> usize {
        let mut found = Vec::new();
        check_text(&mut found, "/name", "invalid-name", text, 1..=4);
        found.len()
    }

    #[test]
    fn lengths_are_counted_in_characters() {
        assert_eq!(["a", "abcd", "äöüß", "🦀🦀🦀🦀"].map(violations), [0; 4]);
        assert_eq!(["", "abcde", "äöüßä", "a\0"].map(violations), [1; 4]);
    }

    #[test]
    fn the_first_violation_gives_the_code_and_all_are_listed() {
        assert_eq!(refuse_any(&[]), Ok(()));
        let found =
            [Violation::new("/a", "invalid-a", "a \"bad\" one"), Violation::new("/b", "invalid-b", "b")];
        let rejection = refuse_any(&found).expect_err("there are violations");
        assert_eq!((rejection.class, &*rejection.code), (Class::Unprocessable, "invalid-a"));
        assert_eq!(
            rejection.members[0].json,
            r#"[{"pointer":"/a","detail":"a \"bad\" one"},{"pointer":"/b","detail":"b"}]"#
        );
    }
}
