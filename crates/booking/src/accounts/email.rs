//! Emails as the replaced flash sale reads them, so that whoever had an account there finds it here.
//!
//! Source: `isEmail` and `normalizeEmail` of validator.js with their default options, which that service used. Ours
//! differs in one thing: where nothing is left before the `@` (`+tag@gmail.com`), there it stored the text `false`,
//! here it is no address.

/// The longest address, in UTF-16 units, as that service counts.
pub const EMAIL_UNITS_MAX: usize = 254;
/// The longest address that mail is sent to, in bytes (RFC 5321).
pub const EMAIL_BYTES_MAX: usize = 254;
/// The longest part before the last `@`, in bytes.
const LOCAL_BYTES_MAX: usize = 64;
/// The longest part of a domain between two dots, in UTF-16 units.
const LABEL_UNITS_MAX: usize = 63;

/// Whose addresses have a part behind `+` that leads to the same inbox: Apple's and Microsoft's.
const PLUS_DOMAINS: &[&str] = &[
    "hotmail.at",
    "hotmail.be",
    "hotmail.ca",
    "hotmail.cl",
    "hotmail.co.il",
    "hotmail.co.nz",
    "hotmail.co.th",
    "hotmail.co.uk",
    "hotmail.com",
    "hotmail.com.ar",
    "hotmail.com.au",
    "hotmail.com.br",
    "hotmail.com.gr",
    "hotmail.com.mx",
    "hotmail.com.pe",
    "hotmail.com.tr",
    "hotmail.com.vn",
    "hotmail.cz",
    "hotmail.de",
    "hotmail.dk",
    "hotmail.es",
    "hotmail.fr",
    "hotmail.hu",
    "hotmail.id",
    "hotmail.ie",
    "hotmail.in",
    "hotmail.it",
    "hotmail.jp",
    "hotmail.kr",
    "hotmail.lv",
    "hotmail.my",
    "hotmail.ph",
    "hotmail.pt",
    "hotmail.sa",
    "hotmail.sg",
    "hotmail.sk",
    "icloud.com",
    "live.be",
    "live.co.uk",
    "live.com",
    "live.com.ar",
    "live.com.mx",
    "live.de",
    "live.es",
    "live.eu",
    "live.fr",
    "live.it",
    "live.nl",
    "me.com",
    "msn.com",
    "outlook.at",
    "outlook.be",
    "outlook.cl",
    "outlook.co.il",
    "outlook.co.nz",
    "outlook.co.th",
    "outlook.com",
    "outlook.com.ar",
    "outlook.com.au",
    "outlook.com.br",
    "outlook.com.gr",
    "outlook.com.pe",
    "outlook.com.tr",
    "outlook.com.vn",
    "outlook.cz",
    "outlook.de",
    "outlook.dk",
    "outlook.es",
    "outlook.fr",
    "outlook.hu",
    "outlook.id",
    "outlook.ie",
    "outlook.in",
    "outlook.it",
    "outlook.jp",
    "outlook.kr",
    "outlook.lv",
    "outlook.my",
    "outlook.ph",
    "outlook.pt",
    "outlook.sa",
    "outlook.sg",
    "outlook.sk",
    "passport.com",
];
/// Whose addresses have such a part behind the last `-`: Yahoo's.
const DASH_DOMAINS: &[&str] = &[
    "rocketmail.com",
    "yahoo.ca",
    "yahoo.co.uk",
    "yahoo.com",
    "yahoo.de",
    "yahoo.fr",
    "yahoo.in",
    "yahoo.it",
    "ymail.com",
];
/// Whose addresses are the same in each of these domains: Yandex's, of which the first is taken.
const YANDEX_DOMAINS: &[&str] = &["yandex.ru", "yandex.ua", "yandex.kz", "yandex.com", "yandex.by", "ya.ru"];

/// The form in which an address is kept, whatever its spelling; `None` for what is no address.
///
/// The form of a form can be another one: `a-b-c@yahoo.com` is kept as `a-b@yahoo.com`, and that one, typed in, means
/// `a@yahoo.com`. So it was there.
pub fn normalise(text: &str) -> Option<String> {
    let form = is_email(text).then(|| fold(text))??;
    // A small letter may be longer than its capital.
    is_form(&form).then_some(form)
}

/// Whether a text could be what [`normalise`] gave.
pub fn is_form(text: &str) -> bool {
    is_email(text) && text.to_lowercase() == text
}

/// Whether mail can be sent to a text as it stands: an address with one `@`, no blanks, no quotes and no control
/// characters, of at most [`EMAIL_BYTES_MAX`] bytes.
pub fn can_be_written_to(text: &str) -> bool {
    let is_odd = |c: char| c.is_whitespace() || c.is_control() || c == '"';
    text.len() <= EMAIL_BYTES_MAX
        && is_email(text)
        && text.matches('@').count() == 1
        && !text.contains(is_odd)
}

