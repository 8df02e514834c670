//! The command line of `mcrgen`.

use crate::traffic::interface::InterfaceSpec;
use crate::traffic::payload::{HEADER_LEN, MAX_LEN};
use clap::{Args, Parser, Subcommand, ValueEnum};
use std::ffi::OsString;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

/// Sends and verifies test traffic: numbered, checksummed UDP datagrams to multicast or unicast.
#[derive(Debug, Parser)]
#[command(name = "mcrgen", version, after_help = OLD_FORM)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

const OLD_FORM: &str = "Without a subcommand, mcrgen sends:
  mcrgen --interface 10.0.0.1 --group 239.1.1.1 --port 5000 --rate 1000 --size 1200 --count 5000

Exit codes: 0 it ran; 1 it could not run, send could send nothing, or recv --check found something
wrong; 2 wrong usage.";

const SEND_HELP: &str = "Each datagram carries, big-endian: \"MCRG\", version (1 byte), reserved (1), \
payload length (2), stream id (4), index of the group (4), sequence (8), send time in ns (8), \
checksum over everything (8); 40 bytes. A pseudo-random body follows.";

impl Cli {
    /// Reads a command line, the program's name first. Options without a subcommand mean `send`.
    ///
    /// # Errors
    /// What clap says about it, help and version texts included.
    pub fn parse_line(line: impl IntoIterator<Item = OsString>) -> Result<Self, clap::Error> {
        let mut line: Vec<OsString> = line.into_iter().collect();
        let general = ["-h", "--help", "-V", "--version"];
        if let Some(first) = line.get(1).and_then(|first| first.to_str())
            && first.starts_with('-')
            && !general.contains(&first)
        {
            line.insert(1, "send".into());
        }
        Self::try_parse_from(line)
    }
}

/// The two commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Send paced, numbered datagrams and report how many the kernel took.
    #[command(after_help = SEND_HELP)]
    Send(SendArgs),
    /// Receive, verify every datagram and report what was lost, doubled, reordered or corrupted.
    Recv(RecvArgs),
}

/// How a report is written to standard output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum OutputFormat {
    /// For people.
    Text,
    /// For programs: one JSON object, camelCase keys.
    Json,
}

/// Options of `mcrgen send`.
#[derive(Clone, Debug, Args)]
pub struct SendArgs {
    /// Outgoing interface, by name or by one of its IPv4 addresses [default: the routes decide]
    #[arg(long, value_name = "NAME|IP")]
    pub interface: Option<InterfaceSpec>,
    /// Destination address, multicast or unicast
    #[arg(long, value_name = "ADDR")]
    pub group: Ipv4Addr,
    /// Send to N consecutive addresses from --group on, in turn
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=65_536))]
    pub groups: u32,
    /// Destination port
    #[arg(long, value_name = "P", value_parser = clap::value_parser!(u16).range(1..))]
    pub port: u16,
    /// Source port [default: the kernel chooses]
    #[arg(long, value_name = "P")]
    pub source_port: Option<u16>,
    /// Source address, one of this host [default: the kernel chooses]
    #[arg(long, value_name = "IP")]
    pub source_address: Option<Ipv4Addr>,
    /// Datagrams per second over all groups; 0 means as fast as possible
    #[arg(long, value_name = "N", default_value_t = 1000)]
    pub rate: u64,
    /// Datagrams that go back to back in one pacing slot
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..))]
    pub burst: u64,
    /// Bytes of UDP payload, the 40 bytes of header included [default: 1200]
    #[arg(long, value_name = "B", conflicts_with = "size_range")]
    pub size: Option<usize>,
    /// Random payload sizes, one for each train
    #[arg(long, value_name = "MIN-MAX")]
    pub size_range: Option<Span>,
    /// Stop after N datagrams [default: at --duration or Ctrl-C]
    #[arg(long, value_name = "N")]
    pub count: Option<u64>,
    /// Stop after this time, for example 500ms, 5s, 2m
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    pub duration: Option<Duration>,
    /// TTL of the packets [default: the kernel's, which is 1 for multicast]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..))]
    pub ttl: Option<u8>,
    /// Hand each train to the kernel as one super-datagram (UDP_SEGMENT)
    #[arg(long)]
    pub gso: bool,
    /// Random lengths of trains: datagrams of one size to one group, back to back
    /// [default: 1-64 with --gso, else 1-1]. With --gso a train is cut where it would pass 65,507 bytes
    #[arg(long, value_name = "MIN-MAX")]
    pub train: Option<Span>,
    /// Seed of sizes, train lengths and bodies
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,
    /// Stream id in the datagrams, to tell runs from one source port apart
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub stream_id: u32,
    /// Let receivers on this host get the multicast too (IP_MULTICAST_LOOP)
    #[arg(long = "loop")]
    pub multicast_loop: bool,
    /// Form of the report
    #[arg(short, long, value_enum, default_value_t = OutputFormat::Text)]
    pub output: OutputFormat,
}

