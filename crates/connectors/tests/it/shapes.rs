//! The shapes in which the other systems write their records.

use maitred_connectors::salon::{Kind, Record};
use maitred_connectors::{Format, RECORD_BYTES_MAX};

use crate::support::{check, read, read_cut, summary};

/// A customer as JSON.
fn customer(id: &str) -> String {
    format!("{{\"id\":\"{id}\",\"name\":\"Ann\",\"createdAt\":\"2024-01-01T00:00:00.000Z\"}}")
}

#[test]
fn json_is_read_as_a_list_as_lines_and_within_objects() {
    let [a, b, c] = ["a", "b", "c"].map(customer);
    for input in [
        format!("[{a},{b},{c}]"),
        format!("\u{feff} [\n  {a},\n  {b}\n,{c}]\n"),
        format!("{a}\n{b}\r\n\n{c}"),
        format!("{a}{b} {c}"),
        format!("{{\"count\":3,\"customers\":[{a},{b}],\"none\":[],\"x\":{{\"y\":\"[{{\"}},\"more\":[{c}]}}"),
        format!("{{\"data\":{{\"page\":{{\"items\":[{a},{b},{c}]}},\"next\":null}},\"ok\":true}}"),
    ] {
        check(Format::Json, &input, &["a", "b", "c"]);
    }
    for empty in ["", " \n", "[]", "{\"customers\":[],\"bookings\":[]}", "\u{feff}"] {
        check(Format::Json, empty, &[]);
    }
}

#[test]
fn a_booking_that_brings_its_customer_makes_two_records() {
    let input = "{\"count\":1,\"start\":\"2025-01-01T00:00:00.000Z\",\"bookings\":[{\"id\":\"b\",\"tenantId\":\"APPA\",\
        \"customerId\":\"c\",\"title\":\"Cut {[\\\"\",\"description\":\"\",\"date\":\"2025-01-02T10:00:00.000Z\",\
        \"status\":\"pending\",\"price\":45.5,\"currency\":\"EUR\",\"createdAt\":\"2024-01-01T00:00:00.000Z\",\
        \"updatedAt\":\"2024-01-02T00:00:00.000Z\",\"customer\":{\"id\":\"c\",\"tenantId\":\"APPA\",\"name\":\"Ann\",\
        \"email\":\"a@x\",\"phone\":\"1\",\"createdAt\":\"2023-01-01T00:00:00.000Z\"}}]}";
    check(Format::Json, input, &["c", "b"]);
    let items = read(Format::Json, input.as_bytes());
    let Ok((_, Record::Booking(booking))) = &items[1] else { panic!("{items:?}") };
    assert_eq!((&*booking.title, booking.price), ("Cut {[\"", 45.5));
    assert_eq!(booking.tenant.as_deref(), Some("APPA"));
}

#[test]
fn csv_is_read_with_any_order_separator_and_line_ends() {
    for input in [
        "id,name,created_at\na,Ann,2024-01-01\nb,\"O, \"\"B\"\"\n2\",2024-01-01\n",
        "\u{feff}created_at;Name;extra;ID\r\n2024-01-01;Ann;;a\r\n\r\n2024-01-01;\"O, \"\"B\"\"\n2\";x;b",
        "NAME\tcreatedAt\tid\nAnn\t2024-01-01\t\"a\"\r\n\"O, \"\"B\"\"\n2\"\t2024-01-01\tb\r\n",
    ] {
        check(Format::Csv, input, &["a", "b"]);
        let items = read(Format::Csv, input.as_bytes());
        let Ok((_, Record::Customer(customer))) = &items[1] else { panic!("{items:?}") };
        assert_eq!(customer.name, "O, \"B\"\n2");
    }
    for empty in ["", "\u{feff}", "id,name\n", "\n\nid,name"] {
        check(Format::Csv, empty, &[]);
    }
}

