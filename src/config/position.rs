//! Where things stand in a JSON5 text: brackets that do not match, nesting that goes too deep, keys
//! given twice, and the line and column of a path.
//!
//! The json5 crate decides what is well-formed; this walk knows just enough of the grammar to
//! follow it (strings, comments, brackets, words). It is iterative, so that no input can exhaust
//! the stack, and it never fails: on malformed text it stops being useful, nothing more.

use super::path::{Path, Segment, camel_case};
use super::tokens::{Token, Tokens};
use std::borrow::Cow;
use std::collections::HashMap;
use std::collections::hash_map::Entry;

/// How deep lists and objects may nest. A configuration needs 8; the parsers behind recurse.
pub(super) const MAX_DEPTH: usize = 64;

/// A mistake in the text itself, at a byte offset.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct TextProblem {
    /// Where.
    pub(super) offset: usize,
    /// The text before this offset is not concerned: what is wrong there came first.
    pub(super) sound: usize,
    /// What is wrong and what would be right.
    pub(super) message: String,
}

/// Turns byte offsets into lines and columns, both from 1; columns count characters.
pub(super) struct Lines<'t> {
    text: &'t str,
    /// Where each line starts.
    starts: Vec<usize>,
}

impl<'t> Lines<'t> {
    /// Lines end with LF, CR LF or CR.
    pub(super) fn new(text: &'t str) -> Self {
        let bytes = text.as_bytes();
        let ends = bytes.iter().enumerate().filter(|&(at, &byte)| {
            byte == b'\n' || (byte == b'\r' && bytes.get(at + 1) != Some(&b'\n'))
        });
        let starts = std::iter::once(0).chain(ends.map(|(at, _)| at + 1)).collect();
        Self { text, starts }
    }

    /// The line and column of an offset.
    pub(super) fn at(&self, offset: usize) -> (u32, u32) {
        let line = self.starts.partition_point(|&start| start <= offset);
        let start = self.starts.get(line.wrapping_sub(1)).copied().unwrap_or(0);
        let column = self.text.get(start..offset).map_or(0, |before| before.chars().count()) + 1;
        let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        (number(line), number(column))
    }
}

/// The first bracket, string or comment that is wrong by itself, or nesting deeper than
/// [`MAX_DEPTH`].
pub(super) fn check_brackets(text: &str) -> Option<TextProblem> {
    let mut open: Vec<(usize, u8)> = Vec::new();
    for (offset, token) in Tokens::new(text) {
        match token {
            Token::Open(bracket) => {
                if open.len() == MAX_DEPTH {
                    let message = format!(
                        "lists and objects nest deeper than {MAX_DEPTH} levels; \
                         no configuration needs more than 8"
                    );
                    return Some(TextProblem { offset, sound: offset, message });
                }
                open.push((offset, bracket));
            }
            Token::Close(bracket) => match open.pop() {
                Some((_, opened)) if closes(opened, bracket) => {}
                Some((at, opened)) => {
                    let message = format!(
                        "'{}' found, but the '{}' of line {} is still open: \
                         close it with '{}' first",
                        bracket as char,
                        opened as char,
                        Lines::new(text).at(at).0,
                        closing(opened)
                    );
                    return Some(TextProblem { offset, sound: offset, message });
                }
                None => {
                    let message =
                        format!("'{}' without an opening bracket; remove it", bracket as char);
                    return Some(TextProblem { offset, sound: offset, message });
                }
            },
            Token::Text(_, false) => {
                let message = "this string has no closing quote on its line".to_owned();
                return Some(TextProblem { offset, sound: offset, message });
            }
            Token::OpenComment => {
                let message = "this comment is never closed: \"*/\" is missing".to_owned();
                return Some(TextProblem { offset, sound: offset, message });
            }
            Token::Text(..) | Token::Word(_) | Token::Colon | Token::Comma => {}
        }
    }
    open.pop().map(|(offset, opened)| TextProblem {
        offset,
        sound: text.len(),
        message: format!(
            "this '{}' is never closed: '{}' is missing",
            opened as char,
            closing(opened)
        ),
    })
}