/// Options of `mcrgen recv`.
#[derive(Clone, Debug, Args)]
pub struct RecvArgs {
    /// Interface to join on, by name or by one of its IPv4 addresses; multicast from other
    /// interfaces is then not counted [default: the routes decide]
    #[arg(long, value_name = "NAME|IP")]
    pub interface: Option<InterfaceSpec>,
    /// Address to receive at: multicast, or unicast of this host; may be repeated
    /// [default: any, without a join]
    #[arg(long, value_name = "ADDR")]
    pub group: Vec<Ipv4Addr>,
    /// N consecutive addresses from each --group on
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=65_536))]
    pub groups: u32,
    /// Port to receive at
    #[arg(long, value_name = "P", value_parser = clap::value_parser!(u16).range(1..))]
    pub port: u16,
    /// Count datagrams of this source only, and join it only (SSM)
    #[arg(long, value_name = "ADDR")]
    pub source: Option<Ipv4Addr>,
    /// How to ask for multicast [default: ssm with --source, else asm]
    #[arg(long, value_enum)]
    pub join: Option<Join>,
    /// Stop after N test datagrams, doubled and corrupted ones included
    #[arg(long, value_name = "N")]
    pub count: Option<u64>,
    /// Stop after this time, for example 500ms, 10s, 2m [default: at --count, --idle or Ctrl-C]
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    pub duration: Option<Duration>,
    /// Stop when nothing came for so long after the first datagram
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    pub idle: Option<Duration>,
    /// How many different datagrams were sent: what is missing at the end counts as lost, too
    #[arg(long, value_name = "N")]
    pub expect: Option<u64>,
    /// Receive buffer to ask the kernel for
    #[arg(long, value_name = "BYTES", default_value_t = 32 << 20)]
    pub receive_buffer: usize,
    /// Take trains from the kernel as they are (UDP_GRO)
    #[arg(long)]
    pub gro: bool,
    /// Create this file when the socket is bound and everything is joined
    #[arg(long, value_name = "PATH")]
    pub ready_file: Option<PathBuf>,
    /// Exit with 1 if nothing came or anything was lost, doubled, reordered or corrupted
    #[arg(long)]
    pub check: bool,
    /// Form of the report
    #[arg(short, long, value_enum, default_value_t = OutputFormat::Text)]
    pub output: OutputFormat,
}

/// How `recv` asks the network for its groups.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Join {
    /// Not at all.
    None,
    /// From any source.
    Asm,
    /// From --source only.
    Ssm,
}

/// A range of numbers, both ends included, written `MIN-MAX` or as one number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// The smallest.
    pub min: usize,
    /// The largest; not below `min`.
    pub max: usize,
}

impl FromStr for Span {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let (min, max) = text.split_once('-').unwrap_or((text, text));
        match (min.trim().parse(), max.trim().parse()) {
            (Ok(min), Ok(max)) if min <= max => Ok(Self { min, max }),
            (Ok(_), Ok(_)) => Err("the smaller number comes first, for example 64-1400".to_owned()),
            _ => Err("write MIN-MAX, for example 64-1400".to_owned()),
        }
    }
}

impl Span {
    /// The payload sizes that a datagram can have.
    pub const SIZES: Self = Self { min: HEADER_LEN, max: MAX_LEN };

    /// True where all of `inner` lies in here.
    pub fn contains(&self, inner: &Self) -> bool {
        self.min <= inner.min && inner.max <= self.max
    }
}

