//! From arguments to something that can be done: ranges unfolded, contradictions refused.

use crate::traffic::args::{Join, RecvArgs, SendArgs, Span};
use crate::traffic::error::TrafficError;
use crate::traffic::payload::{HEADER_LEN, MAX_LEN};
use std::net::Ipv4Addr;

/// Datagrams in one super-datagram at most (`UDP_MAX_SEGMENTS` of older kernels).
pub const MAX_TRAIN: usize = 64;

const DEFAULT_SIZE: usize = 1200;

/// What to send, to whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SendPlan {
    /// Destinations; a train goes to each in turn.
    pub groups: Vec<Ipv4Addr>,
    /// Payload sizes.
    pub size: Span,
    /// Train lengths.
    pub train: Span,
}

impl SendPlan {
    /// Checks the arguments of `send`.
    ///
    /// # Errors
    /// [`TrafficError::Usage`] with what would be right.
    pub fn new(args: &SendArgs) -> Result<Self, TrafficError> {
        let groups = consecutive(args.group, args.groups)?;
        if args.group.is_unspecified() {
            return Err(usage(
                "0.0.0.0 is no destination; give --group a multicast or a unicast address",
            ));
        }
        let one_size = args.size.unwrap_or(DEFAULT_SIZE);
        let size = args.size_range.unwrap_or(Span { min: one_size, max: one_size });
        if !Span::SIZES.contains(&size) {
            return Err(usage(format!(
                "a payload has {HEADER_LEN} to {MAX_LEN} bytes ({HEADER_LEN} are the header), not {}",
                if size.min < HEADER_LEN { size.min } else { size.max }
            )));
        }
        let default_train = Span { min: 1, max: if args.gso { MAX_TRAIN } else { 1 } };
        let train = args.train.unwrap_or(default_train);
        if !(Span { min: 1, max: MAX_TRAIN }).contains(&train) {
            return Err(usage(format!(
                "a train has 1 to {MAX_TRAIN} datagrams, for example --train 1-64"
            )));
        }
        Ok(Self { groups, size, train })
    }
}

/// What to receive, and how to ask for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecvPlan {
    /// Addresses to receive at; none means any.
    pub addresses: Vec<Ipv4Addr>,
    /// The address to bind to.
    pub bind: Ipv4Addr,
    /// Groups to join.
    pub joins: Vec<Ipv4Addr>,
    /// The source to join, for SSM.
    pub join_source: Option<Ipv4Addr>,
}

impl RecvPlan {
    /// Checks the arguments of `recv`.
    ///
    /// # Errors
    /// [`TrafficError::Usage`] with what would be right.
    pub fn new(args: &RecvArgs) -> Result<Self, TrafficError> {
        if args.group.is_empty() && args.groups > 1 {
            return Err(usage("--groups counts from --group on; give --group, too"));
        }
        if let Some(source) = args.source.filter(Ipv4Addr::is_multicast) {
            return Err(usage(format!("{source} cannot be a source: it is a multicast address")));
        }
        let mut addresses = Vec::new();
        for first in &args.group {
            addresses.extend(consecutive(*first, args.groups)?);
        }
        addresses.sort_unstable();
        addresses.dedup();
        let by_default = if args.source.is_some() { Join::Ssm } else { Join::Asm };
        let join = args.join.unwrap_or(by_default);
        let joins: Vec<Ipv4Addr> = match join {
            Join::None => Vec::new(),
            Join::Asm | Join::Ssm => {
                addresses.iter().copied().filter(Ipv4Addr::is_multicast).collect()
            }
        };
        if args.join.is_some_and(|join| join != Join::None) {
            if let Some(unicast) = addresses.iter().find(|address| !address.is_multicast()) {
                return Err(usage(format!(
                    "{unicast} is not a multicast address (224.0.0.0/4), there is nothing to join; \
                     leave --join away or say --join none"
                )));
            }
            if addresses.is_empty() {
                return Err(usage("--join needs to know what: give --group"));
            }
        }
        let join_source = match (join, args.source) {
            (Join::Ssm, None) => {
                return Err(usage("--join ssm joins one source: give --source"));
            }
            (Join::Ssm, source) => source,
            (Join::None | Join::Asm, _) => None,
        };
        let bind = match addresses[..] {
            [only] => only,
            _ => Ipv4Addr::UNSPECIFIED,
        };
        Ok(Self { addresses, bind, joins, join_source })
    }
}