fn closing(opened: u8) -> char {
    if opened == b'{' { '}' } else { ']' }
}

fn closes(opened: u8, closed: u8) -> bool {
    closing(opened) == closed as char
}

/// What a walk reports, in the order of the text.
enum Step<'s> {
    /// A member's key: the object is the innermost open one.
    Key(Cow<'s, str>),
    /// The elements of a list are counted here.
    Element(usize),
    /// A value begins; for scalars also ends.
    Value { open: bool, word: Option<&'s str> },
    /// The innermost object or list ends.
    End,
}

/// Walks a well-formed text. Keys come decoded.
fn walk<'t>(text: &'t str, mut visit: impl FnMut(usize, Step<'t>)) {
    // True = object; with the number of list elements seen.
    let mut open: Vec<(bool, usize)> = Vec::new();
    let mut key_next = false;
    for (offset, token) in Tokens::new(text) {
        let in_object = open.last().is_some_and(|(object, _)| *object);
        match token {
            Token::Comma => key_next = in_object,
            Token::Colon | Token::OpenComment => {}
            Token::Close(_) => {
                open.pop();
                key_next = false;
                visit(offset, Step::End);
            }
            Token::Text(raw, _) | Token::Word(raw) if key_next => {
                key_next = false;
                visit(offset, Step::Key(decode_key(raw)));
            }
            Token::Open(_) | Token::Text(..) | Token::Word(_) => {
                if let Some((false, count)) = open.last_mut() {
                    visit(offset, Step::Element(*count));
                    *count += 1;
                }
                let word = if let Token::Word(word) = token { Some(word) } else { None };
                let opened = if let Token::Open(bracket) = token { Some(bracket) } else { None };
                visit(offset, Step::Value { open: opened.is_some(), word });
                if let Some(bracket) = opened {
                    open.push((bracket == b'{', 0));
                    key_next = bracket == b'{';
                }
            }
        }
    }
}

/// A key as the program sees it: without quotes, escapes resolved.
fn decode_key(raw: &str) -> Cow<'_, str> {
    let decoded = if raw.starts_with(['"', '\'']) {
        json5::from_str::<String>(raw)
    } else if raw.contains('\\') {
        json5::from_str::<String>(&format!("\"{raw}\""))
    } else {
        return Cow::Borrowed(raw);
    };
    decoded.map_or(Cow::Borrowed(raw), Cow::Owned)
}

/// Keys that were given twice in one object (`link_local` and `linkLocal` are the same key) and
/// numbers that are none (`NaN`, `Infinity`), with their paths. At most `limit` of them.
pub(super) fn check_members(text: &str, limit: usize) -> Vec<(usize, Path, String)> {
    let mut found: Vec<(usize, Path, String)> = Vec::new();
    let mut lines = None;
    let mut way: Vec<Stride<'_>> = Vec::new();
    // For each open object or list, the keys seen with their offsets.
    let mut open: Vec<HashMap<Cow<'_, str>, usize>> = Vec::new();
    walk(text, |offset, step| match step {
        Step::Key(key) => {
            let in_names = matches!(way.first(), Some(Stride::Key(first)) if first == "pinning");
            way.push(Stride::Key(key.clone()));
            let same = match key {
                key if in_names || !key.contains('_') => key,
                key => Cow::Owned(camel_case(&key).into_owned()),
            };
            let Some(seen) = open.last_mut() else { return };
            match seen.entry(same) {
                Entry::Vacant(free) => {
                    free.insert(offset);
                }
                Entry::Occupied(first) => {
                    if found.len() < limit {
                        let lines = lines.get_or_insert_with(|| Lines::new(text));
                        let line = lines.at(*first.get()).0;
                        let message =
                            format!("given twice, first on line {line}; remove one of them");
                        found.push((offset, path_of(&way), message));
                    }
                }
            }
        }
        Step::Element(index) => way.push(Stride::Index(index)),
        Step::Value { open: true, .. } => open.push(HashMap::new()),
        Step::Value { open: false, word } => {
            if let Some(word) = word.filter(|w| is_no_number(w))
                && found.len() < limit
            {
                found.push((offset, path_of(&way), format!("{word} is not a usable number")));
            }
            way.pop();
        }
        Step::End => {
            open.pop();
            way.pop();
        }
    });
    found
}

