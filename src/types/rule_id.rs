//! What a rule is known by.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;
use std::sync::Arc;

/// A rule's identity over its life: 1 to 64 letters, digits, `-`, `_` and `.`.
#[derive(Clone, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
pub struct RuleId(#[schemars(with = "String")] Text);

/// Ids that are derived, and most that people write, stand in place: tables by id have no second piece
/// of memory for each rule.
#[derive(Clone)]
enum Text {
    Short { len: u8, bytes: [u8; SHORT] },
    Long(Arc<str>),
}

/// The longest id that stands in place, in bytes.
const SHORT: usize = 22;

/// Why a string cannot be a rule id.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is not a rule id: 1 to 64 letters, digits, '-', '_' or '.'")]
pub struct RuleIdError(String);

impl RuleId {
    /// The id as text.
    pub fn as_str(&self) -> &str {
        match &self.0 {
            // They came out of a text of that length.
            Text::Short { len, bytes } => {
                str::from_utf8(&bytes[..usize::from(*len)]).unwrap_or_default()
            }
            Text::Long(text) => text,
        }
    }

    /// A stable id for a rule that was given none: 16 hex digits that depend on `seed` only
    /// (64-bit FNV-1a, so that it stays the same over restarts, machines and versions).
    pub fn derived(seed: &str) -> Self {
        let hash = seed.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
        });
        Self::of(&format!("{hash:016x}"))
    }

    fn of(text: &str) -> Self {
        let mut bytes = [0; SHORT];
        match (bytes.get_mut(..text.len()), u8::try_from(text.len())) {
            (Some(start), Ok(len)) => {
                start.copy_from_slice(text.as_bytes());
                Self(Text::Short { len, bytes })
            }
            _ => Self(Text::Long(text.into())),
        }
    }
}

impl PartialEq for RuleId {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for RuleId {}

impl PartialOrd for RuleId {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for RuleId {
    /// The order of the texts.
    fn cmp(&self, other: &Self) -> Ordering {
        self.as_str().cmp(other.as_str())
    }
}

impl Hash for RuleId {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_str().hash(state);
    }
}

impl TryFrom<String> for RuleId {
    type Error = RuleIdError;
    fn try_from(id: String) -> Result<Self, RuleIdError> {
        let fits = (1..=64).contains(&id.len())
            && id.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'));
        if fits { Ok(Self::of(&id)) } else { Err(RuleIdError(id)) }
    }
}

impl FromStr for RuleId {
    type Err = RuleIdError;
    fn from_str(id: &str) -> Result<Self, RuleIdError> {
        Self::try_from(id.to_owned())
    }
}

impl From<RuleId> for String {
    fn from(id: RuleId) -> Self {
        id.as_str().to_owned()
    }
}

impl fmt::Debug for RuleId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("RuleId").field(&self.as_str()).finish()
    }
}

impl fmt::Display for RuleId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_its_text_however_long_it_is() {
        let mut last: Option<RuleId> = None;
        for len in 1..=64 {
            let text = "a".repeat(len);
            let id: RuleId = text.parse().expect("an id");
            assert_eq!(id.as_str(), text);
            assert_eq!(String::from(id.clone()), text);
            assert_eq!(id, text.parse().expect("the same"));
            assert!(last.is_none_or(|last| last < id));
            last = Some(id);
        }
        for wrong in [String::new(), "a".repeat(65), "a b".to_owned(), "ä".to_owned()] {
            assert!(wrong.parse::<RuleId>().is_err(), "{wrong}");
        }
        assert_eq!(size_of::<RuleId>(), 24, "there are several for each rule");
    }
}
