//! What is written the same way for a man page and for a page in Markdown.

/// A page as it grows.
pub(super) trait Sheet {
    /// A part of a section.
    fn part(&mut self, title: &str);
    /// A paragraph.
    fn paragraph(&mut self, text: &str);
    /// An entry of a list: a term, words beside it, what it means.
    fn entry(&mut self, term: &str, beside: &str, meaning: &str);
    /// A line below the entry before it.
    fn below(&mut self, text: &str);
}
