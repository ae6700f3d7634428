//! Which crate may use which: the arrows of ARCHITECTURE.md, held against the manifests.

use super::{Finding, Tree};

/// Every crate, and the crates of this workspace that it may use, in tests too.
const MAY_USE: &[(&str, &[&str])] = &[
    ("maitred-core", &[]),
    ("maitred-engine", &["maitred-core"]),
    ("maitred-storage", &["maitred-core", "maitred-engine"]),
    ("maitred-web", &["maitred-core", "maitred-engine"]),
    ("maitred-booking", &["maitred-core", "maitred-engine", "maitred-web"]),
    ("maitred-connectors", &[]),
    (
        "maitred",
        &[
            "maitred-core",
            "maitred-engine",
            "maitred-storage",
            "maitred-booking",
            "maitred-web",
            "maitred-connectors",
        ],
    ),
    ("maitred-sim", &["maitred-core", "maitred-engine", "maitred-storage", "maitred-booking"]),
    ("maitred-bench", &["maitred"]),
    ("xtask", &[]),
];

/// What the core may use from elsewhere: neither a runtime nor anything that does I/O.
const CORE: &str = "maitred-core";
const CORE_MAY_USE: [&str; 1] = ["uuid"];

pub(super) fn dependencies_point_one_way(tree: &Tree, findings: &mut Vec<Finding>) {
    for (path, text) in tree.ending("Cargo.toml").filter(|(path, _)| *path != "Cargo.toml") {
        let manifest = Manifest::read(text);
        let Some((_, allowed)) = MAY_USE.iter().find(|(name, _)| *name == manifest.name) else {
            let what = format!("{:?} is not in the list of crates (MAY_USE)", manifest.name);
            findings.push(Finding::new(path, 0, what));
            continue;
        };
        for Dependency { name, line, for_tests } in manifest.dependencies {
            let ours = MAY_USE.iter().any(|(known, _)| *known == name);
            let refused = if ours {
                !allowed.contains(&name)
            } else {
                manifest.name == CORE && !for_tests && !CORE_MAY_USE.contains(&name)
            };
            if refused {
                findings.push(Finding::new(path, line, format!("{} may not use {name}", manifest.name)));
            }
        }
    }
}

/// What this rule needs to know of a manifest.
#[derive(Debug, PartialEq, Eq)]
struct Manifest<'a> {
    name: &'a str,
    dependencies: Vec<Dependency<'a>>,
}

#[derive(Debug, PartialEq, Eq)]
struct Dependency<'a> {
    name: &'a str,
    line: usize,
    for_tests: bool,
}

impl<'a> Manifest<'a> {
    /// Reads the manifests of this workspace: a key a line, and tables by their headers.
    fn read(text: &'a str) -> Self {
        let mut manifest = Manifest { name: "", dependencies: Vec::new() };
        let mut table = "";
        for (number, line) in (1..).zip(text.lines().map(str::trim)) {
            if let Some(header) = line.strip_prefix('[') {
                table = header.trim_end_matches(']');
                if let Some((kind, name)) = table.rsplit_once("dependencies.") {
                    manifest.dependencies.push(Dependency {
                        name,
                        line: number,
                        for_tests: kind.ends_with("dev-"),
                    });
                }
                continue;
            }
            let Some((key, value)) = line.split_once('=').filter(|_| !line.starts_with('#')) else {
                continue;
            };
            let key = key.trim().split('.').next().unwrap_or_default();
            if table == "package" && key == "name" {
                manifest.name = value.trim().trim_matches('"');
            } else if table.ends_with("dependencies") {
                let for_tests = table.ends_with("dev-dependencies");
                manifest.dependencies.push(Dependency { name: key, line: number, for_tests });
            }
        }
        manifest
    }
}

#[cfg(test)]
mod tests {
    use super::super::found;
    use super::*;

    #[test]
    fn a_manifest_is_read_in_every_form_in_which_a_dependency_is_written() {
        let text = "[package]\nname = \"a\"\n\n[dependencies]\nb.workspace = true\n# c = \"1\"\nd = { version = \"1\" }\n\
                    [dev-dependencies]\ne = \"1\"\n[target.'cfg(unix)'.dependencies]\nf = \"1\"\n\
                    [dependencies.g]\nversion = \"1\"\n[features]\nh = []\n";
        let manifest = Manifest::read(text);
        assert_eq!(manifest.name, "a");
        let read: Vec<_> = manifest.dependencies.iter().map(|d| (d.name, d.line, d.for_tests)).collect();
        assert_eq!(
            read,
            [("b", 5, false), ("d", 7, false), ("e", 9, true), ("f", 11, false), ("g", 12, false)]
        );
    }

    #[test]
    fn a_dependency_against_the_arrows_is_found() {
        let manifest = |name: &str, dependency: &str| {
            format!("[package]\nname = \"{name}\"\n[dependencies]\n{dependency}.workspace = true\n")
        };
        let files = [
            ("Cargo.toml", manifest("unknown", "maitred")),
            ("crates/core/Cargo.toml", manifest("maitred-core", "tokio")),
            ("crates/engine/Cargo.toml", manifest("maitred-engine", "maitred-booking")),
            ("crates/storage/Cargo.toml", manifest("maitred-storage", "maitred-engine")),
            ("crates/new/Cargo.toml", manifest("maitred-new", "serde")),
        ];
        let files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (*path, &**text)).collect();
        assert_eq!(
            found(dependencies_point_one_way, &files),
            [
                "crates/core/Cargo.toml:4: maitred-core may not use tokio",
                "crates/engine/Cargo.toml:4: maitred-engine may not use maitred-booking",
                "crates/new/Cargo.toml: \"maitred-new\" is not in the list of crates (MAY_USE)",
            ]
        );
    }
}
