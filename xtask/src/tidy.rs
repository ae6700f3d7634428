//! What is kept tidy here that neither the compiler, nor rustfmt, nor clippy looks at.
//!
//! A rule is a function that looks at the whole [`Tree`] and names what it finds. No rule has an off switch;
//! the exceptions to one stand beside it, each with its reason, and one that is needed no more is itself found.
//!
//! Next: [`source`] for the text of files, [`links`] for what documents point at, [`crates`] for which crate may
//! use which.

mod crates;
mod links;
mod source;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;

type Rule = fn(&Tree, &mut Vec<Finding>);

const RULES: &[Rule] = &[
    source::every_source_file_begins_with_a_header,
    source::no_file_is_longer_than_it_should_be,
    source::nothing_is_left_unfinished,
    source::no_lint_is_allowed_in_passing,
    source::no_path_of_a_machine_is_named,
    links::every_link_leads_somewhere,
    links::every_path_in_the_map_exists,
    links::every_decision_is_in_the_index,
    crates::dependencies_point_one_way,
];

/// Checks the whole tree.
///
/// # Errors
/// Every finding on a line of its own, or why the tree cannot be read.
pub(crate) fn run() -> Result<(), String> {
    let tree = Tree::read(&root())?;
    let mut findings = Vec::new();
    for rule in RULES {
        rule(&tree, &mut findings);
    }
    if findings.is_empty() {
        println!("tidy: {} files, {} rules, nothing to say", tree.paths.len(), RULES.len());
        return Ok(());
    }
    findings.sort();
    let lines: Vec<String> = findings.iter().map(Finding::to_string).collect();
    Err(format!("{}\ntidy: {} findings", lines.join("\n"), lines.len()))
}

/// The folder of the workspace.
fn root() -> PathBuf {
    // Cargo names the folder of this crate to whatever it runs.
    let here = std::env::var_os("CARGO_MANIFEST_DIR").map_or_else(|| PathBuf::from("xtask"), PathBuf::from);
    here.join("..")
}

/// Something to mend, and where.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Finding {
    path: String,
    /// From 1; 0 for the file as a whole.
    line: usize,
    what: String,
}

impl Finding {
    fn new(path: &str, line: usize, what: impl Into<String>) -> Self {
        Finding { path: path.to_owned(), line, what: what.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(f, "{}: {}", self.path, self.what),
            line => write!(f, "{}:{line}: {}", self.path, self.what),
        }
    }
}

/// What git tracks, and what it would if everything were added.
#[derive(Debug, Default)]
struct Tree {
    paths: BTreeSet<String>,
    /// The files that are UTF-8, by path.
    texts: BTreeMap<String, String>,
}

impl Tree {
    fn read(root: &Path) -> Result<Tree, String> {
        let listed = Command::new("git")
            .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
            .current_dir(root)
            .output()
            .map_err(|error| format!("tidy asks git which files there are: {error}"))?;
        if !listed.status.success() {
            return Err(String::from_utf8_lossy(&listed.stderr).into_owned());
        }
        let mut tree = Tree::default();
        for path in String::from_utf8_lossy(&listed.stdout).split_terminator('\0') {
            // A file that was removed and not yet committed is listed, and is not there.
            let Ok(bytes) = std::fs::read(root.join(path)) else { continue };
            tree.add(path, bytes);
        }
        Ok(tree)
    }

    fn add(&mut self, path: &str, bytes: Vec<u8>) {
        self.paths.insert(path.to_owned());
        if let Ok(text) = String::from_utf8(bytes) {
            self.texts.insert(path.to_owned(), text);
        }
    }

    /// The texts whose path ends like this.
    fn ending<'a>(&'a self, end: &'a str) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.texts.iter().filter(move |(path, _)| path.ends_with(end)).map(|(path, text)| (&**path, &**text))
    }

    /// Whether there is this file or folder.
    fn has(&self, path: &str) -> bool {
        let folder = format!("{}/", path.trim_end_matches('/'));
        let file = !path.ends_with('/') && self.paths.contains(path);
        file || self.paths.range(folder.clone()..).next().is_some_and(|next| next.starts_with(&folder))
    }
}

#[cfg(test)]
fn tree(files: &[(&str, &str)]) -> Tree {
    let mut tree = Tree::default();
    for (path, text) in files {
        tree.add(path, text.as_bytes().to_vec());
    }
    tree
}

/// What a rule finds in these files.
#[cfg(test)]
fn found(rule: Rule, files: &[(&str, &str)]) -> Vec<String> {
    let mut findings = Vec::new();
    rule(&tree(files), &mut findings);
    findings.iter().map(Finding::to_string).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tree_has_its_files_and_the_folders_they_are_in() {
        let tree = tree(&[("a/b/c.rs", ""), ("a/bc.rs", "")]);
        for path in ["a", "a/", "a/b", "a/b/", "a/b/c.rs", "a/bc.rs"] {
            assert!(tree.has(path), "{path}");
        }
        for path in ["b", "a/bc", "a/b/c", "a/b/c.rs/", "c.rs"] {
            assert!(!tree.has(path), "{path}");
        }
    }
}
