//! Bit rates as people write them.

use schemars::JsonSchema;
use serde::de::{Deserializer, Error, Unexpected, Visitor};
use serde::{Deserialize, Serialize, Serializer};
use std::fmt;

/// Bits per second: a number, or a number with a decimal suffix ("3G", "400M", "64k").
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BitRate(
    /// Bits per second.
    pub u64,
);

impl BitRate {
    const EXPECTED: &'static str = "bits per second, such as 3000000 or \"3M\" (k, M, G, T)";

    fn from_word(word: &str) -> Option<Self> {
        let digits = word.trim_end_matches(|c: char| c.is_ascii_alphabetic());
        let scale = match &word[digits.len()..] {
            "" => 1,
            "k" => 1_000,
            "M" => 1_000_000,
            "G" => 1_000_000_000,
            "T" => 1_000_000_000_000,
            _ => return None,
        };
        if !digits.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        digits.parse::<u64>().ok()?.checked_mul(scale).filter(|&rate| rate > 0).map(Self)
    }
}

impl<'de> Deserialize<'de> for BitRate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(BitRateVisitor)
    }
}

struct BitRateVisitor;

impl Visitor<'_> for BitRateVisitor {
    type Value = BitRate;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(BitRate::EXPECTED)
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<BitRate, E> {
        if number == 0 {
            return Err(E::invalid_value(Unexpected::Unsigned(number), &self));
        }
        Ok(BitRate(number))
    }

    fn visit_str<E: Error>(self, word: &str) -> Result<BitRate, E> {
        BitRate::from_word(word).ok_or_else(|| E::invalid_value(Unexpected::Str(word), &self))
    }
}

impl Serialize for BitRate {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(self.0)
    }
}

impl JsonSchema for BitRate {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "BitRate".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "description": format!("A rate: {}.", Self::EXPECTED),
            "anyOf": [
                { "type": "integer", "minimum": 1 },
                { "type": "string", "pattern": "^[0-9]+[kMGT]?$" },
            ],
        })
    }
}
