//! Where in a configuration something stands: `rules[3].outputs[1].group`.

use std::fmt;

/// One step of a [`Path`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Segment {
    /// A member of an object.
    Key(String),
    /// An element of a list, from 0.
    Index(usize),
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
    pub(super) fn key(&self, key: &str) -> Self {
        let mut path = self.clone();
        path.push_key(key);
        path
    }

    /// The element `index` of this list.
    pub(super) fn index(&self, index: usize) -> Self {
        let mut path = self.clone();
        path.push_index(index);
        path
    }

    pub(super) fn push_key(&mut self, key: &str) {
        self.0.push(Segment::Key(key.to_owned()));
    }

    pub(super) fn push_index(&mut self, index: usize) {
        self.0.push(Segment::Index(index));
    }

    pub(super) fn pop(&mut self) -> Option<Segment> {
        self.0.pop()
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
            Segment::Key(key) => Some(camel_case(key)),
            Segment::Index(_) => None,
        })
    }

    /// The same path with every key in the spelling of the schema.
    pub(super) fn canonical(&self) -> Self {
        let spell = |segment: &Segment| match segment {
            Segment::Key(key) => Segment::Key(camel_case(key)),
            Segment::Index(index) => Segment::Index(*index),
        };
        Self(self.0.iter().map(spell).collect())
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
pub(super) fn camel_case(key: &str) -> String {
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
    camel
}