/// A segment of a path that borrows from the text: most are never told.
enum Stride<'t> {
    Key(Cow<'t, str>),
    Index(usize),
}

fn path_of(way: &[Stride<'_>]) -> Path {
    let mut path = Path::root();
    for stride in way {
        match stride {
            Stride::Key(key) => path.push_key(key.clone().into_owned()),
            Stride::Index(index) => path.push_index(*index),
        }
    }
    path
}

/// True for `NaN`, `Infinity` and numbers as large as that: as values they would read like `null`.
fn is_no_number(word: &str) -> bool {
    let digits = word.trim_start_matches(['+', '-']);
    matches!(digits, "NaN" | "Infinity")
        || digits.starts_with(|c: char| c == '.' || c.is_ascii_digit())
            && digits.parse::<f64>().is_ok_and(f64::is_infinite)
}

/// What of a member a diagnostic points at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Point {
    /// The key: it should not be there.
    Key,
    /// The value: it is wrong.
    Value,
}

/// Finds where paths stand. A path that is not in the text gets the place of its nearest ancestor
/// that is.
pub(super) fn locate(text: &str, wanted: &[(&Path, Point)]) -> Vec<usize> {
    let mut tree = Places::default();
    let nodes: Vec<usize> = wanted.iter().map(|(path, _)| tree.insert(path)).collect();
    // The tree's node for each open value; none where nothing below is wanted.
    let mut at: Vec<Option<usize>> = vec![Some(0)];
    walk(text, |offset, step| match step {
        Step::Key(key) => {
            let parent = at.last().copied().flatten();
            let wanted = |node| {
                let key = camel_case(&key).into_owned();
                tree.child(node, &Segment::Key(key.into()))
            };
            let node = parent.and_then(wanted);
            if let Some(node) = node {
                tree.nodes[node].key.get_or_insert(offset);
            }
            at.push(node);
        }
        Step::Element(index) => {
            let parent = at.last().copied().flatten();
            let node = parent.and_then(|node| tree.child(node, &Segment::Index(index)));
            at.push(node);
        }
        Step::Value { open, .. } => {
            if let Some(node) = at.last().copied().flatten() {
                tree.nodes[node].value.get_or_insert(offset);
            }
            if !open {
                at.pop();
            }
        }
        Step::End => {
            at.pop();
        }
    });
    nodes.iter().zip(wanted).map(|(&node, (_, point))| tree.place(node, *point)).collect()
}

/// The wanted paths as a tree, so that one walk finds all of them.
struct Places {
    nodes: Vec<Place>,
    children: HashMap<(usize, Segment), usize>,
}

#[derive(Default)]
struct Place {
    parent: usize,
    key: Option<usize>,
    value: Option<usize>,
}

impl Default for Places {
    fn default() -> Self {
        Self { nodes: vec![Place::default()], children: HashMap::new() }
    }
}

impl Places {
    fn insert(&mut self, path: &Path) -> usize {
        let mut node = 0;
        for segment in path.segments() {
            let next = self.nodes.len();
            let child = *self.children.entry((node, segment.canonical())).or_insert(next);
            if child == next {
                self.nodes.push(Place { parent: node, ..Place::default() });
            }
            node = child;
        }
        node
    }

    fn child(&self, node: usize, segment: &Segment) -> Option<usize> {
        self.children.get(&(node, segment.clone())).copied()
    }

    fn place(&self, mut node: usize, point: Point) -> usize {
        let mut point = point;
        loop {
            let Place { parent, key, value } = self.nodes[node];
            let found = if point == Point::Key { key.or(value) } else { value.or(key) };
            match found {
                Some(offset) => return offset,
                None if node == 0 => return 0,
                None => node = parent,
            }
            // An ancestor is named by its key where it has one.
            point = Point::Key;
        }
    }
}
