//! The command line.

use super::config_args::{ConfigCommand, LogLevelCommand};
use crate::api::DEFAULT_SOCKET;
use crate::config::v1::Ttl;
use clap::{Args as ClapArgs, Parser, Subcommand, ValueEnum};
use std::path::PathBuf;
use std::time::Duration;

/// Shows and changes what a running mcrd relays.
#[derive(Clone, Debug, Parser)]
#[command(name = "mcrctl", version, after_help = EXIT_CODES)]
pub struct Args {
    /// The daemon's control socket.
    #[arg(
        long,
        global = true,
        env = "MCR_SOCKET",
        value_name = "PATH",
        default_value = DEFAULT_SOCKET
    )]
    pub socket_path: PathBuf,
    /// How to print the answer: a table for people, or the daemon's JSON as it came.
    #[arg(short, long, global = true, value_enum, default_value = "table")]
    pub output: OutputForm,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

const EXIT_CODES: &str = "Exit codes: 0 done, 1 refused by mcrd, an invalid rule, or (config diff) a \
                          difference, 2 wrong usage, 3 no mcrd could be asked";

/// How answers are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum OutputForm {
    /// For people.
    Table,
    /// For programs.
    Json,
}

/// What to do.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Add a rule. It is gone when mcrd stops, unless mcrd has a state directory.
    Add(AddArgs),
    /// Remove a rule that was added with `add`.
    #[command(visible_alias = "rm")]
    Remove {
        /// The rule's id, its name, or runtime/NAME.
        #[arg(value_name = "ID|NAME")]
        rule: String,
        /// Only say what would happen.
        #[arg(long)]
        dry_run: bool,
    },
    /// Show all rules and whether they are at work.
    #[command(visible_alias = "ls")]
    List,
    /// Show all counters: what came in, what went out, what was dropped and why.
    Stats {
        /// Show rates, again every so many seconds (0.1 to 3600), until Ctrl-C.
        #[arg(long, value_name = "SECONDS", value_parser = interval)]
        watch: Option<Duration>,
    },
    /// Show the worker threads.
    ListWorkers,
    /// Show the network interfaces as mcrd sees them.
    Interfaces,
    /// Show the forwarding entries and the memberships asked for upstream.
    Mroute,
    /// Show who is a member of which groups on our links, and how IGMP runs there.
    #[command(subcommand)]
    Igmp(IgmpCommand),
    /// Ask whether mcrd answers.
    Ping,
    /// Show what changes, as it changes: rules, interfaces, workers. Until Ctrl-C.
    Monitor,
    /// Show, save, load, check and compare rules as configuration documents.
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Show or set what mcrd logs.
    #[command(subcommand)]
    LogLevel(LogLevelCommand),
    /// Have mcrd replaced by the program that stands on disk now, with its file loaded again; forwarding
    /// goes on. Waits until the new one answers.
    Upgrade {
        /// Have the data plane replaced too, by one of the new program that is handed all input sockets. New
        /// values of `dataplane` in the file hold from then on.
        #[arg(long)]
        dataplane: bool,
    },
    /// Print the completions of mcrctl for a shell, such as `mcrctl completions bash >
    /// /etc/bash_completion.d/mcrctl`.
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
    /// Turn the configuration of another program into ours; mcrd is not asked.
    Import {
        /// Whose configuration.
        #[command(subcommand)]
        from: ImportFrom,
    },
}

/// What is shown of IGMP.
#[derive(Clone, Debug, Subcommand)]
pub enum IgmpCommand {
    /// Show the groups that have members, and from which sources those want to receive.
    Groups(OnInterface),
    /// Show the interfaces on which IGMP runs.
    Interfaces(OnInterface),
    /// Show what was received, sent and dropped.
    Stats(OnInterface),
}

/// Which interfaces are shown.
#[derive(Clone, Debug, ClapArgs)]
pub struct OnInterface {
    /// Only this interface.
    #[arg(long, value_name = "INTERFACE")]
    pub interface: Option<String>,
}

/// Whose configuration is imported.
#[derive(Clone, Debug, Subcommand)]
pub enum ImportFrom {
    /// Print rules that do what a smcroute.conf asks for; what cannot be carried over is named.
    Smcroute {
        /// The file, or - for standard input.
        file: PathBuf,
    },
}

/// A rule on the command line.
#[derive(Clone, Debug, ClapArgs)]
pub struct AddArgs {
    /// The interface that the packets arrive on. It may appear later.
    #[arg(long, value_name = "INTERFACE")]
    pub input_interface: String,
    /// The multicast group, or a unicast address of this host on that interface.
    #[arg(long, value_name = "ADDRESS")]
    pub input_group: String,
    /// The UDP port; every port where it is not given.
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    pub input_port: Option<u16>,
    /// Where copies go: group or address, port, interface. Several: separated by commas, or again.
    #[arg(
        long,
        required = true,
        value_name = "ADDRESS:PORT:INTERFACE",
        value_delimiter = ',',
        num_args = 1
    )]
    pub outputs: Vec<String>,
    /// Take packets of this source only.
    #[arg(long, value_name = "ADDRESS")]
    pub source: Option<String>,
    /// A name for people.
    #[arg(long)]
    pub name: Option<String>,
    /// The rule's id; derived from its contents where it is not given.
    #[arg(long, value_name = "ID")]
    pub rule_id: Option<String>,
    /// The TTL of the copies, for all outputs: 1 to 255, `decrement` or `keep`; 16 where it is not given.
    #[arg(long, value_parser = ttl)]
    pub ttl: Option<Ttl>,
    /// Which rule wins where two want the same copy differently: 0 to 1000, the higher wins.
    #[arg(long, value_parser = clap::value_parser!(u16).range(0..=1000))]
    pub priority: Option<u16>,
    /// Only say what would happen.
    #[arg(long)]
    pub dry_run: bool,
}

