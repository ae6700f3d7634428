//! Cursors are what was given out, and nothing else.

use maitred_core::TenantNumber;
use maitred_web::page::ListCursors;
use maitred_web::{Cursors, Page};
use proptest::prelude::*;

const ROUTE: &str = "/v1/tenants/{tenant}/bookings";

fn list(key: u8, route: &str, tenant: u32, filter: Option<&str>) -> ListCursors {
    Cursors::new(&[key; 32]).of(route, TenantNumber(tenant)).filtered_by(filter).filtered_by(None::<&str>)
}

fn ours() -> ListCursors {
    list(1, ROUTE, 3, Some("held"))
}

#[test]
fn a_cursor_of_another_list_is_refused() {
    let cursor = ours().seal(b"place");
    assert_eq!(ours().open(&cursor), Ok(b"place".to_vec()));
    let others = [
        list(2, ROUTE, 3, Some("held")),
        list(1, "/v1/tenants/{tenant}/services", 3, Some("held")),
        list(1, ROUTE, 4, Some("held")),
        list(1, ROUTE, 3, Some("hel")),
        list(1, ROUTE, 3, None),
        list(1, ROUTE, 3, Some("held")).filtered_by(None::<&str>),
        Cursors::new(&[1; 32]).of(ROUTE, TenantNumber(3)).filtered_by(None::<&str>).filtered_by(Some("held")),
    ];
    for (which, other) in others.iter().enumerate() {
        let problem = other.open(&cursor).expect_err("refused");
        assert_eq!((problem.status().as_u16(), problem.code()), (400, "cursor-invalid"), "list {which}");
    }
}

#[test]
fn a_page_is_items_and_perhaps_a_cursor() {
    let json = |page: &Page<u8>| serde_json::to_string(page).expect("JSON");
    assert_eq!(json(&Page { items: vec![1, 2], next_cursor: None }), r#"{"items":[1,2],"next_cursor":null}"#);
    assert_eq!(
        json(&Page { items: vec![], next_cursor: Some("c".into()) }),
        r#"{"items":[],"next_cursor":"c"}"#
    );
}

proptest! {
    #[test]
    fn a_cursor_opens_to_its_place_and_no_other_text_opens(place in proptest::collection::vec(any::<u8>(), 0..751), at: prop::sample::Index, to in "[A-Za-z0-9_-]") {
        let cursor = ours().seal(&place);
        prop_assert_eq!(ours().open(&cursor), Ok(place));
        let at = at.index(cursor.len());
        let changed = format!("{}{to}{}", &cursor[..at], &cursor[at + 1..]);
        prop_assert_eq!(ours().open(&changed).is_ok(), changed == cursor, "{}", changed);
        prop_assert!(ours().open(&cursor[..at]).is_err());
        let longer = cursor + &to;
        prop_assert!(ours().open(&longer).is_err());
    }

    #[test]
    fn any_text_is_refused(text in "\\PC{0,60}") {
        prop_assert!(ours().open(&text).is_err());
    }
}
