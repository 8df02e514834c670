//! From a file, a text or a request to checked rules and settings, or to all that is wrong.

use super::diagnose::{Diagnostic, Diagnostics, Findings};
use super::path::Path as At;
use super::settings::{ControlSettings, Dataplane, LogSettings};
use super::{shape, syntax, v1, validate};
use crate::types::{IgmpConfig, Origin, Rule};
use std::io::Read;
use std::path::Path;

/// A configuration that can be applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loaded {
    /// What was written.
    pub file: v1::File,
    /// Its rules, in their order, of origin `file`.
    pub rules: Vec<Rule>,
    /// How packets are moved.
    pub dataplane: Dataplane,
    /// The control socket.
    pub control: ControlSettings,
    /// Logging.
    pub log: LogSettings,
    /// Members of groups on links, and our own memberships.
    pub igmp: IgmpConfig,
}

/// Loads a configuration file.
///
/// # Errors
/// All mistakes in it, or why it cannot be read.
pub fn load_file(path: &Path) -> Result<Loaded, Diagnostics> {
    let source = path.display().to_string();
    let cannot = |error: std::io::Error| {
        let hint = match error.kind() {
            std::io::ErrorKind::NotFound => "; is the path right?",
            std::io::ErrorKind::PermissionDenied => "; may this user read it?",
            std::io::ErrorKind::IsADirectory => "; give a file in it",
            _ => "",
        };
        Diagnostics::one(&source, Diagnostic::of_whole(format!("cannot be read: {error}{hint}")))
    };
    let mut bytes = Vec::new();
    // One byte more than is allowed tells that there is too much, even of an endless device.
    let most = u64::try_from(syntax::MAX_BYTES).unwrap_or(u64::MAX).saturating_add(1);
    let file = std::fs::File::open(path).map_err(cannot)?;
    file.take(most).read_to_end(&mut bytes).map_err(cannot)?;
    load_text(&source, decode(&source, &bytes)?)
}

/// Loads a configuration from its text; `source_name` is what messages call it.
///
/// # Errors
/// All mistakes in it.
pub fn load_text(source_name: &str, text: &str) -> Result<Loaded, Diagnostics> {
    let text = admit(source_name, text)?;
    let mut findings = Findings::default();
    let root = syntax::parse(text, &mut findings).map_err(|d| Diagnostics::one(source_name, d))?;
    let file = shape::read_file(root, &mut findings);
    let sections = validate::sections(&file, &mut findings);
    let rules = validate::rules(&file.rules, &mut findings);
    if !findings.is_empty() {
        return Err(findings.into_diagnostics(source_name, text));
    }
    let validate::Sections { dataplane, control, log, igmp } = sections;
    Ok(Loaded { file, rules, dataplane, control, log, igmp })
}

/// Reads one rule, as the control API gets it.
///
/// # Errors
/// All mistakes in it; their source is "request".
pub fn rule_from_json(bytes: &[u8], origin: Origin) -> Result<Rule, Diagnostics> {
    const SOURCE: &str = "request";
    let text = admit(SOURCE, decode(SOURCE, bytes)?)?;
    let mut findings = Findings::default();
    let mut root = syntax::parse(text, &mut findings).map_err(|d| Diagnostics::one(SOURCE, d))?;
    let spec = shape::read_rule(&mut root, &At::root(), &mut findings);
    match validate::rule::rule(&spec, origin, &At::root(), &mut findings) {
        Some(rule) if findings.is_empty() => Ok(rule),
        _ => Err(findings.into_diagnostics(SOURCE, text)),
    }
}

/// Checks one rule.
///
/// # Errors
/// All mistakes in it, with paths that begin at the rule.
pub fn rule_from_spec(spec: &v1::RuleSpec, origin: Origin) -> Result<Rule, Vec<Diagnostic>> {
    let mut findings = Findings::default();
    match validate::rule::rule(spec, origin, &At::root(), &mut findings) {
        Some(rule) if findings.is_empty() => Ok(rule),
        _ => Err(findings.into_list()),
    }
}

fn decode<'b>(source: &str, bytes: &'b [u8]) -> Result<&'b str, Diagnostics> {
    std::str::from_utf8(bytes).map_err(|error| {
        let sound = bytes.get(..error.valid_up_to()).unwrap_or(&[]);
        let line = sound.iter().filter(|&&byte| byte == b'\n').count() + 1;
        let mut diagnostic = Diagnostic::of_whole("is not text in UTF-8; save it as UTF-8");
        diagnostic.line = u32::try_from(line).ok();
        Diagnostics::one(source, diagnostic)
    })
}

/// The text without a byte order mark, if it is not too long.
fn admit<'t>(source: &str, text: &'t str) -> Result<&'t str, Diagnostics> {
    if text.len() > syntax::MAX_BYTES {
        let message =
            format!("is larger than {} MiB, and that is the most", syntax::MAX_BYTES >> 20);
        return Err(Diagnostics::one(source, Diagnostic::of_whole(message)));
    }
    Ok(text.strip_prefix('\u{feff}').unwrap_or(text))
}
