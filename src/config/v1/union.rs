//! Values with a short form and an object form: `ttl: 16`, `ttl: "keep"`, `ttl: { mode: "set", value: 16 }`.
//! Both parse to one type; the short form is what is printed.

use super::bounded::Bounded;
use schemars::JsonSchema;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, Error, MapAccess, Unexpected, Visitor};
use serde::{Deserialize, Serialize, Serializer};
use std::fmt;
use std::marker::PhantomData;

/// What a union accepts; `impl_union` makes the serde and schema implementations of it.
trait Union: Sized {
    /// What would be right, to complete "must be …".
    const EXPECTED: &'static str;
    /// What it means, for the schema.
    const MEANING: &'static str;
    /// The numbers of the short form, from and to; none = no number is right.
    const NUMBERS: Option<(u64, u64)>;
    /// The words of the short form.
    const WORDS: &'static [&'static str];
    /// The object form.
    type Object: for<'de> Deserialize<'de>;
    fn from_number(number: u64) -> Option<Self>;
    fn from_word(word: &str) -> Option<Self>;
    /// The error completes "must be …".
    fn from_object(object: Self::Object) -> Result<Self, &'static str>;
    fn short(&self) -> Short<'_>;
}

/// The short form of a value.
enum Short<'a> {
    Number(u64),
    Word(&'a str),
    Address(AddressSource<'a>),
}

/// The one value that has no shorter form than an object.
#[derive(Serialize)]
struct AddressSource<'a> {
    address: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    port: Option<u16>,
}

struct UnionVisitor<T>(PhantomData<T>);

impl<'de, T: Union> Visitor<'de> for UnionVisitor<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(T::EXPECTED)
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<T, E> {
        T::from_number(number).ok_or_else(|| E::invalid_value(Unexpected::Unsigned(number), &self))
    }

    fn visit_str<E: Error>(self, word: &str) -> Result<T, E> {
        T::from_word(word).ok_or_else(|| E::invalid_value(Unexpected::Str(word), &self))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
        let object = T::Object::deserialize(MapAccessDeserializer::new(map))?;
        T::from_object(object)
            .map_err(|expected| A::Error::invalid_value(Unexpected::Map, &expected))
    }
}

macro_rules! impl_union {
    ($name:ident, $object:ty) => {
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserializer.deserialize_any(UnionVisitor(PhantomData))
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                match self.short() {
                    Short::Number(number) => serializer.serialize_u64(number),
                    Short::Word(word) => serializer.serialize_str(word),
                    Short::Address(address) => address.serialize(serializer),
                }
            }
        }

        impl JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
                let object = generator.subschema_for::<$object>();
                let mut forms = Vec::new();
                if let Some((from, to)) = <$name as Union>::NUMBERS {
                    forms.push(schemars::json_schema!(
                        { "type": "integer", "minimum": from, "maximum": to }
                    ));
                }
                let words = <$name as Union>::WORDS;
                forms.push(schemars::json_schema!({ "type": "string", "enum": words }));
                forms.push(object);
                let (meaning, expected) = (<$name as Union>::MEANING, <$name as Union>::EXPECTED);
                schemars::json_schema!({
                    "description": format!("{meaning}: {expected}, or the same as an object."),
                    "anyOf": forms,
                })
            }
        }
    };
}

/// The TTL of an output's datagrams.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ttl {
    /// This value, 1 to 255.
    Set(u8),
    /// The arriving value less one.
    Decrement,
    /// The arriving value.
    Keep,
}

/// A TTL as an object.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TtlObject {
    /// How the TTL is made: set, decrement or keep.
    pub mode: Option<TtlMode>,
    /// The TTL from 1 to 255, where the mode is set.
    pub value: Option<Bounded<1, 255>>,
}

/// How a TTL is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum TtlMode {
    /// A given value.
    Set,
    /// The arriving value less one.
    Decrement,
    /// The arriving value.
    Keep,
}

impl Union for Ttl {
    const EXPECTED: &'static str = "a TTL from 1 to 255, \"decrement\" or \"keep\"";
    const MEANING: &'static str = "How the TTL is made";
    const NUMBERS: Option<(u64, u64)> = Some((1, 255));
    const WORDS: &'static [&'static str] = &["decrement", "keep"];
    type Object = TtlObject;

    fn from_number(number: u64) -> Option<Self> {
        u8::try_from(number).ok().filter(|&value| value > 0).map(Self::Set)
    }

    fn from_word(word: &str) -> Option<Self> {
        match word {
            "decrement" => Some(Self::Decrement),
            "keep" => Some(Self::Keep),
            _ => None,
        }
    }

    fn from_object(object: TtlObject) -> Result<Self, &'static str> {
        let value = object.value.and_then(|value| u8::try_from(value.get()).ok());
        match (object.mode, value) {
            (Some(TtlMode::Set), Some(value)) => Ok(Self::Set(value)),
            (Some(TtlMode::Decrement), None) => Ok(Self::Decrement),
            (Some(TtlMode::Keep), None) => Ok(Self::Keep),
            _ => Err("{ mode: \"set\", value: 1 to 255 }, { mode: \"decrement\" } or \
                      { mode: \"keep\" }"),
        }
    }

    fn short(&self) -> Short<'_> {
        match self {
            Self::Set(value) => Short::Number(u64::from(*value)),
            Self::Decrement => Short::Word("decrement"),
            Self::Keep => Short::Word("keep"),
        }
    }
}

impl_union!(Ttl, TtlObject);

/// The DSCP of an output's datagrams.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Dscp {
    /// This value, 0 to 63.
    Set(u8),
    /// The arriving value.
    Keep,
}

