//! The little Markdown that we use.

use super::sheet::Sheet;
use std::fmt::Write;

/// A page as it grows.
#[derive(Debug, Default)]
pub(super) struct Page(String);

impl Page {
    pub(super) fn new(title: &str) -> Self {
        Self(format!("# {title}\n"))
    }

    pub(super) fn section(&mut self, title: &str) {
        let _ = write!(self.0, "\n## {title}\n");
    }

    pub(super) fn text(self) -> String {
        self.0
    }

    /// A list begins after an empty line, and goes on without.
    fn item(&mut self, item: &str) {
        let last = self.0.lines().last().unwrap_or_default();
        let gap = if last.starts_with("- ") || last.starts_with("  ") { "" } else { "\n" };
        let _ = writeln!(self.0, "{gap}{item}");
    }
}

impl Sheet for Page {
    fn part(&mut self, title: &str) {
        let _ = write!(self.0, "\n### {title}\n");
    }

    fn paragraph(&mut self, text: &str) {
        let _ = write!(self.0, "\n{text}\n");
    }

    fn entry(&mut self, term: &str, beside: &str, meaning: &str) {
        let beside = if beside.is_empty() { String::new() } else { format!(" {beside}") };
        let meaning = meaning.replace("\n\n", " ").replace('\n', " ");
        self.item(&format!("- `{term}`{beside}: {meaning}"));
    }

    fn below(&mut self, text: &str) {
        self.item(&format!("  - {}", text.replace('\n', " ")));
    }
}
