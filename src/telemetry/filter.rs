//! What is logged: one level for everything, others for modules.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

/// From nothing to everything.
pub const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

/// The modules of this program; a module of another crate is written with its crate.
const MODULES: [&str; 21] = [
    "api",
    "cli",
    "clock",
    "config",
    "control",
    "daemon",
    "dataplane",
    "fib",
    "igmp",
    "manual",
    "netlink",
    "rib",
    "schema",
    "sockets",
    "sources",
    "sys",
    "telemetry",
    "timers",
    "traffic",
    "types",
    "wire",
];

/// See the module. Written as `info,mcr::netlink=debug`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filter {
    level: &'static str,
    modules: BTreeMap<String, &'static str>,
}

impl Filter {
    /// The level of everything that `modules` does not name.
    pub const fn level(&self) -> &'static str {
        self.level
    }

    /// Modules with a level of their own, by full path.
    pub const fn modules(&self) -> &BTreeMap<String, &'static str> {
        &self.modules
    }

    /// The same filter with another level for one module: `netlink`, `mcr::netlink::decode`,
    /// `hyper::proto`.
    ///
    /// # Errors
    /// What is wrong and what would be right.
    pub fn with_module(&self, module: &str, level: &str) -> Result<Self, String> {
        let mut filter = self.clone();
        filter.modules.insert(module_path(module)?, level_name(level)?);
        Ok(filter)
    }
}

impl FromStr for Filter {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let mut level = None;
        let mut modules = BTreeMap::new();
        for part in text.split(',').map(str::trim) {
            match part.split_once('=') {
                Some((module, level)) => {
                    modules.insert(module_path(module)?, level_name(level)?);
                }
                None => {
                    if level.replace(level_name(part)?).is_some() {
                        return Err(format!("\"{text}\" has more than one level for everything"));
                    }
                }
            }
        }
        Ok(Self { level: level.unwrap_or("error"), modules })
    }
}

impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.level)?;
        self.modules.iter().try_for_each(|(module, level)| write!(f, ",{module}={level}"))
    }
}

fn level_name(text: &str) -> Result<&'static str, String> {
    let known = LEVELS.iter().find(|level| level.eq_ignore_ascii_case(text.trim()));
    known
        .copied()
        .ok_or_else(|| format!("{text:?} is not a log level; the levels are {}", LEVELS.join(", ")))
}

/// The full path of a module.
fn module_path(text: &str) -> Result<String, String> {
    let text = text.trim();
    let sound = |part: &str| {
        !part.is_empty()
            && !part.starts_with(|c: char| c.is_ascii_digit())
            && part.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
    };
    if text.len() > 128 || !text.split("::").all(sound) {
        return Err(format!("{text:?} is not a module; write for example netlink or mcr::netlink"));
    }
    let ours = text.strip_prefix("mcr::").unwrap_or(text);
    let first = ours.split("::").next().unwrap_or_default();
    if MODULES.contains(&first) {
        return Ok(format!("mcr::{ours}"));
    }
    if text == "mcr" || (text.contains("::") && !text.starts_with("mcr::")) {
        return Ok(text.to_owned());
    }
    Err(format!(
        "{text:?} is not a module of mcr: those are {}; a module of another crate is written with \
         its crate, such as hyper::proto",
        MODULES.join(", ")
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_is_read_and_written() {
        for (text, written) in [
            ("info", "info"),
            ("DEBUG", "debug"),
            ("netlink=trace, warn", "warn,mcr::netlink=trace"),
            ("mcr::api::server=off", "error,mcr::api::server=off"),
            ("info,hyper::proto=debug,mcr=trace", "info,hyper::proto=debug,mcr=trace"),
        ] {
            let filter: Filter = text.parse().expect(text);
            assert_eq!(filter.to_string(), written);
            assert_eq!(written.parse::<Filter>().as_ref(), Ok(&filter));
            // tracing-subscriber understands it the same way.
            tracing_subscriber::EnvFilter::try_new(written).expect(written);
        }
    }

    #[test]
    fn mistakes_say_what_would_be_right() {
        for (text, says) in [
            ("debgu", "off, error, warn, info, debug, trace"),
            ("", "the levels are"),
            ("info,debug", "more than one level"),
            ("netlnk=debug", "is not a module of mcr: those are api, "),
            ("net link=debug", "is not a module"),
            ("mcr::netlnk=debug", "is not a module of mcr"),
            ("::=debug", "is not a module"),
            ("netlink=", "is not a log level"),
            ("netlink=9", "is not a log level"),
            ("info,,warn", "is not a log level"),
            ("[span]=debug", "is not a module"),
        ] {
            let error = text.parse::<Filter>().expect_err(text);
            assert!(error.contains(says), "{text}: {error}");
        }
    }

    #[test]
    fn the_modules_are_those_of_the_crate() {
        let declared: Vec<&str> = include_str!("../lib.rs")
            .lines()
            .filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';'))
            .collect();
        assert_eq!(declared, MODULES);
    }
}
