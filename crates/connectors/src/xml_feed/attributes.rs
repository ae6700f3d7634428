//! The attributes of an element, checked one and all, the wanted ones handed on.

use std::borrow::Cow;

use quick_xml::XmlVersion;
use quick_xml::errors::Error;
use quick_xml::escape::EscapeError;
use quick_xml::events::BytesStart;
use quick_xml::events::attributes::Attribute;

use super::limits::ATTRIBUTES_MAX;
use super::problem::{Halt, Reason, complaint, excerpt};

/// The values of the attributes with these names, in this order.
///
/// # Errors
/// What makes the whole feed ill-formed: an attribute that is written wrong or twice, a reference to an entity that
/// is none of XML's own, a character that XML has not; or too many of them.
pub(super) fn wanted<'a, const N: usize>(
    tag: &'a BytesStart<'_>,
    names: [&str; N],
) -> Result<[Option<Cow<'a, str>>; N], Halt> {
    let mut values = [const { None }; N];
    for (count, attribute) in tag.attributes().enumerate() {
        if count == ATTRIBUTES_MAX {
            return Err(Halt::of(Reason::TooManyAttributes));
        }
        let attribute = attribute.map_err(|error| Halt::new(Reason::Malformed, complaint(&error)))?;
        let at = names.iter().position(|name| *name == attribute.key.as_ref());
        let value = value(attribute)?;
        if let Some(at) = at {
            values[at] = Some(value);
        }
    }
    Ok(values)
}

/// The value as it is meant: references resolved, line breaks and tabs as blanks.
fn value(attribute: Attribute<'_>) -> Result<Cow<'_, str>, Halt> {
    // Without a way out within the loop it is done many bytes at once; nearly every value ends here.
    let is_special = |byte: u8| byte < b' ' || byte == b'&' || byte == b'<';
    let raw = &attribute.value;
    if !raw.bytes().fold(false, |special, byte| special | is_special(byte)) {
        return Ok(attribute.value);
    }
    let value = attribute.normalized_value(XmlVersion::Implicit1_0).map_err(|error| match error {
        Error::Escape(EscapeError::UnrecognizedEntity(_, name)) => undeclared(&name),
        other => Halt::new(Reason::Malformed, complaint(&other)),
    })?;
    if raw.contains('<') {
        return Err(Halt::new(Reason::Malformed, "\"<\" stands in the value of an attribute"));
    }
    if !value.chars().all(is_character) || raw.chars().any(|c| c < ' ' && !matches!(c, '\t' | '\n' | '\r')) {
        return Err(Halt::new(Reason::Malformed, "a character that XML has not stands in it"));
    }
    Ok(Cow::Owned(value.into_owned()))
}

/// An entity is used that a document type alone could declare.
pub(super) fn undeclared(name: &str) -> Halt {
    Halt::new(Reason::DocumentType, format!("the entity {:?} is none of the five of XML", excerpt(name)))
}

/// Whether XML has the character.
pub(super) fn is_character(c: char) -> bool {
    !matches!(c, '\0'..='\x08' | '\x0b' | '\x0c' | '\x0e'..='\x1f' | '\u{fffe}' | '\u{ffff}')
}
