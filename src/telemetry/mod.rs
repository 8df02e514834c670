//! L5, logging.

mod filter;

pub use filter::{Filter, LEVELS};

use std::io::IsTerminal;
use tracing_subscriber::EnvFilter;

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// Who said what is logged. A later one goes before an earlier one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum SetBy {
    /// The configuration file, or its default.
    File,
    /// The command line, or the environment.
    CommandLine,
    /// The control socket.
    Runtime,
}

impl SetBy {
    /// The name in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::CommandLine => "commandLine",
            Self::Runtime => "runtime",
        }
    }
}

type Apply = Box<dyn Fn(EnvFilter) -> Result<(), String> + Send>;

/// The log, whose filter can be changed while it runs.
pub struct Logging {
    filter: Filter,
    set_by: SetBy,
    apply: Apply,
}

impl Logging {
    /// Logs to standard error from now on.
    ///
    /// # Errors
    /// Where this process logs already.
    pub fn start(filter: Filter, set_by: SetBy, format: Format) -> Result<Self, String> {
        let builder = tracing_subscriber::fmt()
            .with_env_filter(compiled(&filter)?)
            .with_writer(std::io::stderr)
            .with_ansi(std::io::stderr().is_terminal());
        let apply: Apply = match format {
            Format::Text => {
                let builder = builder.with_filter_reloading();
                let handle = builder.reload_handle();
                builder.try_init().map_err(|error| error.to_string())?;
                Box::new(move |filter| handle.reload(filter).map_err(|error| error.to_string()))
            }
            Format::Json => {
                let builder = builder.json().with_filter_reloading();
                let handle = builder.reload_handle();
                builder.try_init().map_err(|error| error.to_string())?;
                Box::new(move |filter| handle.reload(filter).map_err(|error| error.to_string()))
            }
        };
        Ok(Self { filter, set_by, apply })
    }

    /// A log that nobody writes to.
    #[cfg(test)]
    pub(crate) fn detached(filter: Filter, set_by: SetBy) -> Self {
        Self { filter, set_by, apply: Box::new(|_| Ok(())) }
    }

    /// What is logged.
    pub const fn filter(&self) -> &Filter {
        &self.filter
    }

    /// Who said so.
    pub const fn set_by(&self) -> SetBy {
        self.set_by
    }

    /// Logs by another filter from now on, unless somebody who goes before `by` has set it: then
    /// false.
    ///
    /// # Errors
    /// Where the log has ended.
    pub fn set(&mut self, filter: Filter, by: SetBy) -> Result<bool, String> {
        if by < self.set_by {
            return Ok(false);
        }
        (self.apply)(compiled(&filter)?)?;
        self.filter = filter;
        self.set_by = by;
        Ok(true)
    }
}

fn compiled(filter: &Filter) -> Result<EnvFilter, String> {
    EnvFilter::try_new(filter.to_string()).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_goes_before_keeps_its_filter() {
        let filter = |text: &str| text.parse::<Filter>().expect(text);
        let mut logging = Logging::detached(filter("info"), SetBy::File);
        assert_eq!(logging.set(filter("debug"), SetBy::File), Ok(true));
        assert_eq!(logging.set(filter("warn,netlink=trace"), SetBy::Runtime), Ok(true));
        assert_eq!(logging.set(filter("info"), SetBy::File), Ok(false));
        assert_eq!(logging.set(filter("info"), SetBy::CommandLine), Ok(false));
        assert_eq!(logging.filter().to_string(), "warn,mcr::netlink=trace");
        assert_eq!(logging.set_by(), SetBy::Runtime);
    }
}
