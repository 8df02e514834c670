//! From text to a tree of values, with hints for those who missed a comma.

use super::diagnose::{Diagnostic, Findings, MAX_FINDINGS, quoted};
use super::position::{Lines, TextProblem, check_brackets, check_members};
use super::tokens::piece_at;
use json5::ErrorCode;
use serde_json::Value;

/// The largest configuration that is read, in bytes.
pub(super) const MAX_BYTES: usize = 16 * 1024 * 1024;

/// Parses JSON5. A text that is not well-formed gives one diagnostic; keys given twice and unusable
/// numbers go to `findings`.
pub(super) fn parse(text: &str, findings: &mut Findings) -> Result<Value, Diagnostic> {
    let value = parse_text(text).map_err(|problem| {
        let (line, column) = Lines::new(text).at(problem.offset);
        Diagnostic {
            line: Some(line),
            column: Some(column),
            path: String::new(),
            message: problem.message,
        }
    })?;
    for (offset, path, message) in check_members(text, MAX_FINDINGS) {
        findings.report_at(offset, &path, message);
    }
    Ok(value)
}

fn parse_text(text: &str) -> Result<Value, TextProblem> {
    // The json5 crate recurses: it never sees nesting that was not counted first.
    let Some(problem) = check_brackets(text) else {
        return json5::from_str(text).map_err(|error| explain(text, &error));
    };
    let sound = text.get(..problem.sound).unwrap_or("");
    match json5::from_str::<Value>(sound) {
        Err(error) if !ends_early(&error) => Err(explain(sound, &error)),
        _ => Err(problem),
    }
}

/// True for the error that every cut text gives.
fn ends_early(error: &json5::Error) -> bool {
    error.code().is_some_and(|code| {
        matches!(
            code,
            ErrorCode::EofParsingArray
                | ErrorCode::EofParsingBool
                | ErrorCode::EofParsingComment
                | ErrorCode::EofParsingEscapeSequence
                | ErrorCode::EofParsingIdentifier
                | ErrorCode::EofParsingNull
                | ErrorCode::EofParsingNumber
                | ErrorCode::EofParsingObject
                | ErrorCode::EofParsingString
                | ErrorCode::EofParsingValue
        )
    })
}

/// The parser's error in words that say what would be right.
fn explain(text: &str, error: &json5::Error) -> TextProblem {
    if ends_early(error) {
        let message = "there is no configuration; the smallest one is { rules: [] }".to_owned();
        let blank = text.chars().all(json5::char::is_json5_whitespace);
        let message = if blank || piece_at(text, 0).is_empty() {
            message
        } else {
            "the text ends in the middle of a value".to_owned()
        };
        return TextProblem { offset: 0, sound: 0, message };
    }
    let offset = error.position().map_or(0, |position| offset_of(text, position));
    let piece = piece_at(text, offset);
    let before = if piece.is_empty() { "the end".to_owned() } else { quoted(piece) };
    let message = match error.code() {
        Some(
            ErrorCode::ExpectedComma
            | ErrorCode::ExpectedClosingBrace
            | ErrorCode::ExpectedClosingBracket,
        ) => {
            format!("expected ',' before {before}: is a comma missing after what stands before it?")
        }
        Some(ErrorCode::ExpectedColon) => format!(
            "expected ':' before {before}: a key is followed by ':' and its value, and a key of \
             other characters than letters, digits, '_' and '$' needs quotes"
        ),
        Some(ErrorCode::ExpectedIdentifier) if piece == "," => {
            "expected a key before \",\": is there one comma too many?".to_owned()
        }
        Some(ErrorCode::ExpectedIdentifier | ErrorCode::ExpectedString | ErrorCode::InvalidKey) => {
            format!("expected a key before {before}, such as name or \"name\"")
        }
        Some(
            ErrorCode::ExpectedValue
            | ErrorCode::ExpectedNull
            | ErrorCode::ExpectedBool
            | ErrorCode::ExpectedNumber
            | ErrorCode::ExpectedStringOrObject,
        ) => expected_value(piece),
        Some(ErrorCode::LeadingZero) => {
            "a number must not begin with 0; text and addresses need quotes".to_owned()
        }
        Some(ErrorCode::OverflowParsingNumber) => format!("{before} is too large a number"),
        Some(ErrorCode::InvalidEscapeSequence) => {
            "unknown escape in a string; a backslash is written \"\\\\\"".to_owned()
        }
        Some(ErrorCode::LineTerminatorInString) => {
            "this string has no closing quote on its line".to_owned()
        }
        Some(ErrorCode::TrailingCharacters) => {
            format!("the configuration is complete before {before}; remove what follows")
        }
        _ => expected_value(piece),
    };
    TextProblem { offset, sound: offset, message }
}

fn expected_value(piece: &str) -> String {
    match piece {
        "" => "expected a value".to_owned(),
        "," | ":" | "]" | "}" => format!("expected a value before {}", quoted(piece)),
        _ => format!(
            "{0} is not a value: text and addresses need quotes, and only numbers, true, false and \
             null go without",
            quoted(piece)
        ),
    }
}

/// The byte offset of the parser's position, which counts lines and characters from 0.
fn offset_of(text: &str, position: json5::Position) -> usize {
    let mut chars = text.char_indices().peekable();
    let mut line = 0;
    while line < position.line {
        match chars.next() {
            Some((_, '\r')) if chars.peek().is_some_and(|(_, c)| *c == '\n') => {}
            Some((_, c)) if json5::char::is_json5_line_terminator(c) => line += 1,
            Some(_) => {}
            None => return text.len(),
        }
    }
    chars.nth(position.column).map_or(text.len(), |(offset, _)| offset)
}
