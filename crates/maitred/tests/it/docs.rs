//! `/openapi.json`, `/docs…` and `docs/errors/`.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use maitred::docs::{ERROR_PAGES, to_json};
use maitred::router;

use crate::server::Server;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// `UPDATE=1 cargo test -p maitred --test it the_document` writes it anew.
#[test]
fn the_document_in_the_repository_is_the_one_that_is_served() {
    let server = Server::open();
    let (_, document) = router::router(&server.app);
    let made = to_json(&document);
    assert_eq!(server.get("/openapi.json").send().text(), made);
    let file = root().join("docs/openapi.json");
    if std::env::var_os("UPDATE").is_some() {
        fs::write(&file, &made).expect("the repository can be written");
    }
    let kept = fs::read_to_string(&file).expect("docs/openapi.json is there");
    assert!(
        kept == made,
        "docs/openapi.json is not up to date: run this test with UPDATE=1, and look at the change"
    );
}

#[test]
fn the_interactive_pages_come_from_the_binary_and_load_nothing_from_elsewhere() {
    let server = Server::open();
    for path in ["/docs", "/docs/", "/api/docs", "/api/docs/"] {
        let page = server.get(path).send();
        assert_eq!(
            (page.status, page.header("content-type")),
            (200, Some("text/html; charset=utf-8")),
            "{path}"
        );
        let policy = page.header("content-security-policy").expect("a policy");
        assert!(policy.contains("default-src 'none'") && !policy.contains("unsafe-eval"), "{policy}");
        let html = page.text();
        assert!(!html.contains("//"), "everything is loaded from this server: {html}");
        let assets: Vec<_> = html.split('"').filter(|text| text.starts_with("/docs/assets/")).collect();
        assert_eq!(assets.len(), 4, "{html}");
        for asset in assets {
            let answer = server.get(asset).send();
            assert_eq!(answer.status, 200, "{asset}");
            assert!(!answer.is_empty(), "{asset}");
        }
    }
    let types = ["swagger-ui.css", "swagger-ui-bundle.js", "start.js", "favicon-32x32.png"].map(|file| {
        server.get(format!("/docs/assets/{file}")).send().header("content-type").expect("a type").to_owned()
    });
    assert_eq!(types, ["text/css", "text/javascript", "text/javascript", "image/png"]);
    for file in ["index.html", "..%2Fopenapi.json", "swagger-ui.css.map"] {
        assert_eq!(server.get(format!("/docs/assets/{file}")).send().refusal().0, 404, "{file}");
    }
}

#[test]
fn each_kind_of_problem_has_a_page() {
    let server = Server::with_keys();
    let list = server.anonymous("GET", "/docs/errors").send();
    assert_eq!(list.status, 200);
    for (code, _) in ERROR_PAGES {
        assert!(list.text().contains(&format!("href=\"/docs/errors/{code}\"")), "{code} is not listed");
        let page = server.anonymous("GET", format!("/docs/errors/{code}")).send();
        assert_eq!(
            (page.status, page.header("content-type")),
            (200, Some("text/html; charset=utf-8")),
            "{code}"
        );
        assert!(page.text().contains("<h1>") && page.text().contains("<p>"), "{code}");
    }
}

#[test]
fn the_pages_in_the_repository_are_those_that_are_served() {
    let served: BTreeSet<_> = ERROR_PAGES.iter().map(|(code, _)| format!("{code}.md")).collect();
    let kept = fs::read_dir(root().join("docs/errors")).expect("the folder is there");
    let kept: BTreeSet<_> =
        kept.map(|entry| entry.expect("a file").file_name().into_string().expect("UTF-8")).collect();
    assert_eq!(served, kept);
}

#[test]
fn a_page_begins_with_its_problems_title() {
    for row in maitred_web::problem::CODES {
        let (_, text) = ERROR_PAGES
            .iter()
            .find(|(code, _)| *code == row.code)
            .unwrap_or_else(|| panic!("no page for {}", row.code));
        assert_eq!(text.lines().next(), Some(format!("# {}", row.title).as_str()), "{}", row.code);
        let status = row.status.as_str();
        assert!(
            text.lines().nth(2).is_some_and(|line| line.starts_with(status)),
            "{} is a {status}",
            row.code
        );
    }
}

#[test]
fn every_code_that_a_rule_refuses_with_has_a_page() {
    let mut codes = BTreeSet::new();
    for crate_name in ["booking", "engine"] {
        collect(&root().join("crates").join(crate_name).join("src"), &mut codes);
    }
    assert!(
        codes.len() > 25 && codes.contains("time-range-unavailable"),
        "the search finds codes: {codes:?}"
    );
    let pages: BTreeSet<_> = ERROR_PAGES.iter().map(|(code, _)| (*code).to_owned()).collect();
    let without: Vec<_> = codes.difference(&pages).collect();
    assert_eq!(without, [""; 0].iter().collect::<Vec<_>>(), "docs/errors/ needs a page for each");
}

/// Collects the codes of rejections and violations: texts in kebab-case that stand in their constructors' calls.
fn collect(dir: &Path, codes: &mut BTreeSet<String>) {
    for entry in fs::read_dir(dir).expect("a folder of sources") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            collect(&path, codes);
            continue;
        }
        let is_test = path.file_name().is_some_and(|name| name == "tests.rs" || name == "testing.rs");
        if is_test || path.extension().is_none_or(|extension| extension != "rs") {
            continue;
        }
        let source = fs::read_to_string(&path).expect("a source file");
        let source = source.split("#[cfg(test)]").next().unwrap_or_default();
        for call in ["Rejection::new(", "Rejection::conflict(", "Violation::new(", "check_text("] {
            for (at, _) in source.match_indices(call) {
                let arguments = source[at..].split(';').next().unwrap_or_default();
                let texts = arguments.split('"').skip(1).step_by(2);
                let kebab = |text: &&str| {
                    text.contains('-') && text.bytes().all(|b| b.is_ascii_lowercase() || b == b'-')
                };
                codes.extend(texts.filter(kebab).take(1).map(str::to_owned));
            }
        }
    }
}