/// `count` addresses from `first` on; all of them multicast where the first is, none where not.
fn consecutive(first: Ipv4Addr, count: u32) -> Result<Vec<Ipv4Addr>, TrafficError> {
    let last = u32::from(first).checked_add(count.saturating_sub(1)).map(Ipv4Addr::from);
    match last.filter(|last| last.is_multicast() == first.is_multicast()) {
        Some(last) => Ok((u32::from(first)..=u32::from(last)).map(Ipv4Addr::from).collect()),
        None => Err(usage(format!(
            "{count} addresses from {first} on leave {}; start lower or take fewer --groups",
            if first.is_multicast() { "multicast (224.0.0.0/4)" } else { "unicast" }
        ))),
    }
}

fn usage(message: impl Into<String>) -> TrafficError {
    TrafficError::Usage(message.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::traffic::args::{Cli, Command};
    use std::ffi::OsString;

    fn command(line: &str) -> Command {
        let line = line.split(' ').map(OsString::from);
        Cli::parse_line(line).expect("a line that clap takes").command
    }

    fn send(options: &str) -> Result<SendPlan, String> {
        match command(&format!("mcrgen send --port 5000 {options}")) {
            Command::Send(args) => SendPlan::new(&args).map_err(|error| error.to_string()),
            Command::Recv(_) => panic!("a send line"),
        }
    }

    fn recv(options: &str) -> Result<RecvPlan, String> {
        match command(&format!("mcrgen recv --port 5000 {options}")) {
            Command::Recv(args) => RecvPlan::new(&args).map_err(|error| error.to_string()),
            Command::Send(_) => panic!("a recv line"),
        }
    }

    fn ip(text: &str) -> Ipv4Addr {
        text.parse().expect("an address")
    }

    #[test]
    fn groups_are_counted_over_octets() {
        let plan = send("--group 239.1.1.254 --groups 4").expect("fits");
        let expected = ["239.1.1.254", "239.1.1.255", "239.1.2.0", "239.1.2.1"].map(ip);
        assert_eq!(plan.groups, expected);
    }

    #[test]
    fn trains_are_of_one_unless_gso_or_train_says_more() {
        let train =
            |options: &str| send(&format!("--group 239.1.1.1{options}")).map(|plan| plan.train);
        assert_eq!(train(""), Ok(Span { min: 1, max: 1 }));
        assert_eq!(train(" --gso"), Ok(Span { min: 1, max: 64 }));
        assert_eq!(train(" --gso --train 8-8"), Ok(Span { min: 8, max: 8 }));
        assert_eq!(train(" --train 2-9"), Ok(Span { min: 2, max: 9 }));
    }

    #[test]
    fn send_refuses_what_cannot_be() {
        for (options, part) in [
            ("--group 239.1.1.1 --size 39", "not 39"),
            ("--group 239.1.1.1 --size 65508", "not 65508"),
            ("--group 239.1.1.1 --size-range 10-100", "not 10"),
            ("--group 239.1.1.1 --train 1-65", "1 to 64"),
            ("--group 239.1.1.1 --train 0-4", "1 to 64"),
            ("--group 0.0.0.0", "no destination"),
            ("--group 239.255.255.255 --groups 2", "leave multicast"),
            ("--group 223.255.255.255 --groups 2", "leave unicast"),
        ] {
            let message = send(options).expect_err(options);
            assert!(message.contains(part), "{options}: {message}");
        }
    }

    #[test]
    fn recv_joins_what_is_multicast() {
        let plan = recv("--group 239.1.1.1 --group 10.0.0.1").expect("fits");
        assert_eq!(plan.joins, [ip("239.1.1.1")]);
        assert_eq!(plan.addresses, [ip("10.0.0.1"), ip("239.1.1.1")]);
        assert_eq!((plan.bind, plan.join_source), (Ipv4Addr::UNSPECIFIED, None));
        let plan = recv("--group 232.1.1.1 --source 10.9.9.9").expect("fits");
        assert_eq!((plan.bind, plan.join_source), (ip("232.1.1.1"), Some(ip("10.9.9.9"))));
        let plan = recv("--group 239.1.1.1 --join none").expect("fits");
        assert_eq!((plan.bind, plan.joins), (ip("239.1.1.1"), vec![]));
        let plan = recv("--group 239.1.1.1 --source 10.9.9.9 --join asm").expect("fits");
        assert_eq!((plan.joins.len(), plan.join_source), (1, None));
        let plan = recv("--join none").expect("fits");
        assert_eq!((plan.bind, plan.addresses), (Ipv4Addr::UNSPECIFIED, vec![]));
    }

    #[test]
    fn recv_refuses_what_cannot_be() {
        for (options, part) in [
            ("--group 10.0.0.1 --join asm", "not a multicast address"),
            ("--join asm", "give --group"),
            ("--group 239.1.1.1 --join ssm", "give --source"),
            ("--group 239.1.1.1 --source 239.1.1.2", "cannot be a source"),
            ("--groups 5", "give --group, too"),
        ] {
            let message = recv(options).expect_err(options);
            assert!(message.contains(part), "{options}: {message}");
        }
    }
}
