//! Which interfaces a rule means. They need not exist yet.

use super::{IfName, Link};
use ipnet::IpNet;
use regex::{Regex, RegexBuilder};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::fmt;
use std::hash::{Hash, Hasher};

/// The longest pattern for a name, in bytes.
pub const MAX_PATTERN: usize = 128;
/// Memory that a compiled pattern may take, in bytes: names have 15 characters.
const PATTERN_MEMORY: usize = 64 << 10;

/// A glob for the whole name: `*` stands for any characters, `?` for one, all else for itself.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct NameGlob(String);

impl NameGlob {
    /// The pattern as it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// True where the whole name fits.
    pub fn matches(&self, name: &str) -> bool {
        let (mut pattern, mut name) = (self.0.chars(), name.chars());
        // The pattern after its last '*', and the name from where that ends for now.
        let mut star = None;
        loop {
            match (pattern.next(), name.clone().next()) {
                (Some('*'), _) => star = Some((pattern.clone(), name.clone())),
                (Some(wanted), Some(c)) if wanted == '?' || wanted == c => {
                    name.next();
                }
                (None, None) => return true,
                _ => {
                    // The '*' takes one character more.
                    let Some((after, from)) = &mut star else { return false };
                    if from.next().is_none() {
                        return false;
                    }
                    (pattern, name) = (after.clone(), from.clone());
                }
            }
        }
    }
}

impl TryFrom<String> for NameGlob {
    type Error = PatternError;
    fn try_from(text: String) -> Result<Self, PatternError> {
        check_length(&text).map(|()| Self(text))
    }
}

impl From<NameGlob> for String {
    fn from(glob: NameGlob) -> Self {
        glob.0
    }
}

/// A regular expression (the `regex` crate's syntax) for the whole name; equal to another of the
/// same text. A copy shares what was compiled.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct NameRegex {
    text: String,
    regex: Regex,
}

impl NameRegex {
    /// The pattern as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// True where the whole name fits.
    pub fn matches(&self, name: &str) -> bool {
        self.regex.is_match(name)
    }
}

impl TryFrom<String> for NameRegex {
    type Error = PatternError;
    fn try_from(text: String) -> Result<Self, PatternError> {
        check_length(&text)?;
        if text.contains(')') {
            // `a)|(b` is only wrong while it stands alone.
            compile(&text)?;
        }
        let regex = compile(&format!("^(?:{text})$"))?;
        Ok(Self { text, regex })
    }
}

impl From<NameRegex> for String {
    fn from(pattern: NameRegex) -> Self {
        pattern.text
    }
}

impl PartialEq for NameRegex {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for NameRegex {}

impl Hash for NameRegex {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.text.hash(state);
    }
}

/// Why a text is not a pattern.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct PatternError(String);

fn check_length(text: &str) -> Result<(), PatternError> {
    match (1..=MAX_PATTERN).contains(&text.len()) {
        true => Ok(()),
        false => Err(PatternError(format!("a pattern has 1 to {MAX_PATTERN} characters"))),
    }
}

fn compile(regex: &str) -> Result<Regex, PatternError> {
    RegexBuilder::new(regex).size_limit(PATTERN_MEMORY).build().map_err(|error| match error {
        regex::Error::CompiledTooBig(_) => PatternError("the pattern is too large".to_owned()),
        // The last line of a syntax error says what is wrong; those before draw a picture.
        other => {
            let text = other.to_string();
            let last = text.lines().last().unwrap_or_default();
            PatternError(last.trim_start_matches("error: ").to_owned())
        }
    })
}

/// Selects interfaces: the one of a name, or those that fulfil all [`Criteria`].
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(from = "Criteria", into = "Criteria")]
pub struct InterfaceSelector(Form);

/// Nearly all selectors are a name, and there are two and more in each rule.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Form {
    Named(IfName),
    /// More than a name is said, or nothing.
    By(Box<Criteria>),
}

