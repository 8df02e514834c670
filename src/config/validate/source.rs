//! The sources that a rule takes.

use super::super::diagnose::Findings;
use super::super::path::Path;
use super::super::v1::InputSpec;
use super::address::{self, Use};
use crate::types::SourceFilter;
use ipnet::{IpNet, Ipv4Net};
use std::collections::HashMap;

/// How many entries `include` and `exclude` may have, each.
const MAX_SOURCES: usize = 1024;

/// Checks `source` and `sources` of the input at `at`. None where something is wrong; then it was
/// reported.
pub(super) fn sources(
    spec: &InputSpec,
    at: &Path,
    findings: &mut Findings,
) -> Option<SourceFilter> {
    let spec = match (&spec.source, &spec.sources) {
        (Some(_), Some(_)) => {
            findings.report(&at.key("sources"), "give source or sources, not both");
            return None;
        }
        (None, None) => return Some(SourceFilter::default()),
        (Some(source), None) => {
            let net = one(source);
            let net = net.map_err(|message| findings.report(&at.key("source"), message)).ok()?;
            return Some(SourceFilter { include: vec![IpNet::V4(net)], exclude: Vec::new() });
        }
        (None, Some(filter)) => filter,
    };
    let at = at.key("sources");
    let include = list(&spec.include, "include", &at, findings);
    let exclude = list(&spec.exclude, "exclude", &at, findings);
    let (include, exclude) = (include?, exclude?);
    if nothing_left(&include, &exclude) {
        findings.report(
            &at.key("exclude"),
            "covers every source that is included: nothing is left; make exclude smaller",
        );
        return None;
    }
    let nets = |list: Vec<Ipv4Net>| list.into_iter().map(IpNet::V4).collect();
    Some(SourceFilter { include: nets(include), exclude: nets(exclude) })
}

fn list(
    texts: &[String],
    key: &'static str,
    at: &Path,
    findings: &mut Findings,
) -> Option<Vec<Ipv4Net>> {
    let at = at.key(key);
    if texts.len() > MAX_SOURCES {
        findings.report(&at, format!("has {} entries; {MAX_SOURCES} is the most", texts.len()));
        return None;
    }
    let mut first_of: HashMap<Ipv4Net, usize> = HashMap::new();
    let mut nets = Vec::with_capacity(texts.len());
    for (index, text) in texts.iter().enumerate() {
        let checked = one(text).and_then(|net| match first_of.insert(net, index) {
            Some(first) => Err(format!("is the same as {key}[{first}]; remove one")),
            None => Ok(net),
        });
        match checked {
            Ok(net) => nets.push(net),
            Err(message) => findings.report(&at.index(index), message),
        }
    }
    (nets.len() == texts.len()).then_some(nets)
}

fn one(text: &str) -> Result<Ipv4Net, String> {
    let net = address::ipv4(address::parse_net(text, Use::Host)?)?;
    address::source(net).map(|()| net)
}

fn nothing_left(include: &[Ipv4Net], exclude: &[Ipv4Net]) -> bool {
    if exclude.is_empty() {
        return false;
    }
    // Prefixes that lie side by side cover together what each alone does not.
    let covered = Ipv4Net::aggregate(&exclude.to_vec());
    let is_covered = |net: &Ipv4Net| covered.iter().any(|covered| covered.contains(net));
    match include {
        [] => is_covered(&Ipv4Net::default()),
        include => include.iter().all(is_covered),
    }
}