/// A DSCP as an object.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DscpObject {
    /// How the DSCP is made: set or keep.
    pub mode: Option<DscpMode>,
    /// The DSCP from 0 to 63, where the mode is set.
    pub value: Option<Bounded<0, 63>>,
}

/// How a DSCP is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum DscpMode {
    /// A given value.
    Set,
    /// The arriving value.
    Keep,
}

impl Union for Dscp {
    const EXPECTED: &'static str = "a DSCP from 0 to 63 or \"keep\"";
    const MEANING: &'static str = "How the DSCP is made";
    const NUMBERS: Option<(u64, u64)> = Some((0, 63));
    const WORDS: &'static [&'static str] = &["keep"];
    type Object = DscpObject;

    fn from_number(number: u64) -> Option<Self> {
        u8::try_from(number).ok().filter(|&value| value < 64).map(Self::Set)
    }

    fn from_word(word: &str) -> Option<Self> {
        (word == "keep").then_some(Self::Keep)
    }

    fn from_object(object: DscpObject) -> Result<Self, &'static str> {
        let value = object.value.and_then(|value| u8::try_from(value.get()).ok());
        match (object.mode, value) {
            (Some(DscpMode::Set), Some(value)) => Ok(Self::Set(value)),
            (Some(DscpMode::Keep), None) => Ok(Self::Keep),
            _ => Err("{ mode: \"set\", value: 0 to 63 } or { mode: \"keep\" }"),
        }
    }

    fn short(&self) -> Short<'_> {
        match self {
            Self::Set(value) => Short::Number(u64::from(*value)),
            Self::Keep => Short::Word("keep"),
        }
    }
}

impl_union!(Dscp, DscpObject);

/// The source address and port of an output's datagrams.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OutputSource {
    /// Our address on the output interface.
    Interface,
    /// The source that they came with.
    Keep,
    /// A given one.
    Address {
        /// The address.
        address: String,
        /// The UDP source port; none = one of ours.
        port: Option<u16>,
    },
}

/// An output's source as an object.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct OutputSourceObject {
    /// Where the source comes from; address where an address is given.
    pub mode: Option<OutputSourceMode>,
    /// The source address.
    pub address: Option<String>,
    /// The UDP source port.
    pub port: Option<Bounded<1, 65535>>,
}

/// Where an output's source comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum OutputSourceMode {
    /// Our address on the output interface.
    Interface,
    /// The source that they came with.
    Keep,
    /// The given address.
    Address,
}

impl Union for OutputSource {
    const EXPECTED: &'static str =
        "\"interface\", \"keep\" or { address: \"10.0.0.9\", port: 4000 }";
    const MEANING: &'static str = "Where the source comes from";
    const NUMBERS: Option<(u64, u64)> = None;
    const WORDS: &'static [&'static str] = &["interface", "keep"];
    type Object = OutputSourceObject;

    fn from_number(_: u64) -> Option<Self> {
        None
    }

    fn from_word(word: &str) -> Option<Self> {
        match word {
            "interface" => Some(Self::Interface),
            "keep" => Some(Self::Keep),
            _ => None,
        }
    }

    fn from_object(object: OutputSourceObject) -> Result<Self, &'static str> {
        match (object.mode, object.address, object.port.map(Bounded::get)) {
            (Some(OutputSourceMode::Interface), None, None) => Ok(Self::Interface),
            (Some(OutputSourceMode::Keep), None, None) => Ok(Self::Keep),
            (Some(OutputSourceMode::Address) | None, Some(address), port) => {
                Ok(Self::Address { address, port })
            }
            _ => Err(Self::EXPECTED),
        }
    }

    fn short(&self) -> Short<'_> {
        match self {
            Self::Interface => Short::Word("interface"),
            Self::Keep => Short::Word("keep"),
            Self::Address { address, port } => {
                Short::Address(AddressSource { address, port: *port })
            }
        }
    }
}

impl_union!(OutputSource, OutputSourceObject);

/// The VLAN whose tagged frames a rule takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Vlan {
    /// This VLAN, 1 to 4094.
    Id(u16),
    /// Every VLAN, and untagged frames.
    Any,
}

/// A VLAN as an object.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct VlanObject {
    /// Which VLANs: id or any.
    pub mode: Option<VlanMode>,
    /// The VLAN from 1 to 4094, where the mode is id.
    pub value: Option<Bounded<1, 4094>>,
}

/// Which VLANs a rule takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum VlanMode {
    /// A given one.
    Id,
    /// Every one.
    Any,
}

impl Union for Vlan {
    const EXPECTED: &'static str = "a VLAN from 1 to 4094 or \"any\"";
    const MEANING: &'static str = "Which VLANs are taken";
    const NUMBERS: Option<(u64, u64)> = Some((1, 4094));
    const WORDS: &'static [&'static str] = &["any"];
    type Object = VlanObject;

    fn from_number(number: u64) -> Option<Self> {
        u16::try_from(number).ok().filter(|id| (1..=4094).contains(id)).map(Self::Id)
    }

    fn from_word(word: &str) -> Option<Self> {
        (word == "any").then_some(Self::Any)
    }

    fn from_object(object: VlanObject) -> Result<Self, &'static str> {
        match (object.mode, object.value) {
            (Some(VlanMode::Id), Some(id)) => Ok(Self::Id(id.get())),
            (Some(VlanMode::Any), None) => Ok(Self::Any),
            _ => Err("{ mode: \"id\", value: 1 to 4094 } or { mode: \"any\" }"),
        }
    }

    fn short(&self) -> Short<'_> {
        match self {
            Self::Id(id) => Short::Number(u64::from(*id)),
            Self::Any => Short::Word("any"),
        }
    }
}

impl_union!(Vlan, VlanObject);
