//! The few macros of man(7) that we use.

use super::sheet::Sheet;
use std::fmt::Write;

/// A page as it grows.
#[derive(Debug, Default)]
pub(super) struct Page(String);

impl Page {
    pub(super) fn new(name: &str, section: u8) -> Self {
        let version = env!("CARGO_PKG_VERSION");
        Self(format!(".TH {} {section} \"\" \"mcr {version}\" mcr\n", name.to_uppercase()))
    }

    /// A section.
    pub(super) fn section(&mut self, title: &str) {
        self.line(&format!(".SH \"{title}\""));
    }

    /// Lines as they are.
    pub(super) fn verbatim(&mut self, text: &str) {
        self.line(".PP\n.nf");
        for line in text.lines() {
            self.line(&escaped(line));
        }
        self.line(".fi");
    }

    /// What is roff already.
    pub(super) fn raw(&mut self, roff: &str) {
        self.0.push_str(roff);
    }

    fn line(&mut self, line: &str) {
        let _ = writeln!(self.0, "{line}");
    }

    pub(super) fn text(self) -> String {
        self.0
    }
}

impl Sheet for Page {
    fn part(&mut self, title: &str) {
        self.line(&format!(".SS \"{}\"", escaped(title)));
    }

    fn paragraph(&mut self, text: &str) {
        self.line(".PP");
        self.line(&escaped(text));
    }

    fn entry(&mut self, term: &str, beside: &str, meaning: &str) {
        self.line(".TP");
        let beside = if beside.is_empty() { String::new() } else { format!("  {beside}") };
        self.line(&format!("\\fB{}\\fR{}", escaped(term), escaped(&beside)));
        self.line(&escaped(meaning));
    }

    fn below(&mut self, text: &str) {
        self.line(".br");
        self.line(&escaped(text));
    }
}

/// Text that roff prints as it is: no macro, no hyphen for a minus.
pub(super) fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for (index, line) in text.split('\n').enumerate() {
        if index > 0 {
            out.push('\n');
        }
        if line.starts_with(['.', '\'']) {
            out.push_str("\\&");
        }
        for character in line.chars() {
            match character {
                '\\' => out.push_str("\\e"),
                '-' => out.push_str("\\-"),
                '"' => out.push_str("\\(dq"),
                '`' => {}
                other => out.push(other),
            }
        }
    }
    out
}
