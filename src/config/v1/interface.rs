//! Selecting interfaces by more than one name.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Selects interfaces: each that fulfils all that is said.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct InterfaceSelector {
    /// The interface's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 15))]
    pub name: Option<String>,
    /// A pattern for the name: '*' stands for any characters, '?' for one.
    #[serde(skip_serializing_if = "Option::is_none", alias = "name_glob")]
    pub name_glob: Option<String>,
    /// A regular expression for the whole name.
    #[serde(skip_serializing_if = "Option::is_none", alias = "name_regex")]
    #[schemars(length(max = 128))]
    pub name_regex: Option<String>,
    /// An alternative name of the interface.
    #[serde(skip_serializing_if = "Option::is_none", alias = "alt_name")]
    pub alt_name: Option<String>,
    /// A prefix that one of the interface's addresses lies in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cidr: Option<String>,
    /// The kernel's kind of link, such as veth, bridge or vlan.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
}
