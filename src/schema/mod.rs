//! L5, the schemas that are published, all made of the types that parse: JSON Schema of the file and of
//! a rule, the `MulticastRoute` CRD, OpenAPI of the control API.
//!
//! They are committed under `docs/schema` and `deploy/k8s/crd`; tests compare, and `MCR_BLESS=1` writes
//! them anew.

mod crd;
mod document;
mod openapi;
mod operations;
// Each printer column has a name and a type of its own.
#[allow(clippy::duplicated_attributes)]
pub mod route;
mod structural;

#[cfg(test)]
mod openapi_tests;
#[cfg(test)]
pub(crate) mod tests;

pub use crd::{crd, crd_yaml};
pub use document::{file, rule};
pub use openapi::openapi;

use serde_json::Value;

/// What a schema is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Kind {
    /// The configuration file, as JSON Schema.
    File,
    /// One rule, as the control API takes it, as JSON Schema.
    Rule,
    /// The MulticastRoute CustomResourceDefinition.
    Crd,
    /// The control API, as OpenAPI.
    Openapi,
}

impl Kind {
    /// The schema itself.
    pub fn document(self) -> Value {
        match self {
            Self::File => file(),
            Self::Rule => rule(),
            Self::Crd => crd(),
            Self::Openapi => openapi(),
        }
    }
}

/// A document as it is published: indented, with a newline at its end.
pub fn pretty(document: &Value) -> String {
    format!("{document:#}\n")
}
