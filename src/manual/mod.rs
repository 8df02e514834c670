//! L5, man pages and completions.
/// a
pub fn pages() -> Vec<(String, String)> {
    Vec::new()
}
/// b
pub fn completions() -> Vec<(String, String)> {
    Vec::new()
}
