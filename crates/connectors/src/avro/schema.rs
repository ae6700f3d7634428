//! The types of an Avro schema, as far as values must be understood or passed over.

use std::collections::BTreeMap;

use serde_json::Value as Json;

use crate::fields::Field;

/// Most types of one schema, and the deepest nesting of their definitions.
const TYPES_MAX: usize = 1_000;
const DEPTH_MAX: usize = 32;

/// A schema: the types, which name each other by number, so that one may contain itself.
#[derive(Debug)]
pub(super) struct Schema {
    pub(super) types: Vec<Type>,
    pub(super) root: usize,
}

#[derive(Debug, Clone)]
pub(super) enum Type {
    Null,
    Boolean,
    /// `int` and `long`, which are written alike.
    Integer(Time),
    Float,
    Double,
    /// `bytes` and `string`, which are written alike.
    Text,
    Fixed(usize),
    /// The bytes of a number, to be divided by a power of ten.
    Decimal {
        scale: u32,
        fixed: Option<usize>,
    },
    Enum(Vec<String>),
    Array(usize),
    Map(usize),
    Union(Vec<usize>),
    Record(Vec<(Option<Field>, usize)>),
}

/// What a whole number means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Time {
    None,
    Days,
    Millis,
    Micros,
}

impl Schema {
    /// Reads the JSON of a schema.
    pub(super) fn parse(text: &[u8]) -> Result<Schema, String> {
        let json: Json =
            serde_json::from_slice(text).map_err(|error| format!("its schema is no JSON: {error}"))?;
        let mut parser = Parser { types: Vec::new(), names: BTreeMap::new() };
        let root = parser.parse(&json, 0)?;
        Ok(Schema { types: parser.types, root })
    }
}

struct Parser {
    types: Vec<Type>,
    names: BTreeMap<String, usize>,
}

impl Parser {
    fn parse(&mut self, json: &Json, depth: usize) -> Result<usize, String> {
        if depth > DEPTH_MAX {
            return Err("its schema is nested too deeply".into());
        }
        match json {
            Json::String(name) => self.named(name),
            Json::Array(branches) => {
                let at = self.reserve()?;
                let branches = branches.iter().map(|branch| self.parse(branch, depth + 1));
                let union = Type::Union(branches.collect::<Result<_, _>>()?);
                Ok(self.define(at, union))
            }
            Json::Object(object) => {
                let Some(kind) = object.get("type") else {
                    return Err("a type of its schema has no name".into());
                };
                let Json::String(kind) = kind else { return self.parse(kind, depth + 1) };
                self.complex(kind, json, depth)
            }
            _ => Err("a type of its schema is neither a name, nor a list, nor an object".into()),
        }
    }

    fn complex(&mut self, kind: &str, json: &Json, depth: usize) -> Result<usize, String> {
        let logical = json.get("logicalType").and_then(Json::as_str).unwrap_or_default();
        let scale = || json.get("scale").and_then(Json::as_u64).unwrap_or(0).min(30) as u32;
        let ty = match kind {
            "record" | "error" => {
                let at = self.reserve()?;
                self.name(json, at);
                let fields = json
                    .get("fields")
                    .and_then(Json::as_array)
                    .ok_or("a record of its schema has no fields")?;
                let fields = fields.iter().map(|field| {
                    let name = field.get("name").and_then(Json::as_str).unwrap_or_default();
                    let ty = field.get("type").ok_or("a field of its schema has no type")?;
                    Ok((Field::of(name), self.parse(ty, depth + 1)?))
                });
                let record = Type::Record(fields.collect::<Result<_, String>>()?);
                return Ok(self.define(at, record));
            }
            "enum" => {
                let symbols = json
                    .get("symbols")
                    .and_then(Json::as_array)
                    .ok_or("an enum of its schema has no symbols")?;
                Type::Enum(
                    symbols.iter().map(|symbol| symbol.as_str().unwrap_or_default().to_owned()).collect(),
                )
            }
            "fixed" => {
                let size =
                    json.get("size").and_then(Json::as_u64).and_then(|size| usize::try_from(size).ok());
                let size = size.ok_or("a fixed of its schema has no size")?;
                if logical == "decimal" {
                    Type::Decimal { scale: scale(), fixed: Some(size) }
                } else {
                    Type::Fixed(size)
                }
            }
            "array" => {
                let items = json.get("items").ok_or("an array of its schema has no items")?;
                Type::Array(self.parse(items, depth + 1)?)
            }
            "map" => {
                let values = json.get("values").ok_or("a map of its schema has no values")?;
                Type::Map(self.parse(values, depth + 1)?)
            }
            "bytes" if logical == "decimal" => Type::Decimal { scale: scale(), fixed: None },
            "int" | "long" => Type::Integer(match logical {
                "date" => Time::Days,
                "timestamp-millis" | "local-timestamp-millis" => Time::Millis,
                "timestamp-micros" | "local-timestamp-micros" => Time::Micros,
                _ => Time::None,
            }),
            name => return self.named(name),
        };
        let at = self.reserve()?;
        self.name(json, at);
        Ok(self.define(at, ty))
    }

    /// A primitive type, or one that was defined before.
    fn named(&mut self, name: &str) -> Result<usize, String> {
        let ty = match name {
            "null" => Type::Null,
            "boolean" => Type::Boolean,
            "int" | "long" => Type::Integer(Time::None),
            "float" => Type::Float,
            "double" => Type::Double,
            "bytes" | "string" => Type::Text,
            name => {
                let known = self.names.get(name).or_else(|| self.names.get(last_part(name)));
                return known.copied().ok_or_else(|| format!("its schema has no type \"{name}\""));
            }
        };
        let at = self.reserve()?;
        Ok(self.define(at, ty))
    }

    fn name(&mut self, json: &Json, at: usize) {
        if let Some(name) = json.get("name").and_then(Json::as_str) {
            self.names.insert(last_part(name).to_owned(), at);
        }
    }

    fn reserve(&mut self) -> Result<usize, String> {
        if self.types.len() >= TYPES_MAX {
            return Err(format!("its schema has more than {TYPES_MAX} types"));
        }
        self.types.push(Type::Null);
        Ok(self.types.len() - 1)
    }

    fn define(&mut self, at: usize, ty: Type) -> usize {
        if let Some(place) = self.types.get_mut(at) {
            *place = ty;
        }
        at
    }
}

/// A name without its namespace.
fn last_part(name: &str) -> &str {
    name.rsplit('.').next().unwrap_or(name)
}