/// Reads `500us`, `20ms`, `5s`, `2m`, `1h`, `1.5s`; a bare number means seconds.
fn parse_duration(text: &str) -> Result<Duration, String> {
    let unit_at = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(unit_at);
    let scale = match unit.trim() {
        "us" => 1e-6,
        "ms" => 1e-3,
        "" | "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        _ => return Err("write a number with a unit: us, ms, s, m or h, for example 5s".to_owned()),
    };
    let number: f64 = number.parse().map_err(|_| "write a time like 5s or 500ms".to_owned())?;
    match Duration::try_from_secs_f64(number * scale) {
        Ok(duration) if !duration.is_zero() => Ok(duration),
        Ok(_) => Err("a time above zero is needed, for example 5s".to_owned()),
        Err(_) => Err("that time is too long, write for example 24h".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Command, clap::Error> {
        Cli::parse_line(line.split(' ').map(OsString::from)).map(|cli| cli.command)
    }

    #[test]
    fn the_definition_is_consistent() {
        use clap::CommandFactory;
        Cli::command().debug_assert();
    }

    #[test]
    fn options_without_a_subcommand_send() {
        let line =
            "--interface 127.0.0.1 --group 239.1.1.1 --port 5000 --rate 10 --size 100 --count 5";
        for line in [format!("mcrgen {line}"), format!("mcrgen send {line}")] {
            let Ok(Command::Send(args)) = parse(&line) else { panic!("{line}") };
            assert_eq!(args.interface, Some(InterfaceSpec::Address(Ipv4Addr::LOCALHOST)));
            assert_eq!(args.group, Ipv4Addr::new(239, 1, 1, 1));
            assert_eq!(
                (args.port, args.rate, args.size, args.count),
                (5000, 10, Some(100), Some(5))
            );
            assert_eq!((args.ttl, args.multicast_loop), (None, false));
        }
    }

    #[test]
    fn help_and_version_stay_what_they_are() {
        for (line, kind) in [
            ("mcrgen --help", clap::error::ErrorKind::DisplayHelp),
            ("mcrgen -V", clap::error::ErrorKind::DisplayVersion),
            ("mcrgen send --help", clap::error::ErrorKind::DisplayHelp),
        ] {
            assert_eq!(parse(line).expect_err("ends here").kind(), kind, "{line}");
        }
    }

    #[test]
    fn wrong_values_are_usage_errors() {
        for line in [
            "mcrgen send --group 239.1.1.1 --port 0",
            "mcrgen send --group 239.1.1.1 --port 70000",
            "mcrgen send --group ff02::1 --port 5000",
            "mcrgen send --group 239.1.1.1",
            "mcrgen send --group 239.1.1.1 --port 5 --ttl 256",
            "mcrgen send --group 239.1.1.1 --port 5 --size 100 --size-range 50-60",
            "mcrgen send --group 239.1.1.1 --port 5 --train 9-3",
            "mcrgen send --interface a/b --group 239.1.1.1 --port 5",
            "mcrgen recv --port 5 --duration 5d",
            "mcrgen recv --port 5 --join maybe",
            "mcrgen listen",
        ] {
            assert_eq!(parse(line).expect_err(line).exit_code(), 2, "{line}");
        }
    }

    #[test]
    fn times_have_units() {
        assert_eq!(parse_duration("5s"), Ok(Duration::from_secs(5)));
        assert_eq!(parse_duration("7"), Ok(Duration::from_secs(7)));
        assert_eq!(parse_duration("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!(parse_duration("1.5m"), Ok(Duration::from_secs(90)));
        for bad in ["", "s", "5 days", "-1s", "0s", "1e9h", "99999999999999999999h"] {
            assert!(parse_duration(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn spans_are_ordered() {
        assert_eq!("3-9".parse(), Ok(Span { min: 3, max: 9 }));
        assert_eq!("7".parse(), Ok(Span { min: 7, max: 7 }));
        for bad in ["", "9-3", "a-b", "1-2-3", "-5"] {
            assert!(bad.parse::<Span>().is_err(), "{bad}");
        }
    }
}
