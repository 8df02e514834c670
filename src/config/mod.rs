//! L5, the configuration schema, its loader with diagnostics, and validation.

use crate::types::{Destination, Input, Origin, Output, Rule, RuleId, Ttl};
use serde::{Deserialize, Serialize};
use std::fmt;

/// One mistake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// From 1.
    pub line: Option<u32>,
    /// From 1.
    pub column: Option<u32>,
    /// `rules[3].outputs[1].group`.
    pub path: String,
    /// What is wrong and what would be right.
    pub message: String,
}

/// All mistakes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostics {
    /// File name or what stands for it.
    pub source: String,
    /// The mistakes.
    pub list: Vec<Diagnostic>,
}

impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for d in &self.list {
            writeln!(f, "{}: {}: {}", self.source, d.path, d.message)?;
        }
        Ok(())
    }
}

/// The schema, version 1.
pub mod v1 {
    use super::{Deserialize, Serialize};

    /// A rule as written.
    #[derive(Clone, Debug, Serialize, Deserialize)]
    #[serde(rename_all = "camelCase", deny_unknown_fields)]
    pub struct RuleSpec {
        /// Id.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub id: Option<String>,
        /// Name.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub name: Option<String>,
        /// Enabled.
        #[serde(default = "yes")]
        pub enabled: bool,
        /// Priority.
        #[serde(default)]
        pub priority: u16,
        /// Input.
        pub input: InputSpec,
        /// Outputs.
        pub outputs: Vec<OutputSpec>,
    }
    fn yes() -> bool {
        true
    }
    /// An input as written.
    #[derive(Clone, Debug, Serialize, Deserialize)]
    #[serde(rename_all = "camelCase", deny_unknown_fields)]
    pub struct InputSpec {
        /// Interface.
        pub interface: String,
        /// Group.
        pub group: std::net::IpAddr,
        /// Port.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub port: Option<std::num::NonZeroU16>,
        /// Source.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub source: Option<std::net::IpAddr>,
    }
    /// An output as written.
    #[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
    #[serde(rename_all = "camelCase", deny_unknown_fields)]
    pub struct OutputSpec {
        /// Name.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub name: Option<String>,
        /// Interface.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub interface: Option<String>,
        /// Group.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub group: Option<std::net::IpAddr>,
        /// Address.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub address: Option<std::net::IpAddr>,
        /// Port.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub port: Option<std::num::NonZeroU16>,
        /// TTL.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub ttl: Option<serde_json::Value>,
    }
}

fn one(path: &str, message: String) -> Diagnostics {
    let list = vec![Diagnostic { line: None, column: None, path: path.into(), message }];
    Diagnostics { source: "request".into(), list }
}

/// Reads one rule.
pub fn rule_from_json(bytes: &[u8], origin: Origin) -> Result<Rule, Diagnostics> {
    let spec: v1::RuleSpec =
        serde_json::from_slice(bytes).map_err(|error| one("", error.to_string()))?;
    let interface = spec.input.interface.clone();
    let interface = interface.try_into().map_err(|e| one("input.interface", format!("{e}")))?;
    let seed = format!("{spec:?}");
    let id = match spec.id {
        Some(id) => id.try_into().map_err(|e| one("id", format!("{e}")))?,
        None => RuleId::derived(&seed),
    };
    if spec.outputs.is_empty() {
        return Err(one("outputs", "a rule needs at least one output".into()));
    }
    let mut outputs = Vec::new();
    for o in spec.outputs {
        let interface = match o.interface {
            Some(name) => {
                Some(name.try_into().map_err(|e| one("outputs[0].interface", format!("{e}")))?)
            }
            None => None,
        };
        let ttl = match o.ttl {
            None => Ttl::default(),
            Some(serde_json::Value::String(s)) if s == "keep" => Ttl::Keep,
            Some(serde_json::Value::String(s)) if s == "decrement" => Ttl::Decrement,
            Some(value) => match value.as_u64().and_then(|v| u8::try_from(v).ok()) {
                Some(v) if v > 0 => Ttl::Set(v),
                _ => return Err(one("outputs[0].ttl", "1 to 255, keep or decrement".into())),
            },
        };
        let destination =
            o.group.or(o.address).map_or(Destination::Unchanged, Destination::Address);
        outputs.push(Output { name: o.name, interface, destination, port: o.port, ttl });
    }
    Ok(Rule {
        id,
        name: spec.name,
        origin,
        enabled: spec.enabled,
        priority: spec.priority,
        input: Input {
            interface,
            destination: spec.input.group,
            port: spec.input.port,
            source: spec.input.source,
        },
        outputs,
    })
}

/// Writes a rule in the short form.
pub fn spec_of(rule: &Rule) -> v1::RuleSpec {
    let outputs = rule.outputs.iter().map(|o| {
        let address = match o.destination {
            Destination::Unchanged => None,
            Destination::Address(a) => Some(a),
        };
        v1::OutputSpec {
            name: o.name.clone(),
            interface: o.interface.as_ref().map(ToString::to_string),
            group: address.filter(|a| crate::types::is_multicast(*a)),
            address: address.filter(|a| !crate::types::is_multicast(*a)),
            port: o.port,
            ttl: Some(match o.ttl {
                Ttl::Set(v) => v.into(),
                other => other.to_string().into(),
            }),
        }
    });
    v1::RuleSpec {
        id: None,
        name: rule.name.clone(),
        enabled: rule.enabled,
        priority: rule.priority,
        input: v1::InputSpec {
            interface: rule.input.interface.to_string(),
            group: rule.input.destination,
            port: rule.input.port,
            source: rule.input.source,
        },
        outputs: outputs.collect(),
    }
}

/// Reads `group-or-address:port:interface`.
pub fn parse_output(text: &str) -> Result<v1::OutputSpec, String> {
    let bad = || format!("\"{text}\" is not an output: write 239.2.2.2:6000:eth1");
    let mut parts = text.splitn(3, ':');
    let address: std::net::IpAddr = parts.next().and_then(|a| a.parse().ok()).ok_or_else(bad)?;
    let port = match parts.next() {
        Some(p) => Some(p.parse().map_err(|_| bad())?),
        None => None,
    };
    let interface = parts.next().map(str::to_owned);
    let multicast = crate::types::is_multicast(address);
    Ok(v1::OutputSpec {
        interface,
        group: multicast.then_some(address),
        address: (!multicast).then_some(address),
        port,
        ..v1::OutputSpec::default()
    })
}
