//! A host on one interface, on a clock of its own.

mod changes;
mod edges;
mod hostile;
mod plain;
mod properties;
mod queries;
mod versions;

use super::*;
use crate::igmp::packet::{
    ALL_ROUTERS, ALL_V3_ROUTERS, Message, QueryToSend, RecordKind, encode_query,
};
use crate::types::IgmpVersion;
use std::time::Duration;

pub(super) const LINK: IfIndex = IfIndex(3);
pub(super) const US: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 9);
pub(super) const QUERIER: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
pub(super) const OTHER_HOST: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 20);
pub(super) const G: Ipv4Addr = Ipv4Addr::new(239, 1, 1, 1);
pub(super) const H: Ipv4Addr = Ipv4Addr::new(239, 1, 1, 2);

/// What a packet of ours said, with the destination checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Said {
    ReportV1(Ipv4Addr),
    ReportV2(Ipv4Addr),
    Leave(Ipv4Addr),
    V3(Vec<(RecordKind, Ipv4Addr, Vec<u8>)>),
}

/// Sources 10.9.0.x by x.
pub(super) fn source(last: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 9, 0, last)
}

pub(super) fn include(sources: &[u8]) -> Reception {
    Reception::Include(sources.iter().map(|last| source(*last)).collect())
}

pub(super) fn exclude(sources: &[u8]) -> Reception {
    Reception::Exclude(sources.iter().map(|last| source(*last)).collect())
}

pub(super) fn said(packet: &[u8]) -> Said {
    let received = decode(packet).expect("a valid packet");
    assert!(received.router_alert, "RFC 9776 section 4");
    let destination = received.destination;
    let (said, expected) = match received.message {
        Message::ReportV1(group) => (Said::ReportV1(group), group),
        Message::ReportV2(group) => (Said::ReportV2(group), group),
        Message::Leave(group) => (Said::Leave(group), ALL_ROUTERS),
        Message::ReportV3(records) => {
            let records = records.iter().map(|record| {
                let sources = record.sources.iter().map(|source| source.octets()[3]).collect();
                (record.kind, record.group, sources)
            });
            (Said::V3(records.collect()), ALL_V3_ROUTERS)
        }
        Message::Query(query) => panic!("a host queries: {query:?}"),
    };
    assert_eq!(destination, expected);
    said
}

pub(super) struct Bench {
    pub(super) host: Host,
    pub(super) now: Time,
    /// The address that reports are to come from.
    pub(super) us: Ipv4Addr,
    pub(super) wanted: BTreeMap<Ipv4Addr, Reception>,
}

impl Bench {
    pub(super) fn new(mode: HostMode) -> Self {
        Self::seeded(mode, 1)
    }

    pub(super) fn seeded(mode: HostMode, seed: u64) -> Self {
        let mut bench = Self {
            host: Host::new(seed),
            now: Time(1_000_000_000_000),
            us: US,
            wanted: BTreeMap::new(),
        };
        bench.configure(mode);
        bench
    }

    pub(super) fn interface(mode: HostMode) -> HostInterface {
        let addresses = vec![Ipv4Net::new_assert(US, 24)];
        HostInterface { mode, addresses, mtu: 1500 }
    }

    pub(super) fn configure(&mut self, mode: HostMode) {
        self.host.configure(self.now, LINK, Some(Self::interface(mode)));
    }

    /// Wants this of a group and gives what is said at once.
    pub(super) fn want(&mut self, group: Ipv4Addr, reception: Reception) -> Vec<Said> {
        self.wanted.insert(group, reception);
        self.set()
    }

    pub(super) fn leave(&mut self, group: Ipv4Addr) -> Vec<Said> {
        self.wanted.remove(&group);
        self.set()
    }

    pub(super) fn set(&mut self) -> Vec<Said> {
        self.host.set(self.now, LINK, &self.wanted);
        self.said()
    }

    pub(super) fn said(&mut self) -> Vec<Said> {
        let packets = std::iter::from_fn(|| self.host.poll_transmit());
        packets
            .map(|transmit| {
                assert_eq!(transmit.index, LINK);
                assert_eq!(decode(&transmit.packet).expect("valid").source, self.us);
                said(&transmit.packet)
            })
            .collect()
    }

    /// Lets time pass; what is said in it, each with the time since the start.
    pub(super) fn pass(&mut self, time: Duration) -> Vec<(Duration, Said)> {
        let (start, end) = (self.now, self.now.plus(time));
        let mut all = Vec::new();
        while let Some(at) = self.host.next_timeout().filter(|at| *at <= end) {
            assert!(at >= self.now, "a deadline in the past");
            self.now = at;
            self.host.handle_timeout(at);
            assert!(self.host.next_timeout().is_none_or(|next| next > at), "done is done");
            all.extend(self.said().into_iter().map(|said| (at.since(start), said)));
        }
        self.now = end;
        all
    }

    /// What is said while time passes.
    pub(super) fn hear(&mut self, time: Duration) -> Vec<Said> {
        self.pass(time).into_iter().map(|(_, said)| said).collect()
    }

    pub(super) fn packet(&mut self, packet: &[u8]) {
        self.host.handle_packet(self.now, LINK, packet);
    }

    pub(super) fn query(&mut self, query: QueryToSend<'_>) {
        self.packet(&encode_query(QUERIER, &query));
    }

    pub(super) fn general_query(&mut self, version: IgmpVersion) {
        self.query(QueryToSend { version, ..query() });
    }

    pub(super) fn version(&self) -> IgmpVersion {
        self.host.view(LINK).expect("configured").version
    }

    /// Lets all that is to be repeated pass.
    pub(super) fn settle(&mut self) {
        self.pass(Duration::from_secs(60));
        assert_eq!(self.host.view(LINK).expect("configured").changes_due, None);
    }
}

/// A general query of version 3 with the usual values.
pub(super) fn query() -> QueryToSend<'static> {
    QueryToSend {
        version: IgmpVersion::V3,
        group: None,
        max_response: Duration::from_secs(10),
        suppress: false,
        robustness: 2,
        interval: Duration::from_secs(125),
        sources: &[],
    }
}

pub(super) const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}
