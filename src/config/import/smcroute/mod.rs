//! smcroute.conf, by its manual: smcroute.conf(5), smcroutectl(8).

mod lines;
mod rules;

#[cfg(test)]
mod tests;

use super::{Imported, Remark, document};
use std::path::Path;

/// Said above the rules.
const COMMENT: &str = "\
Made from smcroute's configuration. The copies keep their source and have their TTL decremented, as when
the kernel forwards. A sender with a TTL of 1 reaches nobody that way, before and now: take the line
`ttl` out of its rule then, and the copies start with a TTL of 16.
Unlike a route of the kernel without a source, such a rule works from the first datagram on.";

/// Turns a smcroute.conf into rules; `include` is followed.
///
/// # Errors
/// All lines that are not understood, or why a file cannot be read.
pub fn smcroute_file(path: &Path) -> Result<Imported, Vec<Remark>> {
    finish(lines::read_file(path))
}

/// The same for a text; `name` is what remarks call it. A relative `include` begins at the current
/// directory.
///
/// # Errors
/// As of [`smcroute_file`].
pub fn smcroute_text(name: &str, text: &str) -> Result<Imported, Vec<Remark>> {
    finish(lines::read_text(name, text))
}

fn finish(lines: lines::Lines) -> Result<Imported, Vec<Remark>> {
    if !lines.mistakes.is_empty() {
        return Err(lines.mistakes);
    }
    let (file, warnings) = rules::rules(&lines.directives);
    Ok(Imported { document: document(COMMENT, &file), warnings })
}
