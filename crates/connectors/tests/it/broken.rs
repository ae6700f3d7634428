//! A broken record is named with its line, and costs itself alone.

use maitred_connectors::{Format, RECORD_BYTES_MAX};

use crate::support::{check, read, read_cut, summary};

fn json(id: &str) -> String {
    format!("{{\"id\":\"{id}\",\"name\":\"Ann\",\"createdAt\":\"2024-01-01T00:00:00.000Z\"}}")
}

#[test]
fn a_broken_object_costs_itself() {
    let [a, b, c] = ["a", "b", "c"].map(json);
    let broken = [
        ("it is not closed", b.replace('}', "")),
        ("a quote is missing", b.replacen("\"b\"", "\"b", 1)),
        ("a comma is missing", b.replacen("\",\"", "\"\"", 1)),
        ("brackets do not match", b.replace('}', "]")),
        ("no JSON", "nonsense".to_owned()),
        ("no object", "12".to_owned()),
    ];
    for (what, b) in broken {
        for (input, line) in [
            (format!("{a}\n{b}\n{c}\n"), 2),
            (format!("[\n{a},\n{b},\n{c}\n]\n"), 3),
            (format!("{{\"customers\":[\n  {a},\n  {b},\n  {c}\n]}}"), 3),
        ] {
            let items = read(Format::Json, input.as_bytes());
            assert_eq!(summary(&items), ["a", &format!("{line}:record-malformed"), "c"], "{what}: {items:?}");
            assert_eq!(read_cut(Format::Json, None, input.as_bytes(), &[1]), items, "{what}");
        }
    }
}

#[test]
fn a_broken_object_costs_itself_in_a_single_line_too() {
    let [a, b, c] = ["a", "b", "c"].map(json);
    check(Format::Json, &format!("[{a},{},{c}]", b.replace('}', "")), &["a", "1:record-malformed", "c"]);
    // What stands between two quotes that are missing is not taken for text.
    let broken = b.replacen("\"b\"", "\"b", 1);
    let input = format!("[{a},{broken},{c},{c},{broken},{a}]");
    check(Format::Json, &input, &["a", "1:record-malformed", "c", "c", "1:record-malformed", "a"]);
}

#[test]
fn what_is_wrong_in_a_whole_object_is_named() {
    let [a, b] = ["a", "b"].map(json);
    let wrong = b.replace("2024-01-01T", "soon");
    check(
        Format::Json,
        &format!("[{a},\n{wrong},\n{{}},\n{b}]"),
        &["a", "2:record-invalid", "3:record-invalid", "b"],
    );
}

#[test]
fn an_input_that_is_cut_short_says_so() {
    let [a, b] = ["a", "b"].map(json);
    check(Format::Json, &format!("[{a},"), &["a", "1:record-cut-short"]);
    check(Format::Json, &format!("[{a},{}", &b[..20]), &["a", "1:record-cut-short"]);
    check(Format::Csv, "id,name,created_at\na,Ann,2024-01-01\nb,\"Bo", &["a", "3:record-cut-short"]);
    let rows = "INSERT INTO customers (id, name, created_at) VALUES\n('a', 'Ann', '2024-01-01')";
    check(Format::Sql, rows, &["a", "2:record-cut-short"]);
    check(Format::Sql, &format!("{rows},\n('b', 'Bo"), &["a", "3:record-cut-short"]);
}

#[test]
fn a_broken_row_of_csv_costs_itself() {
    let table = |row: &str| format!("id,name,created_at\na,Ann,2024-01-01\n{row}\nc,Cleo,2024-01-01\n");
    for row in ["b,\"Bo\"b,2024-01-01", "b,Bo\"b,2024-01-01", "b,Bob", "b,Bob,2024-01-01,more"] {
        check(Format::Csv, &table(row), &["a", "3:record-malformed", "c"]);
    }
    // What the missing mark has swallowed is read again.
    check(Format::Csv, &table("b,\"Bob,2024-01-01"), &["a", "3:record-cut-short", "c"]);
    // Two marks that are missing do not make one row of what stands between them.
    let between = "b,\"Bob,2024-01-01\nc,Cleo,2024-01-01\nd,Dan\",2024-01-01,more";
    check(Format::Csv, &table(between), &["a", "3:record-malformed", "c", "5:record-malformed", "c"]);
    check(Format::Csv, &table("b,Bob,soon"), &["a", "3:record-invalid", "c"]);
    check(Format::Csv, "a,Ann,2024-01-01\n", &["1:format-unknown"]);
}

#[test]
fn a_broken_row_of_sql_costs_itself() {
    let dump = |row: &str| {
        format!(
            "INSERT INTO customers (id, name, created_at) VALUES\n('a', 'Ann', '2024-01-01'),\n{row},\n\
             ('c', 'Cleo', '2024-01-01');\nINSERT INTO customers (id, name, created_at) VALUES ('d', 'Dan', '2024-01-01');\n"
        )
    };
    for row in [
        "('b', 'Bob', '2024-01-01'",
        "('b', 'Bob')",
        "('b', 'Bob', '2024-01-01', 1)",
        "('b', lower('Bob'), '2024-01-01')",
        "'b', 'Bob', '2024-01-01')",
        "('b, 'Bob', '2024-01-01')",
        "('b', 'O'Brien', '2024-01-01')",
    ] {
        check(Format::Sql, &dump(row), &["a", "3:record-malformed", "c", "d"]);
    }
    // Two marks that are missing do not make one row of what stands between them.
    let between =
        "('b', 'O'Brien', '2024-01-01'),\n('x', 'Xan', '2024-01-01'),\n('b', 'O'Neil', '2024-01-01')";
    let expected = ["a", "3:record-malformed", "x", "5:record-malformed", "c", "d"];
    check(Format::Sql, &dump(between), &expected);
    check(Format::Sql, &dump("('b', 'Bob', 'soon')"), &["a", "3:record-invalid", "c", "d"]);
}

#[test]
fn a_record_that_is_too_long_costs_itself() {
    let [a, c] = ["a", "c"].map(json);
    let long = "x".repeat(RECORD_BYTES_MAX);
    let inputs = [
        (Format::Json, format!("{a}\n{}\n{c}\n", json(&long))),
        (
            Format::Csv,
            format!("id,name,created_at\na,Ann,2024-01-01\nb,{long},2024-01-01\nc,Cleo,2024-01-01\n"),
        ),
        (
            Format::Sql,
            format!(
                "INSERT INTO customers (id, name, created_at) VALUES ('a', 'Ann', '2024-01-01'),\n\
                 ('b', '{long}', '2024-01-01'),\n('c', 'Cleo', '2024-01-01');"
            ),
        ),
    ];
    for (format, input) in inputs {
        let line = if format == Format::Csv { 3 } else { 2 };
        let items = read(format, input.as_bytes());
        assert_eq!(summary(&items), ["a", &format!("{line}:record-too-long"), "c"], "{format:?}");
        assert_eq!(read_cut(format, None, input.as_bytes(), &[1, 50_000, 999]), items, "{format:?}");
    }
}