fn ttl(text: &str) -> Result<Ttl, String> {
    match text {
        "keep" => Ok(Ttl::Keep),
        "decrement" => Ok(Ttl::Decrement),
        _ => match text.parse::<u8>() {
            Ok(value) if value > 0 => Ok(Ttl::Set(value)),
            _ => Err("a TTL is a number from 1 to 255, \"decrement\" or \"keep\"".into()),
        },
    }
}

fn interval(text: &str) -> Result<Duration, String> {
    match text.parse::<f64>() {
        Ok(seconds) if (0.1..=3600.0).contains(&seconds) => Ok(Duration::from_secs_f64(seconds)),
        _ => Err("seconds from 0.1 to 3600".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;
    use clap::error::ErrorKind;

    fn parse(line: &str) -> Result<Args, clap::Error> {
        Args::try_parse_from(line.split_whitespace())
    }

    fn add(line: &str) -> AddArgs {
        match parse(line).expect("parses").command {
            Command::Add(add) => add,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_definition_is_consistent() {
        Args::command().debug_assert();
    }

    #[test]
    fn the_quick_start_parses() {
        let add = add("mcrctl add --input-interface eth0 --input-group 239.1.1.1 \
                       --input-port 5000 --outputs 239.2.2.2:6000:eth1");
        assert_eq!(add.input_interface, "eth0");
        assert_eq!(add.input_group, "239.1.1.1");
        assert_eq!(add.input_port, Some(5000));
        assert_eq!(add.outputs, ["239.2.2.2:6000:eth1"]);
        assert_eq!((add.ttl, add.name, add.rule_id, add.source), (None, None, None, None));
    }

    #[test]
    fn outputs_are_separated_by_commas_or_repeated() {
        let add = add("mcrctl add --input-interface a --input-group b --outputs x,y --outputs z \
                       --ttl keep --name cam --rule-id r1 --source 10.0.0.1 --priority 7");
        assert_eq!(add.outputs, ["x", "y", "z"]);
        assert_eq!(add.ttl, Some(Ttl::Keep));
        assert_eq!(add.name.as_deref(), Some("cam"));
        assert_eq!(add.rule_id.as_deref(), Some("r1"));
        assert_eq!(add.source.as_deref(), Some("10.0.0.1"));
        assert_eq!(add.priority, Some(7));
    }

    #[test]
    fn global_options_stand_before_or_after_the_command() {
        for line in
            ["mcrctl -o json --socket-path /s list", "mcrctl list --output json --socket-path /s"]
        {
            let args = parse(line).expect("parses");
            assert_eq!(args.output, OutputForm::Json);
            assert_eq!(args.socket_path, PathBuf::from("/s"));
        }
        assert_eq!(parse("mcrctl ping").expect("parses").output, OutputForm::Table);
    }

    #[test]
    fn the_socket_has_a_default_and_an_environment_variable() {
        let command = Args::command();
        let option =
            command.get_arguments().find(|a| a.get_id() == "socket_path").expect("--socket-path");
        assert_eq!(option.get_env().expect("env"), "MCR_SOCKET");
        assert_eq!(option.get_default_values(), ["/run/mcr/control.sock"]);
    }

    #[test]
    fn wrong_usage_is_refused_here_with_2() {
        let rule = "mcrctl add --input-interface a --input-group b --outputs c";
        let bad = [
            "mcrctl".to_owned(),
            "mcrctl unknown".to_owned(),
            "mcrctl remove".to_owned(),
            "mcrctl list extra".to_owned(),
            "mcrctl config".to_owned(),
            "mcrctl config show --origin me".to_owned(),
            "mcrctl config load".to_owned(),
            "mcrctl log-level set".to_owned(),
            "mcrctl -o yaml list".to_owned(),
            "mcrctl add --input-interface a --input-group b".to_owned(),
            "mcrctl stats --watch 0".to_owned(),
            "mcrctl stats --watch NaN".to_owned(),
            "mcrctl stats --watch 1e300".to_owned(),
            format!("{rule} --input-port 0"),
            format!("{rule} --input-port 70000"),
            format!("{rule} --ttl 0"),
            format!("{rule} --ttl 256"),
            format!("{rule} --ttl half"),
            format!("{rule} --priority 1001"),
        ];
        for line in bad {
            let error = parse(&line).expect_err(&line);
            assert_eq!(error.exit_code(), 2, "{line}");
        }
        let help = parse("mcrctl --help").expect_err("help");
        assert_eq!((help.kind(), help.exit_code()), (ErrorKind::DisplayHelp, 0));
    }

    #[test]
    fn intervals_may_be_fractions() {
        let args = parse("mcrctl stats --watch 0.5").expect("parses");
        assert!(matches!(args.command,
            Command::Stats { watch: Some(d) } if d == Duration::from_millis(500)));
    }
}