/// The address in small letters, without what leads to the same inbox.
fn fold(text: &str) -> Option<String> {
    let (local, domain) = text.rsplit_once('@')?;
    let domain = domain.to_lowercase();
    let is_one_of = |known: &[&str]| known.contains(&&*domain);
    let (local, domain) = if is_one_of(&["gmail.com", "googlemail.com"]) {
        (without_single_dots(before_plus(local)), "gmail.com")
    } else if is_one_of(PLUS_DOMAINS) {
        (before_plus(local).to_owned(), &*domain)
    } else if is_one_of(DASH_DOMAINS) {
        (local.rsplit_once('-').map_or(local, |(inbox, _)| inbox).to_owned(), &*domain)
    } else if is_one_of(YANDEX_DOMAINS) {
        (local.to_owned(), YANDEX_DOMAINS[0])
    } else {
        (local.to_owned(), &*domain)
    };
    (!local.is_empty()).then(|| format!("{}@{domain}", local.to_lowercase()))
}

fn before_plus(local: &str) -> &str {
    local.split('+').next().unwrap_or_default()
}

/// Takes away the dots that stand alone.
fn without_single_dots(local: &str) -> String {
    let bytes = local.as_bytes();
    let dot = |at: Option<usize>| at.and_then(|at| bytes.get(at)) == Some(&b'.');
    let alone = |at: usize| bytes[at] == b'.' && !dot(at.checked_sub(1)) && !dot(Some(at + 1));
    local.char_indices().filter(|(at, _)| !alone(*at)).map(|(_, c)| c).collect()
}

/// Whether a text is an address, of whatever spelling.
fn is_email(text: &str) -> bool {
    let Some((local, domain)) = text.rsplit_once('@') else { return false };
    units(text) <= EMAIL_UNITS_MAX && local.len() <= LOCAL_BYTES_MAX && is_domain(domain) && is_local(local)
}