/// What can be said of interfaces. Says nothing only by mistake: then it selects none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Criteria {
    /// The name, or an alternative name as short as one.
    pub name: Option<IfName>,
    /// A pattern for the name.
    pub name_glob: Option<NameGlob>,
    /// A pattern for the name.
    pub name_regex: Option<NameRegex>,
    /// An alternative name (`ip link property add dev eth0 altname NAME`), 1 to 127 bytes.
    pub alt_name: Option<String>,
    /// A prefix that one of its addresses lies in.
    pub cidr: Option<IpNet>,
    /// Its kind (`IFLA_INFO_KIND`): "veth", "bridge", "vlan".
    pub kind: Option<String>,
}

impl InterfaceSelector {
    /// The interface of this name.
    pub fn named(name: IfName) -> Self {
        Self(Form::Named(name))
    }

    /// The name, where nothing else is said.
    pub fn only_name(&self) -> Option<&IfName> {
        match &self.0 {
            Form::Named(name) => Some(name),
            Form::By(_) => None,
        }
    }

    /// All that is said.
    pub fn criteria(&self) -> Cow<'_, Criteria> {
        match &self.0 {
            Form::Named(name) => Cow::Owned(Criteria { name: Some(*name), ..Criteria::default() }),
            Form::By(criteria) => Cow::Borrowed(criteria),
        }
    }

    /// True where the interface with these addresses fulfils all that is said.
    pub fn selects(&self, link: &Link, addresses: &[IpNet]) -> bool {
        let criteria = self.criteria();
        let Criteria { name, name_glob, name_regex, alt_name, cidr, kind } = &*criteria;
        let has_name = |wanted: &str| {
            link.name.as_str() == wanted || link.alt_names.iter().any(|name| name == wanted)
        };
        *criteria != Criteria::default()
            && name.as_ref().is_none_or(|name| has_name(name.as_str()))
            && name_glob.as_ref().is_none_or(|glob| glob.matches(link.name.as_str()))
            && name_regex.as_ref().is_none_or(|regex| regex.matches(link.name.as_str()))
            && alt_name.as_ref().is_none_or(|name| link.alt_names.contains(name))
            && cidr.is_none_or(|cidr| addresses.iter().any(|net| cidr.contains(&net.addr())))
            && kind.as_ref().is_none_or(|kind| *kind == link.kind)
    }
}

impl Default for InterfaceSelector {
    /// Says nothing.
    fn default() -> Self {
        Criteria::default().into()
    }
}

impl From<Criteria> for InterfaceSelector {
    fn from(criteria: Criteria) -> Self {
        match criteria {
            Criteria {
                name: Some(name),
                name_glob: None,
                name_regex: None,
                alt_name: None,
                cidr: None,
                kind: None,
            } => Self(Form::Named(name)),
            more => Self(Form::By(Box::new(more))),
        }
    }
}

impl From<InterfaceSelector> for Criteria {
    fn from(selector: InterfaceSelector) -> Self {
        selector.criteria().into_owned()
    }
}

