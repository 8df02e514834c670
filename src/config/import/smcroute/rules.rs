//! From directives to rules.

use super::Remark;
use super::lines::{Directive, What};
use crate::config::v1::{
    File, InputSpec, InterfaceSelector, Join, OutputSource, OutputSpec, RuleSpec, SourceFilter, Ttl,
};
use ipnet::{IpNet, Ipv4Net};
use std::collections::BTreeSet;
use std::net::Ipv4Addr;

/// The rules, and what is different from before.
pub(super) fn rules(directives: &[Directive]) -> (File, Vec<Remark>) {
    let mut import = Import { directives, ..Import::default() };
    for directive in directives {
        match &directive.what {
            What::Phyint { interface, disabled, mrdisc, threshold } => {
                import.phyint(directive, interface, *disabled, *mrdisc, *threshold);
            }
            What::Mgroup { from, source, group } => {
                import.mgroup(directive, from, source.as_ref(), group);
            }
            What::Mroute { from, source, group, to } => {
                if let Some(rule) = import.mroute(directive, from, source.as_ref(), group, to) {
                    import.rules.push(rule);
                }
            }
        }
    }
    let file = File { version: Some(1), rules: import.rules, ..File::default() };
    (file, import.warnings)
}

#[derive(Default)]
struct Import<'d> {
    directives: &'d [Directive],
    rules: Vec<RuleSpec>,
    names: BTreeSet<String>,
    disabled: BTreeSet<String>,
    warnings: Vec<Remark>,
}

