//! What is wrong with a configuration, for people: place, path, what is wrong, what would be right.

use super::path::Path;
use super::position::{Lines, Point, locate};
use std::collections::HashSet;
use std::fmt;

/// How many mistakes of one text are told; who has made more starts with these.
pub(super) const MAX_FINDINGS: usize = 1000;

/// One mistake in a configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// The line in the text, from 1; none where there is no text.
    pub line: Option<u32>,
    /// The column in the line, from 1, in characters.
    pub column: Option<u32>,
    /// Where in the configuration: `rules[3].outputs[1].group`; empty for the whole of it.
    pub path: String,
    /// What is wrong, and what would be right.
    pub message: String,
}

impl Diagnostic {
    /// A mistake that has no place in a text.
    pub(super) fn of_whole(message: impl Into<String>) -> Self {
        Self { line: None, column: None, path: String::new(), message: message.into() }
    }

    /// `path: message`, or only the message where there is no path.
    fn write_body(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        f.write_str(&self.message)
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(line) = self.line {
            write!(f, "line {line}: ")?;
        }
        self.write_body(f)
    }
}

/// All mistakes of one configuration, in the order of its text; as an error never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostics {
    /// The file's name, or "request".
    pub source: String,
    /// The mistakes.
    pub list: Vec<Diagnostic>,
}

impl Diagnostics {
    pub(super) fn one(source: &str, diagnostic: Diagnostic) -> Self {
        Self { source: source.to_owned(), list: vec![diagnostic] }
    }
}

impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, diagnostic) in self.list.iter().enumerate() {
            if at > 0 {
                f.write_str("\n")?;
            }
            f.write_str(&self.source)?;
            if let Some(line) = diagnostic.line {
                write!(f, ":{line}")?;
                if let Some(column) = diagnostic.column {
                    write!(f, ":{column}")?;
                }
            }
            f.write_str(": ")?;
            diagnostic.write_body(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for Diagnostics {}

/// One mistake before its place in the text is known.
#[derive(Debug)]
struct Finding {
    path: Path,
    point: Point,
    /// Its place, where that is known already.
    offset: Option<usize>,
    message: String,
}

/// Collects mistakes. What contains or is contained in a value that was reported before is not
/// reported again: it would only be a consequence.
#[derive(Debug, Default)]
pub(super) struct Findings {
    list: Vec<Finding>,
    /// Reported values, in the schema's spelling.
    broken: HashSet<Path>,
    /// Everything that contains one of them.
    above_broken: HashSet<Path>,
    more: bool,
}

impl Findings {
    /// The value at `path` is wrong.
    pub(super) fn report(&mut self, path: &Path, message: impl Into<String>) {
        self.add(path, Point::Value, None, message.into());
    }

    /// The key at `path` should not be there.
    pub(super) fn report_key(&mut self, path: &Path, message: impl Into<String>) {
        self.add(path, Point::Key, None, message.into());
    }

    /// The same, where the place is known.
    pub(super) fn report_at(&mut self, offset: usize, path: &Path, message: impl Into<String>) {
        self.add(path, Point::Value, Some(offset), message.into());
    }

    /// `path` is too wrong to go on with; told even though its parts were told before.
    pub(super) fn report_more(&mut self, path: &Path, message: &str) {
        self.broken.insert(path.canonical());
        let finding = Finding {
            path: path.clone(),
            point: Point::Key,
            offset: None,
            message: message.to_owned(),
        };
        self.list.push(finding);
    }

    /// Says nothing, and lets nothing be said about `path` later.
    pub(super) fn silence(&mut self, path: &Path) {
        self.mark(path.canonical());
    }

    fn add(&mut self, path: &Path, point: Point, offset: Option<usize>, message: String) {
        let canonical = path.canonical();
        if self.is_consequence(&canonical) {
            return;
        }
        self.mark(canonical);
        if self.is_full() {
            self.more = true;
            return;
        }
        self.list.push(Finding { path: path.clone(), point, offset, message });
    }

    fn mark(&mut self, canonical: Path) {
        let mut above = canonical.parent();
        while let Some(path) = above {
            above = path.parent();
            if !self.above_broken.insert(path) {
                break;
            }
        }
        self.broken.insert(canonical);
    }

    fn is_consequence(&self, canonical: &Path) -> bool {
        // The whole text contains every mistake; something said about it is no consequence.
        if self.above_broken.contains(canonical) && !canonical.segments().is_empty() {
            return true;
        }
        let mut path = Some(canonical.clone());
        while let Some(at) = path {
            if self.broken.contains(&at) {
                return true;
            }
            path = at.parent();
        }
        false
    }

    /// True where something was reported or silenced at `path` or in it: what is there now is not
    /// what was written.
    pub(super) fn has(&self, path: &Path) -> bool {
        if self.broken.is_empty() {
            return false;
        }
        let canonical = path.canonical();
        self.broken.contains(&canonical) || self.above_broken.contains(&canonical)
    }

    /// True where more than [`MAX_FINDINGS`] would be told.
    pub(super) fn is_full(&self) -> bool {
        self.list.len() >= MAX_FINDINGS
    }

    pub(super) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.list.len()
    }

    /// The mistakes with their places in `text`, in its order.
    pub(super) fn into_diagnostics(self, source: &str, text: &str) -> Diagnostics {
        let wanted: Vec<(&Path, Point)> =
            self.list.iter().map(|finding| (&finding.path, finding.point)).collect();
        let places = locate(text, &wanted);
        let mut order: Vec<(usize, Finding)> = places
            .into_iter()
            .zip(self.list)
            .map(|(place, finding)| (finding.offset.unwrap_or(place), finding))
            .collect();
        order.sort_by_key(|(offset, _)| *offset);
        let lines = Lines::new(text);
        let mut list: Vec<Diagnostic> = order
            .into_iter()
            .map(|(offset, finding)| {
                let (line, column) = lines.at(offset);
                Diagnostic {
                    line: Some(line),
                    column: Some(column),
                    path: finding.path.to_string(),
                    message: finding.message,
                }
            })
            .collect();
        if self.more {
            list.push(Diagnostic::of_whole(format!(
                "there are more than {MAX_FINDINGS} mistakes; the others are told when these \
                 are corrected"
            )));
        }
        Diagnostics { source: source.to_owned(), list }
    }

    /// The mistakes of something that has no text.
    pub(super) fn into_list(self) -> Vec<Diagnostic> {
        self.list
            .into_iter()
            .map(|finding| Diagnostic {
                line: None,
                column: None,
                path: finding.path.to_string(),
                message: finding.message,
            })
            .collect()
    }
}

/// Text from a configuration as it can stand in a message: quoted, escaped, not too long.
pub(super) fn quoted(text: &str) -> String {
    const LONGEST: usize = 60;
    let mut shown: String = text.chars().take(LONGEST).collect();
    if shown.len() < text.len() {
        shown.push('…');
    }
    let escaped: String = shown
        .chars()
        .flat_map(|c| if c == '…' || c == '\'' { vec![c] } else { c.escape_debug().collect() })
        .collect();
    format!("\"{escaped}\"")
}

/// The known word that was probably meant by `word`, if one is near enough.
pub(super) fn nearest<'k>(word: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    let word = word.to_lowercase();
    let budget = (word.chars().count() / 3).clamp(1, 3);
    known
        .into_iter()
        .map(|candidate| {
            let known = candidate.to_lowercase();
            let begins = known.starts_with(&word) || word.starts_with(&known);
            let distance = edits(&word, &known);
            // "warning" is near "warn", however many letters follow.
            let near = begins && word.len().min(known.len()) >= 3;
            (if near { distance.min(budget) } else { distance }, candidate)
        })
        .filter(|(distance, _)| *distance <= budget)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Insertions, deletions, replacements and swaps of neighbours that turn `a` into `b`.
fn edits(a: &str, b: &str) -> usize {
    // Keys are short; anything else is not near.
    const LONGEST: usize = 40;
    let (a, b): (Vec<char>, Vec<char>) =
        (a.chars().take(LONGEST).collect(), b.chars().take(LONGEST).collect());
    let width = b.len() + 1;
    let mut cost = vec![0; (a.len() + 1) * width];
    for i in 0..=a.len() {
        for j in 0..=b.len() {
            let at = i * width + j;
            cost[at] = if i == 0 || j == 0 {
                i + j
            } else {
                let same = usize::from(a[i - 1] != b[j - 1]);
                let mut best =
                    (cost[at - width] + 1).min(cost[at - 1] + 1).min(cost[at - width - 1] + same);
                if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                    best = best.min(cost[at - 2 * width - 2] + 1);
                }
                best
            };
        }
    }
    cost.last().copied().unwrap_or(0)
}
