//! Rules on what documents point at: a map that names what is gone is worse than none.

use super::{Finding, Tree};

/// Where paths between backticks are held to exist: the documents that are about this tree.
const MAPS: [&str; 3] = ["ARCHITECTURE.md", "docs/decisions/", "docs/adding-a-domain.md"];
const DECISIONS: &str = "docs/decisions/";
const INDEX: &str = "docs/decisions/README.md";
/// By these endings a word without a slash is taken for a file's name.
const ENDINGS: [&str; 5] = [".rs", ".md", ".toml", ".yml", ".json"];

pub(super) fn every_link_leads_somewhere(tree: &Tree, findings: &mut Vec<Finding>) {
    for (path, text) in tree.ending(".md") {
        for (number, line) in prose(text) {
            for target in links(line) {
                let file = target.split('#').next().unwrap_or_default();
                if !file.is_empty() && !file.contains(':') && !tree.has(&resolve(path, file)) {
                    findings.push(Finding::new(
                        path,
                        number,
                        format!("a link to {target}, which is not there"),
                    ));
                }
            }
        }
    }
}

pub(super) fn every_path_in_the_map_exists(tree: &Tree, findings: &mut Vec<Finding>) {
    for (path, text) in tree.ending(".md") {
        if !MAPS.iter().any(|map| path.starts_with(map)) {
            continue;
        }
        for (number, line) in prose(text) {
            for named in line.split('`').skip(1).step_by(2).filter(|code| looks_like_a_path(code)) {
                if !tree.has(named) && !ends_a_path(tree, named) {
                    findings.push(Finding::new(path, number, format!("{named} is not there")));
                }
            }
        }
    }
}

pub(super) fn every_decision_is_in_the_index(tree: &Tree, findings: &mut Vec<Finding>) {
    let index = tree.texts.get(INDEX).map_or("", String::as_str);
    let listed: Vec<String> =
        prose(index).flat_map(|(_, line)| links(line)).map(|target| resolve(INDEX, target)).collect();
    for (path, _) in tree.ending(".md").filter(|(path, _)| path.starts_with(DECISIONS) && *path != INDEX) {
        if !listed.iter().any(|target| target == path) {
            findings.push(Finding::new(path, 0, format!("{INDEX} does not list it")));
        }
    }
}

/// The numbered lines outside of code blocks.
fn prose(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut code = false;
    (1..).zip(text.lines()).filter(move |(_, line)| {
        let fence = line.trim_start().starts_with("```");
        code ^= fence;
        !code && !fence
    })
}

/// The targets of the links in a line of Markdown.
fn links(line: &str) -> impl Iterator<Item = &str> {
    line.split("](").skip(1).filter_map(|rest| rest.split([')', ' ']).next())
}

/// The path that `target` means in the document `from`.
fn resolve(from: &str, target: &str) -> String {
    let mut parts: Vec<&str> = from.split('/').collect();
    parts.pop();
    for part in target.trim_end_matches('/').split('/') {
        match part {
            "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts.join("/")
}

fn looks_like_a_path(code: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-' | '/');
    let named = code.contains('/') || ENDINGS.iter().any(|ending| code.ends_with(ending));
    named && code.chars().all(plain) && !code.starts_with('/')
}

/// Whether some path ends with these whole names: a map may leave out where it is plain.
fn ends_a_path(tree: &Tree, named: &str) -> bool {
    let (file, folder) = (format!("/{named}"), format!("/{}/", named.trim_end_matches('/')));
    tree.paths.iter().any(|path| path.ends_with(&file) || path.contains(&folder))
}

#[cfg(test)]
mod tests {
    use super::super::found;
    use super::*;

    #[test]
    fn a_link_to_nothing_is_found() {
        let text = "[a](b.md) [b](../c/d.md#part) [c](https://example.org/x) [d](#here) [e](c/)\n\
                    ```\n[f](gone.md)\n```\n[g](gone.md) and [h](../gone)\n";
        let files = [("docs/a.md", text), ("docs/b.md", ""), ("c/d.md", ""), ("docs/c/e.md", "")];
        assert_eq!(
            found(every_link_leads_somewhere, &files),
            [
                "docs/a.md:5: a link to gone.md, which is not there",
                "docs/a.md:5: a link to ../gone, which is not there"
            ]
        );
    }

    #[test]
    fn a_path_that_is_gone_is_found_in_a_map_and_nowhere_else() {
        let text = "`crates/core/src/time.rs` `core/` `time.rs` `src/time.rs` `a/b` `gone.rs`\n\
                    `GET /v1/x` `/v1/x` `<domain>/fact.rs` `time` `ime.rs`\n```\n`also/gone`\n```\n";
        let files = [("ARCHITECTURE.md", text), ("README.md", text), ("crates/core/src/time.rs", "")];
        assert_eq!(
            found(every_path_in_the_map_exists, &files),
            [
                "ARCHITECTURE.md:1: a/b is not there",
                "ARCHITECTURE.md:1: gone.rs is not there",
                "ARCHITECTURE.md:2: ime.rs is not there"
            ]
        );
    }

    #[test]
    fn a_decision_that_the_index_leaves_out_is_found() {
        let index = "- [One](0001-one.md)\n";
        let files = [
            (INDEX, index),
            ("docs/decisions/0001-one.md", ""),
            ("docs/decisions/0002-two.md", ""),
            ("docs/a.md", ""),
        ];
        assert_eq!(
            found(every_decision_is_in_the_index, &files),
            ["docs/decisions/0002-two.md: docs/decisions/README.md does not list it"]
        );
    }
}