impl fmt::Display for InterfaceSelector {
    /// The name alone, or what is said: `nameGlob veth*, kind veth`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(name) = self.only_name() {
            return name.fmt(f);
        }
        let Criteria { name, name_glob, name_regex, alt_name, cidr, kind } = &*self.criteria();
        let parts = [
            ("name", name.as_ref().map(ToString::to_string)),
            ("nameGlob", name_glob.as_ref().map(|glob| glob.0.clone())),
            ("nameRegex", name_regex.as_ref().map(|regex| regex.text.clone())),
            ("altName", alt_name.clone()),
            ("cidr", cidr.map(|cidr| cidr.to_string())),
            ("kind", kind.clone()),
        ];
        let mut separator = "";
        for (key, value) in parts {
            if let Some(value) = value {
                write!(f, "{separator}{key} {value}")?;
                separator = ", ";
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::{IfIndex, LinkLayer};

    fn link(name: &str) -> Link {
        Link {
            index: IfIndex(3),
            name: name.parse().expect("a name"),
            alt_names: vec!["enp130s0f0np0-of-rack-7".into(), "cams".into()],
            up: true,
            carrier: true,
            carrier_losses: 0,
            loopback: false,
            mtu: 1500,
            kind: "veth".into(),
            link_layer: LinkLayer::Ethernet,
            mac: None,
            peer: None,
        }
    }

    fn glob(text: &str) -> NameGlob {
        text.to_owned().try_into().expect("a glob")
    }

    #[test]
    fn a_glob_means_the_whole_name_and_only_its_two_signs() {
        for (pattern, name, fits) in [
            ("veth*", "veth12", true),
            ("veth*", "veth", true),
            ("veth*", "xveth1", false),
            ("bond0.3*", "bond0.310", true),
            ("bond0.3*", "bond0x310", false),
            ("eth?", "eth1", true),
            ("eth?", "eth10", false),
            ("eth[0-9]", "eth1", false),
            ("*", "lo", true),
            ("**", "", true),
            ("?", "", false),
            ("*0*1", "eth0.1", true),
            ("*0*1", "eth0.10", false),
            ("*ab", "aab", true),
            ("a?c*e", "abcdce", true),
            ("a?c*e", "abcd", false),
            ("?", "ä", true),
        ] {
            assert_eq!(glob(pattern).matches(name), fits, "{pattern} {name}");
        }
    }

    #[test]
    fn a_regex_means_the_whole_name() {
        let regex = NameRegex::try_from("eth[0-9]+|ens.*".to_owned()).expect("a regex");
        assert!(regex.matches("eth12") && regex.matches("ens1f0"));
        assert!(!regex.matches("veth1") && !regex.matches("eth1x"));
        let wrong = NameRegex::try_from("eth(".to_owned()).expect_err("unclosed");
        assert_eq!(wrong.to_string(), "unclosed group");
        let inside_out = NameRegex::try_from("x)|(.*".to_owned()).expect_err("unopened");
        assert_eq!(inside_out.to_string(), "unopened group");
        assert!(NameRegex::try_from("(a{1000}){1000}".to_owned()).is_err());
        assert!(NameRegex::try_from(String::new()).is_err());
        assert!(NameGlob::try_from("*".repeat(MAX_PATTERN + 1)).is_err());
    }

    #[test]
    fn all_that_is_said_must_hold() {
        let nets = ["10.20.3.4/24".parse().expect("a net"), "fe80::1/64".parse().expect("a net")];
        let all = Criteria {
            name: Some("eth1".parse().expect("a name")),
            name_glob: Some(glob("eth*")),
            name_regex: Some("eth[0-9]".to_owned().try_into().expect("a regex")),
            alt_name: Some("enp130s0f0np0-of-rack-7".into()),
            cidr: Some("10.20.0.0/16".parse().expect("a net")),
            kind: Some("veth".into()),
        };
        assert!(InterfaceSelector::from(all.clone()).selects(&link("eth1"), &nets));
        let wrong = [
            Criteria { name: Some("eth2".parse().expect("a name")), ..all.clone() },
            Criteria { name_glob: Some(glob("ens*")), ..all.clone() },
            Criteria { alt_name: Some("eth1".into()), ..all.clone() },
            Criteria { cidr: Some("10.21.0.0/16".parse().expect("net")), ..all.clone() },
            Criteria { kind: Some("bridge".into()), ..all.clone() },
            Criteria {
                name_regex: Some("eth".to_owned().try_into().expect("a regex")),
                ..all.clone()
            },
        ];
        for selector in wrong.map(InterfaceSelector::from) {
            assert!(!selector.selects(&link("eth1"), &nets), "{selector}");
        }
        assert!(!InterfaceSelector::from(all).selects(&link("eth1"), &[]));
        assert!(!InterfaceSelector::default().selects(&link("eth1"), &nets));
        let by_alternative = InterfaceSelector::named("cams".parse().expect("a name"));
        assert!(by_alternative.selects(&link("eth1"), &[]));
    }

    #[test]
    fn it_reads_as_it_was_written() {
        let selector = InterfaceSelector::from(Criteria {
            name_glob: Some(glob("veth*")),
            kind: Some("veth".into()),
            ..Criteria::default()
        });
        assert_eq!(selector.to_string(), "nameGlob veth*, kind veth");
        assert_eq!(InterfaceSelector::named("eth0".parse().expect("a name")).to_string(), "eth0");
        assert_eq!(size_of::<InterfaceSelector>(), 16, "there are very many");
        let json = serde_json::to_string(&selector).expect("serialises");
        let back: InterfaceSelector = serde_json::from_str(&json).expect("reads its own JSON");
        assert_eq!(back, selector);
    }
}
