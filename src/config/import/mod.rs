//! Configurations of other programs, turned into ours.

mod smcroute;

pub use smcroute::{smcroute_file, smcroute_text};

use super::v1;
use std::fmt;

/// A configuration of ours, made of another's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Imported {
    /// The file to write, as JSON5.
    pub document: String,
    /// What could not be carried over, or is different from before.
    pub warnings: Vec<Remark>,
}

/// Something to say about a line of the other's configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remark {
    /// The file.
    pub file: String,
    /// The line, from 1; 0 = the file as a whole.
    pub line: u32,
    /// What is wrong or different.
    pub message: String,
}

impl fmt::Display for Remark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(f, "{}: {}", self.file, self.message),
            line => write!(f, "{}:{line}: {}", self.file, self.message),
        }
    }
}

/// A file of ours with a comment above it, in the way people write it: keys without quotes.
fn document(comment: &str, file: &v1::File) -> String {
    let json = serde_json::to_string_pretty(file).unwrap_or_default();
    let lines = json.lines().map(|line| {
        let start = line.len() - line.trim_start().len();
        let (indent, rest) = line.split_at(start);
        match rest.strip_prefix('"').and_then(|rest| rest.split_once("\": ")) {
            Some((key, value)) if key.bytes().all(|byte| byte.is_ascii_alphanumeric()) => {
                format!("{indent}{key}: {value}\n")
            }
            _ => format!("{line}\n"),
        }
    });
    let comment = comment.lines().map(|line| format!("// {line}").trim_end().to_owned() + "\n");
    comment.chain(lines).collect()
}
