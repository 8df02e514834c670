//! Why `mcrgen` could not do what it was asked.

use std::io;

/// What kept a command from running.
#[derive(Debug, thiserror::Error)]
pub enum TrafficError {
    /// The arguments make no sense; the message says what would.
    #[error("{0}")]
    Usage(String),
    /// The kernel refused something; the message says what, to which object.
    #[error("{what}: {source}")]
    System {
        /// What was attempted, with the object it was attempted on.
        what: String,
        /// The kernel's answer.
        source: io::Error,
    },
}

impl TrafficError {
    /// A refusal by the kernel, with what was attempted.
    pub fn system(what: impl Into<String>, source: io::Error) -> Self {
        Self::System { what: what.into(), source }
    }

    /// The exit code of the process: 2 for usage, 1 for everything else.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Usage(_) => 2,
            Self::System { .. } => 1,
        }
    }
}
