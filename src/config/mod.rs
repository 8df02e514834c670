//! L5, the configuration schema, its loader with diagnostics, and validation.
//!
//! A text goes through four steps, and every step after the first finds all mistakes there are:
//! `syntax` (JSON5 to values), `shape` (values to the types of [`v1`]), `validate` (those to
//! [`crate::types::Rule`]), `diagnose` (places in the text). The control API's rules take the same way.

mod diagnose;
pub mod import;
mod load;
mod node;
mod output_text;
mod path;
mod position;
mod settings;
mod shape;
mod short_form;
mod syntax;
mod tokens;
pub mod v1;
mod validate;
mod wording;

#[cfg(test)]
mod tests;

pub use diagnose::{Diagnostic, Diagnostics};
pub use load::{Loaded, load_file, load_text, rule_from_json, rule_from_spec};
pub use output_text::parse_output;
pub use settings::{ControlSettings, DATA_PLANE_SUFFIX, Dataplane, LogSettings};
pub use short_form::spec_of;
pub use v1::{Io, LogFormat, LogLevel, Sched};
