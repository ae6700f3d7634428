//! `generate salon`: the files.

use crate::program::{Folder, run};

const FORMATS: [&str; 4] = ["json", "csv", "sql", "avro"];

/// Generates a small salon into a folder of this name.
pub(crate) fn small(folder: &Folder, name: &str, seed: &str, customers: &str, bookings: &str) -> String {
    let out = folder.arg(name);
    let sizes = ["--customers", customers, "--bookings", bookings];
    let options = ["generate", "salon", "--tenant", "appa", "--out", &out, "--seed", seed];
    let formats = ["--format", "json,csv,sql,avro"];
    let told = run(&[&options[..], &sizes, &formats].concat()).succeeds().stdout;
    assert_eq!(told.lines().count(), 8, "{told}");
    out
}

fn file(out: &str, kind: &str, format: &str) -> Vec<u8> {
    std::fs::read(format!("{out}/appa_{kind}.{format}")).expect("the file")
}

#[test]
fn the_same_options_make_the_same_files_byte_for_byte() {
    let folder = Folder::new();
    let one = small(&folder, "one", "7", "50", "700");
    let two = small(&folder, "two", "7", "50", "700");
    let other = small(&folder, "other", "8", "50", "700");
    for kind in ["customers", "bookings"] {
        for format in FORMATS {
            let bytes = file(&one, kind, format);
            assert!(bytes == file(&two, kind, format), "{kind}.{format}");
            assert!(bytes != file(&other, kind, format), "{kind}.{format}");
        }
    }
    let csv = String::from_utf8(file(&one, "customers", "csv")).expect("UTF-8");
    assert_eq!(csv.lines().count(), 51);
    assert!(csv.starts_with("id,tenantId,name,email,phone,createdAt,updatedAt\n"), "{csv}");
    let json: serde_json::Value = serde_json::from_slice(&file(&one, "bookings", "json")).expect("JSON");
    assert_eq!(json.as_array().map(Vec::len), Some(700));
    assert!(json[0]["price"].is_number() && json[0]["tenantId"] == "appa", "{}", json[0]);
    let sql = String::from_utf8(file(&one, "bookings", "sql")).expect("UTF-8");
    assert_eq!(sql.matches("INSERT INTO bookings").count(), 2, "500 rows each");
}

#[test]
fn a_salon_of_another_name_needs_sizes() {
    let folder = Folder::new();
    let out = folder.arg("out");
    run(&["generate", "salon", "--tenant", "mine", "--out", &out]).fails(2, &["--customers and --bookings"]);
    run(&["generate", "salon", "--tenant", "a/b", "--out", &out]).fails(2, &["letters, digits"]);
    run(&["generate", "salon", "--tenant", "mine", "--out", &out, "--customers", "1", "--bookings", "0"])
        .succeeds();
}