impl Import<'_> {
    fn warn(&mut self, at: &Directive, message: impl Into<String>) {
        let message = message.into();
        self.warnings.push(Remark { file: at.file.clone(), line: at.line, message });
    }

    fn phyint(
        &mut self,
        at: &Directive,
        interface: &str,
        disabled: bool,
        mrdisc: bool,
        threshold: Option<u8>,
    ) {
        if disabled {
            self.disabled.insert(interface.to_owned());
        } else {
            self.disabled.remove(interface);
        }
        if mrdisc {
            self.warn(
                at,
                "mrdisc is not carried over: mcrd does not announce itself as a multicast router \
                 (RFC 4286); the rules join their groups where mgroup does",
            );
        }
        if let Some(threshold) = threshold.filter(|threshold| *threshold > 1) {
            self.warn(
                at,
                format!(
                    "ttl-threshold {threshold} is not carried over: rules have no least TTL, so \
                     {interface} gets datagrams that the threshold held back"
                ),
            );
        }
    }

    /// A membership is asked for by the rule that forwards the group.
    fn mgroup(&mut self, at: &Directive, from: &str, source: Option<&IpNet>, group: &IpNet) {
        let mut forwarded = false;
        for directive in self.directives {
            if let What::Mroute { from: other, source: of, group: wanted, .. } = &directive.what {
                forwarded |= covers((from, source, group), (other, of.as_ref(), wanted));
            }
        }
        if !forwarded {
            self.warn(
                at,
                format!(
                    "group {group} from {from} is not carried over: no mroute forwards it, and mcrd joins \
                     a group only for a rule"
                ),
            );
        }
    }

    fn joined(&self, from: &str, source: Option<&IpNet>, group: &IpNet) -> bool {
        self.directives.iter().any(|directive| match &directive.what {
            What::Mgroup { from: other, source: of, group: joined } => {
                covers((other, of.as_ref(), joined), (from, source, group))
            }
            What::Phyint { .. } | What::Mroute { .. } => false,
        })
    }

    fn mroute(
        &mut self,
        at: &Directive,
        from: &str,
        source: Option<&IpNet>,
        group: &IpNet,
        to: &[String],
    ) -> Option<RuleSpec> {
        let IpNet::V4(v4) = group else {
            self.warn(at, "left out: IPv6 is not forwarded yet");
            return None;
        };
        if Ipv4Net::new_assert(Ipv4Addr::new(224, 0, 0, 0), 24).contains(v4) {
            self.warn(
                at,
                format!("left out: {group} is link-local, which the kernel did not forward"),
            );
            return None;
        }
        if group.prefix_len() < group.max_prefix_len() && v4.contains(&Ipv4Addr::new(224, 0, 0, 1))
        {
            self.warn(at, "224.0.0.0/24 is in the prefix; it stays on its link");
        }
        let outputs = self.outputs(at, from, to);
        if outputs.is_empty() {
            self.warn(at, "left out: no output is left");
            return None;
        }
        let disabled = self.disabled.contains(from);
        if disabled {
            self.warn(at, format!("the rule is disabled, since phyint disables {from}"));
        }
        let (interface, interfaces) = selected(from);
        let single = source.filter(|source| source.prefix_len() == source.max_prefix_len());
        let several = source.filter(|_| single.is_none());
        Some(RuleSpec {
            id: None,
            name: Some(self.name(at, from, source, group)),
            enabled: disabled.then_some(false),
            priority: None,
            input: Some(InputSpec {
                interface,
                interfaces,
                group: Some(shown(group)),
                source: single.map(shown),
                sources: several.map(|source| SourceFilter {
                    include: vec![shown(source)],
                    exclude: Vec::new(),
                }),
                join: (!self.joined(from, source, group)).then_some(Join::Never),
                ..InputSpec::default()
            }),
            outputs,
            health: None,
        })
    }

    fn outputs(&mut self, at: &Directive, from: &str, to: &[String]) -> Vec<OutputSpec> {
        let mut outputs = Vec::new();
        let mut seen = BTreeSet::new();
        for name in to {
            if name == from {
                self.warn(at, format!("output {name} is left out: it is the input"));
            } else if self.disabled.contains(name) {
                self.warn(at, format!("output {name} is left out, since phyint disables it"));
            } else if !seen.insert(name) {
                self.warn(at, format!("output {name} stands there twice"));
            } else {
                let (interface, interfaces) = selected(name);
                outputs.push(OutputSpec {
                    interface,
                    interfaces,
                    ttl: Some(Ttl::Decrement),
                    source: Some(OutputSource::Keep),
                    ..OutputSpec::default()
                });
            }
        }
        if outputs.len() > 256 {
            self.warn(at, "a rule has at most 256 outputs; the others are left out");
            outputs.truncate(256);
        }
        outputs
    }

    /// Unique, and saying what the rule is about.
    fn name(
        &mut self,
        at: &Directive,
        from: &str,
        source: Option<&IpNet>,
        group: &IpNet,
    ) -> String {
        let of = source.map(|source| format!("{} to ", shown(source))).unwrap_or_default();
        let mut name = format!("{of}{} from {from}", shown(group));
        if self.names.contains(&name) {
            self.warn(at, "the same route again: the outputs of both are used");
            name = format!("{name}, line {}", at.line);
            let (first, mut number) = (name.clone(), 1_u32);
            while self.names.contains(&name) {
                number += 1;
                name = format!("{first} ({number})");
            }
        }
        self.names.insert(name.clone());
        name
    }
}

type Wanted<'w> = (&'w str, Option<&'w IpNet>, &'w IpNet);

/// Whether a membership brings what a route takes.
fn covers(joined: Wanted<'_>, routed: Wanted<'_>) -> bool {
    let sources = match (joined.1, routed.1) {
        (None, _) => true,
        (Some(joined), Some(routed)) => joined.contains(routed),
        (Some(_), None) => true,
    };
    joined.0 == routed.0 && (joined.2.contains(routed.2) || routed.2.contains(joined.2)) && sources
}

/// `eth0` is a name, `eth+` a pattern.
fn selected(name: &str) -> (Option<String>, Option<Vec<InterfaceSelector>>) {
    match name.strip_suffix('+') {
        None => (Some(name.to_owned()), None),
        Some(start) => {
            let name_glob = Some(format!("{start}*"));
            (None, Some(vec![InterfaceSelector { name_glob, ..InterfaceSelector::default() }]))
        }
    }
}

/// A prefix, or an address where it is of full length.
fn shown(prefix: &IpNet) -> String {
    match prefix.prefix_len() == prefix.max_prefix_len() {
        true => prefix.addr().to_string(),
        false => prefix.to_string(),
    }
}