fn is_local(local: &str) -> bool {
    if local.len() >= 2
        && let Some(quoted) = local.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'))
    {
        return is_quoted(quoted);
    }
    let plain = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-/=?^_`{|}~".contains(c) || is_foreign(c);
    local.split('.').all(|part| !part.is_empty() && part.chars().all(plain))
}

fn is_quoted(text: &str) -> bool {
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        let sound = match c {
            '\\' => chars.next().is_some_and(|c| matches!(c, '\u{1}'..='\u{7f}') && c != '\n' || is_wide(c)),
            '"' | '\0' => false,
            c => c.is_ascii() || is_wide(c),
        };
        if !sound {
            return false;
        }
    }
    true
}

fn is_domain(domain: &str) -> bool {
    let Some((_, top)) = domain.rsplit_once('.') else { return false };
    let letters = |c: char| c.is_ascii_alphabetic() || is_foreign(c) && c != '\u{a9}';
    let coded = |rest: &str| units(rest) >= 2 && rest.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
    let is_top = units(top) >= 2 && top.chars().all(letters)
        || top.get(..2).is_some_and(|start| start.eq_ignore_ascii_case("xn")) && coded(&top[2..]);
    is_top && domain.split('.').all(is_label)
}

fn is_label(label: &str) -> bool {
    let plain = |c: char| {
        c.is_ascii_alphanumeric() || c == '-' || c >= '\u{a1}' && !matches!(c, '\u{ff01}'..='\u{ff5e}')
    };
    !label.is_empty()
        && units(label) <= LABEL_UNITS_MAX
        && label.chars().all(plain)
        && !label.starts_with('-')
        && !label.ends_with('-')
}

/// The letters beyond ASCII that an address may have.
fn is_foreign(c: char) -> bool {
    matches!(c, '\u{a1}'..='\u{d7ff}' | '\u{f900}'..='\u{fdcf}' | '\u{fdf0}'..='\u{ffef}')
}

/// The same with the blank that does not break, as quoted texts may have it.
fn is_wide(c: char) -> bool {
    c == '\u{a0}' || is_foreign(c)
}

fn units(text: &str) -> usize {
    text.encode_utf16().count()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(text: &str, expected: Option<&str>) {
        assert_eq!(normalise(text).as_deref(), expected, "{text:?}");
    }

    #[test]
    fn spellings_of_one_inbox_have_one_form() {
        for (text, expected) in [
            ("Some.One@Example.COM", "some.one@example.com"),
            ("some+tag@example.com", "some+tag@example.com"),
            ("A.b.x+tag@gmail.com", "abx@gmail.com"),
            ("a.b@googlemail.com", "ab@gmail.com"),
            ("A.B@GoogleMail.Com", "ab@gmail.com"),
            ("a.b+tag+more@outlook.com", "a.b@outlook.com"),
            ("a+b@hotmail.co.uk", "a@hotmail.co.uk"),
            ("a+b@live.com", "a@live.com"),
            ("a+b@msn.com", "a@msn.com"),
            ("a-b@yahoo.com", "a@yahoo.com"),
            ("a-b-c@ymail.com", "a-b@ymail.com"),
            ("a+b@yahoo.com", "a+b@yahoo.com"),
            ("a.b+c@icloud.com", "a.b@icloud.com"),
            ("a+c@me.com", "a@me.com"),
            ("a+c@ya.ru", "a+c@yandex.ru"),
            ("\"A b\"@example.com", "\"a b\"@example.com"),
            ("jürgen@exämple.de", "jürgen@exämple.de"),
            ("a@xn--exmple-cua.xn--p1ai", "a@xn--exmple-cua.xn--p1ai"),
        ] {
            check(text, Some(expected));
            assert!(is_form(expected), "{expected}");
        }
    }

    #[test]
    fn what_is_no_address_has_no_form() {
        for text in [
            "",
            "a",
            "@",
            "a@",
            "@b.co",
            "a@b",
            "a@b.c",
            "a@b.12",
            "a@-b.co",
            "a@b-.co",
            "a@b_c.co",
            "a b@c.de",
            "a@b c.de",
            "a..b@c.de",
            ".a@c.de",
            "a.@c.de",
            "a@b..de",
            "a@.de",
            "a@b.de.",
            "a@[127.0.0.1]",
            "a@127.0.0.1",
            "a\0@b.de",
            "\"a\"b\"@c.de",
            "\"\\\"@c.de",
            "<a@b.de>",
            "a@b.d\u{a9}",
            "a@ｂ.de",
            "a🦀@b.de",
            "+tag@gmail.com",
            "+@outlook.com",
            "-a@yahoo.com",
            "a@b.de\n",
            " a@b.de",
        ] {
            check(text, None);
        }
        let local = "a".repeat(LOCAL_BYTES_MAX);
        check(&format!("{local}@b.de"), Some(&format!("{local}@b.de")));
        check(&format!("{local}a@b.de"), None);
        let domain = format!("{}.{}.{}.de", "b".repeat(63), "c".repeat(63), "d".repeat(58));
        let longest = format!("{local}@{domain}");
        assert_eq!(longest.len(), EMAIL_UNITS_MAX);
        check(&longest, Some(&longest));
        check(&longest.replace(".de", ".dee"), None);
        check(&format!("a@{}.de", "b".repeat(64)), None);
    }

    #[test]
    fn mail_is_sent_to_what_is_one_plain_address() {
        for text in ["eve@example.com", "Eve.Adams+hair@mail.example.co.uk", "jürgen@exämple.de"] {
            assert!(can_be_written_to(text), "{text}");
        }
        let long =
            format!("{}@{}.de", "a".repeat(64), ["b".repeat(60), "c".repeat(60), "d".repeat(60)].join("."));
        assert!(long.len() <= EMAIL_BYTES_MAX && can_be_written_to(&long));
        let wide = long.replace('b', "ü");
        assert!(units(&wide) <= EMAIL_UNITS_MAX && is_email(&wide) && !can_be_written_to(&wide));
        for text in [
            "",
            "eve",
            "@",
            "@example.com",
            "eve@",
            "eve@ example.com",
            "eve @example.com",
            " eve@example.com",
            "eve@example.com\n",
            "e\u{7f}ve@example.com",
            "eve@b@example.com",
            "\"eve@b\"@example.com",
            "eve@example",
            "eve@example.com, bo@example.com",
            "Eve <eve@example.com>",
            "eve@\u{a0}example.com",
        ] {
            assert!(!can_be_written_to(text), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_refused_or_has_a_form(text in "\\PC{0,12}@?\\PC{0,12}") {
            if let Some(form) = normalise(&text) {
                prop_assert!(is_form(&form), "{form:?}");
            }
        }

        #[test]
        fn letters_dots_and_tags_do_not_tell_inboxes_of_gmail_apart(
            letters in "[a-z0-9]{1,12}",
            dots in proptest::collection::vec(any::<bool>(), 12),
            big in proptest::collection::vec(any::<bool>(), 12),
            tag in "(\\+[a-z+]{0,5})?",
            domain in prop_oneof![Just("gmail.com"), Just("GoogleMail.com")],
        ) {
            let mut spelt = String::new();
            for (i, c) in letters.chars().enumerate() {
                if i > 0 && dots[i] {
                    spelt.push('.');
                }
                spelt.push(if big[i] { c.to_ascii_uppercase() } else { c });
            }
            prop_assert_eq!(normalise(&format!("{spelt}{tag}@{domain}")), Some(format!("{letters}@gmail.com")));
        }

        #[test]
        fn elsewhere_only_the_case_is_folded(local in "[A-Za-z0-9+-]{1,12}", domain in "[a-z]{1,8}\\.(org|net|de)") {
            let text = format!("{local}@{domain}");
            prop_assert_eq!(normalise(&text), Some(text.to_lowercase()));
        }
    }
}
