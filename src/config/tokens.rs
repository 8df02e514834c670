//! JSON5 cut into pieces: just enough of its grammar to follow a text that the json5 crate judges.

/// A piece of the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Token<'t> {
    Open(u8),
    Close(u8),
    Colon,
    Comma,
    /// A string with its quotes; false where its end is missing.
    Text(&'t str, bool),
    /// Anything else: a number, a name, `true`.
    Word(&'t str),
    /// A block comment whose end is missing.
    OpenComment,
}

/// Cuts the text into pieces, without white space and comments.
pub(super) struct Tokens<'t> {
    text: &'t str,
    at: usize,
}

impl<'t> Tokens<'t> {
    pub(super) fn new(text: &'t str) -> Self {
        Self { text, at: 0 }
    }

    fn rest(&self) -> &'t str {
        self.text.get(self.at..).unwrap_or("")
    }

    /// Skips white space and comments; the offset of a block comment that never ends.
    fn skip_blank(&mut self) -> Option<usize> {
        loop {
            let rest = self.rest();
            let blank = rest.len() - rest.trim_start_matches(is_blank).len();
            self.at += blank;
            let rest = self.rest();
            if let Some(comment) = rest.strip_prefix("//") {
                self.at += 2 + comment
                    .find(json5::char::is_json5_line_terminator)
                    .unwrap_or(comment.len());
            } else if let Some(comment) = rest.strip_prefix("/*") {
                let Some(length) = comment.find("*/") else {
                    let start = self.at;
                    self.at = self.text.len();
                    return Some(start);
                };
                self.at += 4 + length;
            } else {
                return None;
            }
        }
    }

    /// The string that starts here. A line end that is not escaped ends it too: it is malformed,
    /// and the rest of the text is not part of it.
    fn string(&mut self, quote: u8) -> Token<'t> {
        let start = self.at;
        let bytes = self.text.as_bytes();
        let mut at = start + 1;
        let mut closed = false;
        while let Some(&byte) = bytes.get(at) {
            match byte {
                b'\\' => at += if bytes[at + 1..].starts_with(b"\r\n") { 3 } else { 2 },
                b'\n' | b'\r' => break,
                _ => {
                    at += 1;
                    if byte == quote {
                        closed = true;
                        break;
                    }
                }
            }
        }
        // An escape may have stepped into a character or past the end.
        self.at = at.min(self.text.len());
        while !self.text.is_char_boundary(self.at) {
            self.at += 1;
        }
        Token::Text(&self.text[start..self.at], closed)
    }
}

/// White space as JSON5 has it; quickly told for what most texts consist of.
fn is_blank(c: char) -> bool {
    match c {
        '!'..='~' => false,
        other => json5::char::is_json5_whitespace(other),
    }
}

impl<'t> Iterator for Tokens<'t> {
    type Item = (usize, Token<'t>);

    fn next(&mut self) -> Option<Self::Item> {
        if let Some(start) = self.skip_blank() {
            return Some((start, Token::OpenComment));
        }
        let start = self.at;
        let byte = *self.text.as_bytes().get(start)?;
        let token = match byte {
            b'{' | b'[' => Token::Open(byte),
            b'}' | b']' => Token::Close(byte),
            b':' => Token::Colon,
            b',' => Token::Comma,
            b'"' | b'\'' => return Some((start, self.string(byte))),
            _ => {
                let rest = self.rest();
                let ends = |c: char| {
                    matches!(c, '{' | '}' | '[' | ']' | ':' | ',' | '"' | '\'' | '/') || is_blank(c)
                };
                // The first character always belongs to the word: the walk must go on.
                let first = rest.chars().next().map_or(1, char::len_utf8);
                let length = rest[first..].find(ends).map_or(rest.len(), |end| first + end);
                self.at += length;
                return Some((start, Token::Word(&rest[..length])));
            }
        };
        self.at += 1;
        Some((start, token))
    }
}

/// The piece that starts at `offset`, as it stands in the text.
pub(super) fn piece_at(text: &str, offset: usize) -> &str {
    let mut tokens = Tokens { text, at: offset };
    let start = tokens.next().map_or(text.len(), |(start, _)| start);
    text.get(start..tokens.at).unwrap_or("")
}
