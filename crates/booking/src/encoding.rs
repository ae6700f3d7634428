//! postcard, with kinds and versions around it.
//!
//! A fact's body is the postcard form of a struct. postcard names no fields: a released struct never
//! changes. What must change becomes a new version, and the old struct stays as the `older` form that
//! is turned into the new one when it is read ([`recorded!`]).

use maitred_core::Undecodable;
use serde::{Deserialize, Serialize};

/// Appends the postcard form of `value` to `out`.
pub fn encode<T: Serialize + ?Sized>(value: &T, out: &mut Vec<u8>) {
    postcard::serialize_with_flavor(value, Append(out)).expect("memory takes every value of ours");
}

/// Reads a value that fills all of `bytes`. Texts are borrowed where `T` borrows them.
///
/// # Errors
/// [`Undecodable`], named `what`, when the bytes are no such value or more than one.
pub fn decode<'a, T: Deserialize<'a>>(
    bytes: &'a [u8],
    what: impl FnOnce() -> Undecodable,
) -> Result<T, Undecodable> {
    match postcard::take_from_bytes(bytes) {
        Ok((value, [])) => Ok(value),
        _ => Err(what()),
    }
}

/// Appends a stored form: the version, then the postcard form of `value`.
pub fn store<T: Serialize>(version: u8, value: &T, out: &mut Vec<u8>) {
    out.push(version);
    encode(value, out);
}

/// Reads what [`store`] wrote with this version.
///
/// # Errors
/// [`Undecodable`] for another version, or bytes that are no such value.
pub fn restore<'a, T: Deserialize<'a>>(
    version: u8,
    bytes: &'a [u8],
    what: &'static str,
) -> Result<T, Undecodable> {
    let undecodable = || Undecodable { what: what.into() };
    match bytes.split_first() {
        Some((first, body)) if *first == version => decode(body, undecodable),
        _ => Err(undecodable()),
    }
}

/// A kind of fact: its number, the version that this build writes, and its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FactKind {
    /// Unique over all domains, and never used again.
    pub kind: u16,
    /// The version of the encoding that is written today.
    pub version: u8,
    /// The variant's name.
    pub name: &'static str,
}

