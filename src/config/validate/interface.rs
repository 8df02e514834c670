//! The interfaces of an input or an output, in their short and their long form.

use super::super::diagnose::{Findings, quoted};
use super::super::path::Path;
use super::super::v1;
use super::address::{self, Use};
use crate::types::{Criteria, IfName, InterfaceSelector, NameGlob, NameRegex, PatternError};
use std::cell::RefCell;
use std::collections::HashMap;

/// How many entries `interfaces` may have.
const MAX_SELECTORS: usize = 64;
/// `ALTIFNAMSIZ` (if.h) less its terminating zero.
const LONGEST_ALT_NAME: usize = 127;
/// `MODULE_NAME_LEN` (linux/moduleparam.h) less its terminating zero: a kind names its driver.
const LONGEST_KIND: usize = 55;

/// Checks `interface` and `interfaces` of the object at `at`; empty where neither was given. None where
/// something is wrong; then it was reported.
pub(super) fn interfaces(
    short: Option<&str>,
    long: Option<&[v1::InterfaceSelector]>,
    at: &Path,
    findings: &mut Findings,
) -> Option<Vec<InterfaceSelector>> {
    let at_long = || at.key("interfaces");
    match (short, long) {
        (None, None) => Some(Vec::new()),
        (Some(name), None) => {
            let name = name_at(name, &at.key("interface"), findings)?;
            Some(vec![InterfaceSelector::named(name)])
        }
        (Some(_), Some(_)) => {
            findings.report(&at_long(), "give interface or interfaces, not both");
            None
        }
        (None, Some([])) => {
            findings.report(&at_long(), "is empty; give one interface: [{ name: \"eth0\" }]");
            None
        }
        (None, Some(several)) if several.len() > MAX_SELECTORS => {
            let message = format!("has {} entries; {MAX_SELECTORS} is the most", several.len());
            findings.report(&at_long(), message);
            None
        }
        (None, Some(several)) => selectors(several, &at_long(), findings),
    }
}

fn selectors(
    specs: &[v1::InterfaceSelector],
    at: &Path,
    findings: &mut Findings,
) -> Option<Vec<InterfaceSelector>> {
    let mut selectors: Vec<Option<InterfaceSelector>> = Vec::with_capacity(specs.len());
    for (index, spec) in specs.iter().enumerate() {
        let at = at.index(index);
        let mut selector = selector(spec, &at, findings);
        let first = selector.as_ref().and_then(|_| selectors.iter().position(|s| *s == selector));
        if let Some(first) = first {
            findings.report(&at, format!("is the same as interfaces[{first}]; remove one"));
            selector = None;
        }
        selectors.push(selector);
    }
    selectors.into_iter().collect()
}

/// Checks one entry at `at`.
pub(super) fn selector(
    spec: &v1::InterfaceSelector,
    at: &Path,
    findings: &mut Findings,
) -> Option<InterfaceSelector> {
    let v1::InterfaceSelector { name, name_glob, name_regex, alt_name, cidr, kind } = spec;
    if *spec == v1::InterfaceSelector::default() {
        findings.report(
            at,
            "says nothing; give name, nameGlob, nameRegex, altName, cidr or kind: \
             { name: \"eth0\" }",
        );
        return None;
    }
    // Each part is looked at, so that all mistakes are told at once.
    let name = part(name.as_deref(), |name| name_at(name, &at.key("name"), findings));
    let name_glob = part(name_glob.as_deref(), |glob| {
        let parsed = NameGlob::try_from(glob.to_owned());
        parsed.map_err(|error| findings.report(&at.key("nameGlob"), error.to_string())).ok()
    });
    let name_regex = part(name_regex.as_deref(), |regex| {
        let parsed = compiled(regex);
        let wrong = |why| format!("{} is not a regular expression: {why}", quoted(regex));
        parsed.map_err(|error| findings.report(&at.key("nameRegex"), wrong(error))).ok()
    });
    let alt_name = part(alt_name.as_deref(), |name| {
        let right = is_word(name, LONGEST_ALT_NAME);
        if !right {
            let message = format!(
                "{} is not an alternative name: 1 to {LONGEST_ALT_NAME} bytes, without white space",
                quoted(name)
            );
            findings.report(&at.key("altName"), message);
        }
        right.then(|| name.to_owned())
    });
    let cidr = part(cidr.as_deref(), |cidr| {
        let parsed = address::parse_net(cidr, Use::Prefix);
        parsed.map_err(|message| findings.report(&at.key("cidr"), message)).ok()
    });
    let kind = part(kind.as_deref(), |kind| {
        let right = is_word(kind, LONGEST_KIND);
        if !right {
            let message = format!(
                "{} is not a kind of interface, such as \"veth\", \"bridge\" or \"vlan\"",
                quoted(kind)
            );
            findings.report(&at.key("kind"), message);
        }
        right.then(|| kind.to_owned())
    });
    let criteria = Criteria {
        name: name?,
        name_glob: name_glob?,
        name_regex: name_regex?,
        alt_name: alt_name?,
        cidr: cidr?,
        kind: kind?,
    };
    Some(criteria.into())
}

/// `Some(None)` for what was not given, None for what is wrong.
fn part<T>(given: Option<&str>, check: impl FnOnce(&str) -> Option<T>) -> Option<Option<T>> {
    match given {
        None => Some(None),
        Some(text) => check(text).map(Some),
    }
}

/// The pattern, compiled once for all rules that use it: that takes longer than all else in a rule, and
/// the result is larger.
fn compiled(text: &str) -> Result<NameRegex, PatternError> {
    /// Patterns that are kept; more than that begin anew.
    const MOST: usize = 256;
    thread_local! {
        static COMPILED: RefCell<HashMap<String, NameRegex>> = RefCell::default();
    }
    COMPILED.with_borrow_mut(|compiled| {
        if let Some(regex) = compiled.get(text) {
            return Ok(regex.clone());
        }
        let regex = NameRegex::try_from(text.to_owned())?;
        if compiled.len() >= MOST {
            compiled.clear();
        }
        compiled.insert(text.to_owned(), regex.clone());
        Ok(regex)
    })
}

fn is_word(text: &str, longest: usize) -> bool {
    let bad = |c: char| c.is_whitespace() || c.is_control();
    (1..=longest).contains(&text.len()) && !text.contains(bad)
}

/// Checks a name at `at`.
pub(super) fn name_at(name: &str, at: &Path, findings: &mut Findings) -> Option<IfName> {
    if name.contains(['*', '?']) {
        let shown = quoted(name);
        let message = format!("{shown} is a pattern; write interfaces: [{{ nameGlob: {shown} }}]");
        findings.report(at, message);
        return None;
    }
    let parsed = name.parse().ok();
    if parsed.is_none() {
        let hint = match name.len() > 15
            && is_word(name, LONGEST_ALT_NAME)
            && !name.contains(['/', ':'])
        {
            true => "; an alternative name is written interfaces: [{ altName: \"…\" }]",
            false => "",
        };
        let message = format!(
            "{} is not an interface name: 1 to 15 characters, without '/', ':' or white space{hint}",
            quoted(name)
        );
        findings.report(at, message);
    }
    parsed
}
