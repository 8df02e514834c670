//! The interface of an input or an output, in its short and its long form.

use super::super::diagnose::{Findings, quoted};
use super::super::path::Path;
use super::super::v1::InterfaceSelector;
use super::unsupported;
use crate::types::IfName;

/// Checks `interface` and `interfaces` of the object at `at`. None where something is wrong; then it was
/// reported.
pub(super) fn interface(
    short: Option<&str>,
    long: Option<&[InterfaceSelector]>,
    at: &Path,
    what_instead: &str,
    findings: &mut Findings,
) -> Option<Option<IfName>> {
    let at_long = at.key("interfaces");
    match (short, long) {
        (None, None) => Some(None),
        (Some(name), None) => name_at(name, &at.key("interface"), findings).map(Some),
        (Some(_), Some(_)) => {
            findings.report(&at_long, "give interface or interfaces, not both");
            None
        }
        (None, Some([])) => {
            findings.report(&at_long, "is empty; give one interface: [{ name: \"eth0\" }]");
            None
        }
        (None, Some([only])) => selector(only, &at_long.index(0), findings).map(Some),
        (None, Some(several)) => {
            let message = format!(
                "{} interfaces are not supported by this version yet; {what_instead}",
                several.len()
            );
            findings.report(&at_long, message);
            None
        }
    }
}

fn selector(selector: &InterfaceSelector, at: &Path, findings: &mut Findings) -> Option<IfName> {
    let before = findings.len();
    let InterfaceSelector { name, name_glob, name_regex, alt_name, cidr, kind } = selector;
    unsupported(name_glob.is_some(), "nameGlob", at, findings);
    unsupported(name_regex.is_some(), "nameRegex", at, findings);
    unsupported(alt_name.is_some(), "altName", at, findings);
    unsupported(cidr.is_some(), "cidr", at, findings);
    unsupported(kind.is_some(), "kind", at, findings);
    let clean = findings.len() == before;
    match name {
        Some(name) => name_at(name, &at.key("name"), findings).filter(|_| clean),
        None => {
            if clean {
                findings.report(&at.key("name"), "is missing: name: \"eth0\"");
            }
            None
        }
    }
}

fn name_at(name: &str, at: &Path, findings: &mut Findings) -> Option<IfName> {
    let parsed = name.parse().ok();
    if parsed.is_none() {
        let message = format!(
            "{} is not an interface name: 1 to 15 characters, without '/', ':' or white space",
            quoted(name)
        );
        findings.report(at, message);
    }
    parsed
}