/// Defines a domain's facts with their numbers and versions, and their encoding.
///
/// A kind whose body has changed lists the old bodies under `older`; each needs `From<Old> for New`.
macro_rules! recorded {
    (
        $(#[$meta:meta])*
        $vis:vis enum $fact:ident {
            $($(#[$doc:meta])* $variant:ident($body:ty) = $kind:literal version $version:literal,)*
        }
        older {
            $($old_kind:literal version $old_version:literal: $old:ty => $into:ident,)*
        }
    ) => {
        $(#[$meta])*
        $vis enum $fact {
            $($(#[$doc])* $variant($body),)*
        }

        impl $fact {
            /// Every kind of this domain's facts.
            $vis const KINDS: &'static [$crate::encoding::FactKind] = &[
                $($crate::encoding::FactKind { kind: $kind, version: $version, name: stringify!($variant) },)*
            ];
        }

        impl maitred_core::Recorded for $fact {
            fn kind(&self) -> u16 {
                match self {
                    $($fact::$variant(_) => $kind,)*
                }
            }

            fn version(&self) -> u8 {
                match self {
                    $($fact::$variant(_) => $version,)*
                }
            }

            fn encode(&self, out: &mut Vec<u8>) {
                match self {
                    $($fact::$variant(body) => $crate::encoding::encode(body, out),)*
                }
            }

            fn decode(kind: u16, version: u8, body: &[u8]) -> Result<Self, maitred_core::Undecodable> {
                let undecodable = || $crate::encoding::undecodable_fact(kind, version);
                match (kind, version) {
                    $(($kind, $version) => $crate::encoding::decode(body, undecodable).map($fact::$variant),)*
                    $(($old_kind, $old_version) => $crate::encoding::decode::<$old>(body, undecodable)
                        .map(|old| $fact::$into(old.into())),)*
                    _ => Err(undecodable()),
                }
            }
        }
    };
}
pub(crate) use recorded;

/// Says which fact it was that this build cannot read.
pub fn undecodable_fact(kind: u16, version: u8) -> Undecodable {
    Undecodable { what: format!("fact {kind} version {version}").into() }
}

/// An instant in serde, as microseconds: `#[serde(with = "encoding::micros")]`.
pub mod micros {
    use maitred_core::Timestamp;
    use serde::{Deserialize, Deserializer, Serializer};

    /// Writes the microseconds since the epoch.
    ///
    /// # Errors
    /// Those of the serializer.
    pub fn serialize<S: Serializer>(at: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_i64(at.as_micros())
    }

    /// Reads the microseconds since the epoch.
    ///
    /// # Errors
    /// Those of the deserializer.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Timestamp, D::Error> {
        i64::deserialize(deserializer).map(Timestamp::from_micros)
    }

    /// The same for an instant that may be missing.
    pub mod option {
        use super::{Deserialize, Deserializer, Serializer, Timestamp};

        /// Writes the microseconds since the epoch, if there is an instant.
        ///
        /// # Errors
        /// Those of the serializer.
        pub fn serialize<S: Serializer>(at: &Option<Timestamp>, serializer: S) -> Result<S::Ok, S::Error> {
            match at {
                Some(at) => serializer.serialize_some(&at.as_micros()),
                None => serializer.serialize_none(),
            }
        }

        /// Reads the microseconds since the epoch, if there is an instant.
        ///
        /// # Errors
        /// Those of the deserializer.
        pub fn deserialize<'de, D: Deserializer<'de>>(
            deserializer: D,
        ) -> Result<Option<Timestamp>, D::Error> {
            Ok(Option::<i64>::deserialize(deserializer)?.map(Timestamp::from_micros))
        }
    }
}

/// postcard writes into a vector that has something in it already.
struct Append<'a>(&'a mut Vec<u8>);

impl postcard::ser_flavors::Flavor for Append<'_> {
    type Output = ();

    fn try_extend(&mut self, data: &[u8]) -> postcard::Result<()> {
        self.0.extend_from_slice(data);
        Ok(())
    }

    fn try_push(&mut self, data: u8) -> postcard::Result<()> {
        self.0.push(data);
        Ok(())
    }

    fn finalize(self) -> postcard::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use maitred_core::Recorded;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct ChairMoved {
        chair: String,
        room: u32,
    }

    #[derive(Deserialize)]
    struct ChairMovedV1 {
        chair: String,
    }

    impl From<ChairMovedV1> for ChairMoved {
        fn from(old: ChairMovedV1) -> Self {
            ChairMoved { chair: old.chair, room: 1 }
        }
    }

    recorded! {
        #[derive(Debug, PartialEq)]
        enum Furniture {
            ChairMoved(ChairMoved) = 900 version 2,
        }
        older {
            900 version 1: ChairMovedV1 => ChairMoved,
        }
    }

    #[test]
    fn an_old_version_is_read_as_todays_fact() {
        let fact = Furniture::ChairMoved(ChairMoved { chair: "red".into(), room: 1 });
        assert_eq!(Furniture::decode(900, 1, b"\x03red").as_ref(), Ok(&fact));
        let mut body = Vec::new();
        fact.encode(&mut body);
        assert_eq!((fact.kind(), fact.version(), body.as_slice()), (900, 2, &b"\x03red\x01"[..]));
        assert_eq!(Furniture::decode(900, 2, &body), Ok(fact));
        assert_eq!(Furniture::KINDS, [FactKind { kind: 900, version: 2, name: "ChairMoved" }]);
    }

    #[test]
    fn unknown_kinds_and_versions_and_damaged_bodies_are_named() {
        for (kind, version, body) in
            [(900, 3, &b"\x03red\x01"[..]), (901, 1, b""), (900, 2, b"\x03re"), (900, 2, b"\x03red\x01\x00")]
        {
            let what = format!("fact {kind} version {version}").into();
            assert_eq!(Furniture::decode(kind, version, body), Err(Undecodable { what }));
        }
    }

    #[test]
    fn a_stored_value_of_another_version_is_refused() {
        let mut bytes = Vec::new();
        store(2, &7_u32, &mut bytes);
        assert_eq!(restore::<u32>(2, &bytes, "a seven"), Ok(7));
        assert_eq!(restore::<u32>(1, &bytes, "a seven"), Err(Undecodable { what: "a seven".into() }));
        assert_eq!(restore::<u32>(2, &[], "a seven"), Err(Undecodable { what: "a seven".into() }));
    }
}