#[test]
fn a_dump_is_read_with_its_comments_tables_and_escapes() {
    let dump = "-- it's a dump\nBEGIN;\nSET x = 'a;b';\n/* CREATE TABLE nothing (id); \n */\n\
        CREATE TABLE IF NOT EXISTS \"public\".\"Customers\" (\n  id VARCHAR(36) PRIMARY KEY, -- (,\n\
        \x20 name TEXT NOT NULL DEFAULT 'x;)',\n  price DECIMAL(10, 2),\n  created_at TIMESTAMP,\n\
        \x20 CONSTRAINT one UNIQUE (id, name)\n);\n\
        INSERT INTO public.customers VALUES ('a', 'O''Brien', 1.5, TIMESTAMP '2024-01-01 00:00:00'),\n\
        \x20 /* between, (rows */ ('b', E'x\\'y\\n', NULL, '2024-01-01'::timestamp)\n\
        ON CONFLICT (id) DO NOTHING;\n\
        insert into bookings(ID, customer_id, title, date, status, price, currency, created_at)\nvalues\n\
        ('c','a','Cut; (all) -- of it','2024-02-29T10:00:00Z','completed',-45.90,'EUR','2024-01-01');\n\
        INSERT INTO migrations (id, done) VALUES (1, TRUE), (2, FALSE);\nCOMMIT;\n";
    check(Format::Sql, dump, &["a", "b", "c", "19:format-unknown"]);
    let items = read(Format::Sql, dump.as_bytes());
    let Ok((_, Record::Customer(first))) = &items[0] else { panic!("{items:?}") };
    let Ok((_, Record::Customer(second))) = &items[1] else { panic!("{items:?}") };
    let Ok((_, Record::Booking(booking))) = &items[2] else { panic!("{items:?}") };
    assert_eq!((&*first.name, &*second.name), ("O'Brien", "x'y\n"));
    assert_eq!((&*booking.title, booking.price), ("Cut; (all) -- of it", -45.9));
}

#[test]
fn a_dump_of_mysql_escapes_with_backslashes() {
    let dump = "# MySQL\nINSERT INTO `customers` (`id`, `name`, `created_at`) VALUES ('a\\\\','O\\'B),(',20240101),\
        ('b','Ann','2024-01-01');";
    let items = read(Format::Sql, dump.as_bytes());
    assert_eq!(summary(&items), ["a\\", "b"]);
    let Ok((_, Record::Customer(customer))) = &items[0] else { panic!("{items:?}") };
    assert_eq!(customer.name, "O'B),(");
}

#[test]
fn the_rows_of_a_copy_are_named_and_left_out() {
    let insert = |id: &str| {
        format!("INSERT INTO customers (id, name, created_at) VALUES ('{id}', 'Ann', '2024-01-01');\n")
    };
    let (a, b) = (insert("a"), insert("b"));
    let copy = "COPY public.customers (id, name) FROM stdin;\nx\tIt's; here\ny\tBob\n\\.\n";
    check(Format::Sql, &format!("{a}{copy}\n{b}"), &["a", "2:format-unknown", "b"]);
}

#[test]
fn the_kind_can_be_given() {
    let input = "id,name,title,created_at\nc,Ann,Dr.,2024-01-01\n";
    assert_eq!(summary(&read(Format::Csv, input.as_bytes())), ["2:record-invalid"]);
    assert_eq!(summary(&read_cut(Format::Csv, Some(Kind::Customer), input.as_bytes(), &[])), ["c"]);
}

#[test]
fn what_stands_between_records_may_be_long() {
    let (a, b) = (customer("a"), customer("b"));
    let long = "x'\n".repeat(RECORD_BYTES_MAX / 2);
    let blanks = " \n".repeat(RECORD_BYTES_MAX);
    let dump = format!(
        "/*{long}*/ INSERT INTO customers (id, name, created_at) VALUES ('a', 'Ann', '2024-01-01'), /*{long}*/ \
         ('b', 'Bob', '2024-01-01'); /*{long}*/"
    );
    for (format, input) in [(Format::Json, format!("[{a},{blanks}{b}]")), (Format::Sql, dump)] {
        let whole = read(format, input.as_bytes());
        assert_eq!(summary(&whole), ["a", "b"]);
        assert_eq!(read_cut(format, None, input.as_bytes(), &[1000, 7, 100_000]), whole);
    }
}
