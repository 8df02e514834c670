//! Where in a configuration something stands: `rules[3].outputs[1].group`.

use std::borrow::Cow;
use std::fmt;

/// One step of a [`Path`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Segment {
    /// A member of an object.
    Key(Cow<'static, str>),
    /// An element of a list, from 0.
    Index(usize),
}

impl Segment {
    /// The same with a key in the spelling of the schema.
    pub(super) fn canonical(&self) -> Self {
        match self {
            Self::Key(Cow::Owned(key)) => Self::Key(Cow::Owned(camel_case(key).into_owned())),
            Self::Key(Cow::Borrowed(key)) => Self::Key(camel_case(key)),
            Self::Index(index) => Self::Index(*index),
        }
    }
}

/// The way from the root to a value.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Path(Vec<Segment>);

impl Path {
    /// The whole text.
    pub(super) fn root() -> Self {
        Self::default()
    }

    /// The member `key` of this object.
    pub(super) fn key(&self, key: impl Into<Cow<'static, str>>) -> Self {
        let mut path = self.longer();
        path.push_key(key);
        path
    }

    /// The element `index` of this list.
    pub(super) fn index(&self, index: usize) -> Self {
        let mut path = self.longer();
        path.push_index(index);
        path
    }

    /// A copy with room for one more.
    fn longer(&self) -> Self {
        let mut segments = Vec::with_capacity(self.0.len() + 1);
        segments.extend_from_slice(&self.0);
        Self(segments)
    }

    pub(super) fn push_key(&mut self, key: impl Into<Cow<'static, str>>) {
        self.0.push(Segment::Key(key.into()));
    }

    pub(super) fn push_index(&mut self, index: usize) {
        self.0.push(Segment::Index(index));
    }

    pub(super) fn segments(&self) -> &[Segment] {
        &self.0
    }

    /// This path followed by `tail`.
    pub(super) fn join(&self, tail: &Self) -> Self {
        Self(self.0.iter().chain(&tail.0).cloned().collect())
    }

    /// What contains it; none for the root.
    pub(super) fn parent(&self) -> Option<Self> {
        let (_, before) = self.0.split_last()?;
        Some(Self(before.to_vec()))
    }

    /// The last key, in the spelling of the schema.
    pub(super) fn last_key(&self) -> Option<String> {
        self.0.iter().rev().find_map(|segment| match segment {
            Segment::Key(key) => Some(camel_case(key).into_owned()),
            Segment::Index(_) => None,
        })
    }

    /// The same path with every key in the spelling of the schema.
    pub(super) fn canonical(&self) -> Self {
        Self(self.0.iter().map(Segment::canonical).collect())
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, segment) in self.0.iter().enumerate() {
            match segment {
                Segment::Index(index) => write!(f, "[{index}]")?,
                Segment::Key(key) if is_plain(key) => {
                    write!(f, "{}{key}", if at == 0 { "" } else { "." })?;
                }
                Segment::Key(key) => write!(f, "[{}]", super::diagnose::quoted(key))?,
            }
        }
        Ok(())
    }
}

/// True where a key can stand in a path as it is.
fn is_plain(key: &str) -> bool {
    let word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '$');
    (1..=64).contains(&key.len()) && key.chars().all(word)
}

/// `query_interval` becomes `queryInterval`; other spellings stay.
pub(super) fn camel_case(key: &str) -> Cow<'_, str> {
    if !key.contains('_') {
        return Cow::Borrowed(key);
    }
    let mut camel = String::with_capacity(key.len());
    let mut upper = false;
    for (at, c) in key.char_indices() {
        if c == '_' && at > 0 {
            upper = true;
        } else if upper {
            camel.push(c.to_ascii_uppercase());
            upper = false;
        } else {
            camel.push(c);
        }
    }
    Cow::Owned(camel)
}
