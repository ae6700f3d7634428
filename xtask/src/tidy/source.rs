//! Rules on the text of files.
//!
//! What they look for is spelt in two halves here, so that they do not find themselves.

use super::{Finding, Tree};

/// A source file of more lines is questioned.
const LINES_MAX: usize = 500;

/// The source files that are longer and stay so, each with the reason.
const LONG: &[(&str, &str)] = &[
    ("crates/booking/src/appointments/tests.rs", "rows of one table: every answer the domain gives"),
    ("crates/booking/src/flash_sales/tests.rs", "rows of one table: every answer the domain gives"),
    ("crates/maitred/tests/it/flash_sales.rs", "rows of one table: every answer of the domain's routes"),
    ("crates/booking/src/tenants/tests.rs", "rows of one table: every answer the domain gives"),
];

const ALLOW: [&str; 2] = [concat!("#[", "allow("), concat!("#![", "allow(")];
const UNFINISHED_WORDS: [&str; 2] = [concat!("TO", "DO"), concat!("FIX", "ME")];
const UNFINISHED_MACROS: [&str; 3] =
    [concat!("to", "do!"), concat!("unimpl", "emented!"), concat!("db", "g!")];
/// Where the checkouts and homes of people and of build machines are.
const MACHINE_FOLDERS: [&str; 3] = [concat!("/ro", "ot/"), concat!("/ho", "me/"), concat!("/wo", "rk/")];

pub(super) fn every_source_file_begins_with_a_header(tree: &Tree, findings: &mut Vec<Finding>) {
    for (path, text) in tree.ending(".rs") {
        if !text.starts_with("//!") {
            let what =
                "a source file begins with a header (//!): what it is, its invariants, where to go next";
            findings.push(Finding::new(path, 1, what));
        }
    }
}

pub(super) fn no_file_is_longer_than_it_should_be(tree: &Tree, findings: &mut Vec<Finding>) {
    no_file_is_longer_unless(tree, LONG, findings);
}

fn no_file_is_longer_unless(tree: &Tree, long: &[(&str, &str)], findings: &mut Vec<Finding>) {
    for (path, text) in tree.ending(".rs") {
        let lines = text.lines().count();
        if lines > LINES_MAX && !long.iter().any(|(known, _)| *known == path) {
            let what =
                format!("{lines} lines, and the most is {LINES_MAX}: is it one thing? (exceptions: LONG)");
            findings.push(Finding::new(path, 0, what));
        }
    }
    for (path, _) in long {
        if tree.texts.get(*path).is_none_or(|text| text.lines().count() <= LINES_MAX) {
            findings.push(Finding::new(path, 0, "is no longer too long: take it off the list (LONG)"));
        }
    }
}

pub(super) fn nothing_is_left_unfinished(tree: &Tree, findings: &mut Vec<Finding>) {
    let mut look = |path: &str, text: &str, marks: &[&str]| {
        for (number, line) in (1..).zip(text.lines()) {
            for mark in marks.iter().filter(|mark| has_word(line, mark)) {
                findings.push(Finding::new(
                    path,
                    number,
                    format!("{mark}: finish it, or write down why not"),
                ));
            }
        }
    };
    for (path, text) in &tree.texts {
        look(path, text, &UNFINISHED_WORDS);
    }
    for (path, text) in tree.ending(".rs") {
        look(path, text, &UNFINISHED_MACROS);
    }
}

pub(super) fn no_lint_is_allowed_in_passing(tree: &Tree, findings: &mut Vec<Finding>) {
    for (path, text) in tree.ending(".rs") {
        for (number, line) in (1..).zip(text.lines()) {
            if ALLOW.iter().any(|allow| line.contains(allow)) {
                findings.push(Finding::new(path, number, "write #[expect(…, reason = \"…\")]"));
            }
        }
    }
}

pub(super) fn no_path_of_a_machine_is_named(tree: &Tree, findings: &mut Vec<Finding>) {
    for (path, text) in &tree.texts {
        for (number, line) in (1..).zip(text.lines()) {
            for folder in MACHINE_FOLDERS.iter().filter(|folder| has_word(line, folder)) {
                let what = format!("{folder}… exists on somebody's machine only");
                findings.push(Finding::new(path, number, what));
            }
        }
    }
}

/// Whether `line` contains `word`, and not as the rest of a longer word or path.
fn has_word(line: &str, word: &str) -> bool {
    let part_of_word = |c: char| c.is_alphanumeric() || matches!(c, '_' | '.' | '-');
    let ends_in_letter = word.ends_with(char::is_alphanumeric);
    line.match_indices(word).any(|(at, _)| {
        let joined_behind = ends_in_letter && line[at + word.len()..].starts_with(char::is_alphanumeric);
        !line[..at].ends_with(part_of_word) && !joined_behind
    })
}

#[cfg(test)]
mod tests {
    use super::super::{found, tree};
    use super::*;

    #[test]
    fn a_source_file_without_a_header_is_found() {
        let files = [("a.rs", "//! What it is.\n"), ("b.rs", "use a;\n"), ("c.rs", ""), ("d.md", "# D\n")];
        let found = found(every_source_file_begins_with_a_header, &files);
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(found[0].starts_with("b.rs:1: ") && found[1].starts_with("c.rs:1: "), "{found:?}");
    }

    #[test]
    fn a_long_file_is_found_unless_it_is_listed_and_the_list_has_no_others() {
        let (short, long) = ("//!\n".repeat(LINES_MAX), "//!\n".repeat(LINES_MAX + 1));
        let files = [("long.rs", &*long), ("listed.rs", &*long), ("short.rs", &*short), ("long.md", &*long)];
        let mut findings = Vec::new();
        let listed = [("listed.rs", "so"), ("short.rs", "so"), ("gone.rs", "so")];
        no_file_is_longer_unless(&tree(&files), &listed, &mut findings);
        let paths: Vec<&str> = findings.iter().map(|finding| &*finding.path).collect();
        assert_eq!(paths, ["long.rs", "short.rs", "gone.rs"]);
    }

    #[test]
    fn what_is_unfinished_is_found_by_whole_words() {
        let [word, other] = UNFINISHED_WORDS;
        let [later, never, show] = UNFINISHED_MACROS;
        let source = format!("// {word}: more\n{later}()\nlet x = {show}(y);\n{never}()\nmas{later}\n");
        let prose = format!("({other})\n{word}S\nA{word}\n{show}\n");
        let found = found(nothing_is_left_unfinished, &[("a.md", &prose), ("b.rs", &source)]);
        let places: Vec<&str> = found.iter().map(|line| line.split_once(": ").expect("a place").0).collect();
        assert_eq!(places, ["a.md:1", "b.rs:1", "b.rs:2", "b.rs:3", "b.rs:4"]);
    }

    #[test]
    fn a_bare_allow_is_found() {
        let [outer, inner] = ALLOW;
        let source =
            format!("{inner}dead_code)]\n#[expect(dead_code, reason = \"so\")]\n    {outer}dead_code)]\n");
        let found = found(no_lint_is_allowed_in_passing, &[("a.rs", &source), ("a.md", &source)]);
        assert_eq!(found.len(), 2, "{found:?}");
    }

    #[test]
    fn a_path_of_a_machine_is_found_and_one_that_only_ends_like_it_is_not() {
        let [root, home, _] = MACHINE_FOLDERS;
        let text = format!("see {root}x\ncd '{home}me'\nsrc{root}x\n.{home}x\n~{home}\n");
        let found = found(no_path_of_a_machine_is_named, &[("a.md", &text)]);
        assert_eq!(found.len(), 3, "{found:?}");
    }
}
