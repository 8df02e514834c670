//! Everything that a receiver counts, datagram by datagram. Pure, bounded memory.

use crate::sys::udp::Received;
use crate::traffic::payload::{self, Header, Verdict};
use crate::traffic::report::{FlowReport, Latency, RecvReport};
use crate::traffic::tracker::Tracker;
use crate::types::IfIndex;
use foldhash::{HashMap, HashSet};
use hdrhistogram::Histogram;
use std::net::Ipv4Addr;

/// Flows that are tracked one by one.
pub const MAX_FLOWS: usize = 4096;

/// Flows beyond [`MAX_FLOWS`] that are still told apart to be counted.
const MAX_OVERFLOW_FLOWS: usize = 65_536;

/// Latencies above a minute count as a minute.
const MAX_LATENCY_NS: u64 = 60_000_000_000;

/// Which datagrams were asked for.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    addresses: HashSet<Ipv4Addr>,
    source: Option<Ipv4Addr>,
    interface: Option<IfIndex>,
}

impl Filter {
    /// Datagrams to one of `addresses` (none: any), from `source`, multicast on `interface`.
    pub fn new(
        addresses: impl IntoIterator<Item = Ipv4Addr>,
        source: Option<Ipv4Addr>,
        interface: Option<IfIndex>,
    ) -> Self {
        Self { addresses: addresses.into_iter().collect(), source, interface }
    }

    fn wants(&self, message: &Received<'_>, destination: Ipv4Addr) -> bool {
        // Unicast reaches a host by any of its interfaces; only groups are asked for on one.
        let elsewhere = destination.is_multicast()
            && self.interface.is_some_and(|interface| interface != message.interface);
        !elsewhere
            && self.source.is_none_or(|source| source == *message.source.ip())
            && (self.addresses.is_empty() || self.addresses.contains(&destination))
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct FlowKey {
    source_address: Ipv4Addr,
    source_port: u16,
    group: Ipv4Addr,
    stream: u32,
    index: u32,
}

struct Flow {
    key: FlowKey,
    tracker: Tracker,
    corrupted: u64,
}

/// The counters of one run.
pub struct Tally {
    filter: Filter,
    flows: Vec<Flow>,
    places: HashMap<FlowKey, usize>,
    /// Where the last datagram belonged: most come in trains.
    recent: Option<usize>,
    overflow_flows: HashSet<FlowKey>,
    overflow_datagrams: u64,
    latency: Histogram<u64>,
    total: u64,
    bytes: u64,
    corrupted: u64,
    foreign: u64,
    unwanted: u64,
    gro_trains: u64,
    first_at: Option<u64>,
    last_at: u64,
}

impl Tally {
    /// Counts datagrams that `filter` wants.
    ///
    /// # Errors
    /// Where the histogram of latencies cannot be made; its bounds are constants.
    pub fn new(filter: Filter) -> Result<Self, hdrhistogram::CreationError> {
        Ok(Self {
            filter,
            flows: Vec::new(),
            places: HashMap::default(),
            recent: None,
            overflow_flows: HashSet::default(),
            overflow_datagrams: 0,
            latency: Histogram::new_with_bounds(1, MAX_LATENCY_NS, 3)?,
            total: 0,
            bytes: 0,
            corrupted: 0,
            foreign: 0,
            unwanted: 0,
            gro_trains: 0,
            first_at: None,
            last_at: 0,
        })
    }

    /// Counts what one message brought. `now` (`CLOCK_REALTIME`, ns) stands in where the kernel
    /// gave no time of arrival.
    pub fn take(&mut self, message: &Received<'_>, now: u64) {
        let destination = message.destination.unwrap_or(Ipv4Addr::UNSPECIFIED);
        let wanted = self.filter.wants(message, destination);
        let arrived_at = message.timestamp.unwrap_or(now);
        let mut datagrams = 0;
        for datagram in message.datagrams() {
            datagrams += 1;
            match payload::decode(datagram) {
                _ if !wanted => self.unwanted += 1,
                Verdict::Foreign => self.foreign += 1,
                Verdict::Corrupted => {
                    self.count(datagram, arrived_at);
                    self.blame(message, destination, datagram);
                }
                Verdict::Intact(header) => {
                    self.count(datagram, arrived_at);
                    let latency = arrived_at.saturating_sub(header.sent_at);
                    self.latency.saturating_record(latency.max(1));
                    self.track(key(message, destination, &header), header.sequence);
                }
            }
        }
        self.gro_trains += u64::from(datagrams > 1);
    }

    /// Test datagrams so far, corrupted ones included, unwanted ones not.
    pub fn total(&self) -> u64 {
        self.total
    }

    fn count(&mut self, datagram: &[u8], arrived_at: u64) {
        self.total += 1;
        self.bytes += datagram.len() as u64;
        self.first_at = Some(self.first_at.map_or(arrived_at, |first| first.min(arrived_at)));
        self.last_at = self.last_at.max(arrived_at);
    }

    fn track(&mut self, key: FlowKey, sequence: u64) {
        if let Some(flow) = self.recent.and_then(|place| self.flows.get_mut(place))
            && flow.key == key
        {
            flow.tracker.arrive(sequence);
            return;
        }
        let place = match self.places.get(&key) {
            Some(place) => *place,
            None if self.flows.len() < MAX_FLOWS => {
                self.flows.push(Flow { key, tracker: Tracker::default(), corrupted: 0 });
                self.places.insert(key, self.flows.len() - 1);
                self.flows.len() - 1
            }
            None => {
                self.overflow_datagrams += 1;
                if self.overflow_flows.len() < MAX_OVERFLOW_FLOWS {
                    self.overflow_flows.insert(key);
                }
                return;
            }
        };
        self.recent = Some(place);
        self.flows[place].tracker.arrive(sequence);
    }

    /// Books a corrupted datagram on its flow, where its header still names one that exists.
    fn blame(&mut self, message: &Received<'_>, destination: Ipv4Addr, datagram: &[u8]) {
        self.corrupted += 1;
        let place = payload::claimed_header(datagram)
            .map(|header| key(message, destination, &header))
            .and_then(|key| self.places.get(&key));
        if let Some(place) = place {
            self.flows[*place].corrupted += 1;
        }
    }

    /// The report over everything counted; `expect` is how many different datagrams were sent.
    pub fn report(&self, expect: Option<u64>) -> RecvReport {
        let sum = |count: fn(&Tracker) -> u64| {
            self.flows.iter().map(|flow| count(&flow.tracker)).fold(0, u64::saturating_add)
        };
        let unique = sum(Tracker::unique);
        let gaps = sum(Tracker::lost);
        let elapsed_ns = self.last_at.saturating_sub(self.first_at.unwrap_or(self.last_at));
        let elapsed_seconds = elapsed_ns as f64 / 1e9;
        RecvReport {
            total: self.total,
            bytes: self.bytes,
            unique,
            expected: expect,
            lost: expect.map_or(gaps, |expected| expected.saturating_sub(unique)),
            duplicated: sum(Tracker::duplicated),
            reordered: sum(Tracker::reordered),
            late: sum(Tracker::late),
            corrupted: self.corrupted,
            foreign: self.foreign,
            unwanted: self.unwanted,
            gro_trains: self.gro_trains,
            elapsed_seconds,
            rate: crate::traffic::report::rate(self.total, elapsed_seconds),
            latency_microseconds: Latency::from_nanos(&self.latency),
            flows: self.flow_reports(),
            overflow_flows: self.overflow_flows.len() as u64,
            overflow_datagrams: self.overflow_datagrams,
            ..RecvReport::default()
        }
    }

    fn flow_reports(&self) -> Vec<FlowReport> {
        let mut flows: Vec<&Flow> = self.flows.iter().collect();
        flows.sort_unstable_by_key(|flow| {
            (
                flow.key.group,
                flow.key.source_address,
                flow.key.source_port,
                flow.key.stream,
                flow.key.index,
            )
        });
        flows.iter().map(|flow| flow.report()).collect()
    }
}

impl Flow {
    fn report(&self) -> FlowReport {
        FlowReport {
            source_address: self.key.source_address,
            source_port: self.key.source_port,
            group: self.key.group,
            stream_id: self.key.stream,
            index: self.key.index,
            received: self.tracker.received(),
            lost: self.tracker.lost(),
            duplicated: self.tracker.duplicated(),
            reordered: self.tracker.reordered(),
            late: self.tracker.late(),
            corrupted: self.corrupted,
            first_sequence: self.tracker.first(),
            last_sequence: self.tracker.last(),
        }
    }
}

fn key(message: &Received<'_>, destination: Ipv4Addr, header: &Header) -> FlowKey {
    FlowKey {
        source_address: *message.source.ip(),
        source_port: message.source.port(),
        group: destination,
        stream: header.stream,
        index: header.index,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::SocketAddrV4;

    const GROUP: Ipv4Addr = Ipv4Addr::new(239, 1, 1, 1);
    const SOURCE: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);

    fn datagram(stream: u32, sequence: u64) -> Vec<u8> {
        let mut payload = vec![0; 100];
        let header = Header { stream, index: 0, sequence, sent_at: 1_000_000 };
        payload::encode(&header, 1, &mut payload).expect("100 bytes are enough");
        payload
    }

    fn message(payload: &[u8]) -> Received<'_> {
        Received {
            payload,
            segment: None,
            source: SocketAddrV4::new(SOURCE, 4000),
            destination: Some(GROUP),
            interface: IfIndex(2),
            timestamp: Some(1_250_000),
            truncated: false,
        }
    }

    fn tally(filter: Filter) -> Tally {
        Tally::new(filter).expect("constant bounds")
    }

    #[test]
    fn losses_doubles_and_damage_are_told_apart() {
        let mut tally = tally(Filter::default());
        for sequence in [0, 1, 4, 3, 4] {
            tally.take(&message(&datagram(1, sequence)), 0);
        }
        let mut damaged = datagram(1, 2);
        damaged[60] ^= 1;
        tally.take(&message(&damaged), 0);
        tally.take(&message(b"something else"), 0);
        let report = tally.report(None);
        assert_eq!((report.total, report.bytes, report.unique), (6, 600, 4));
        assert_eq!((report.lost, report.duplicated, report.reordered), (1, 1, 1));
        assert_eq!((report.corrupted, report.foreign, report.unwanted), (1, 1, 0));
        let [flow] = &report.flows[..] else { panic!("one flow: {:?}", report.flows) };
        assert_eq!((flow.source_address, flow.source_port, flow.group), (SOURCE, 4000, GROUP));
        assert_eq!((flow.received, flow.corrupted, flow.last_sequence), (5, 1, 4));
        assert!(!report.is_clean());
        // 250 microseconds from sending to arrival.
        let latency = report.latency_microseconds.expect("five were intact");
        assert!((latency.p50 - 250.0).abs() < 1.0 && (latency.max - 250.0).abs() < 1.0);
    }

    #[test]
    fn the_expected_number_uncovers_a_missing_tail() {
        let mut tally = tally(Filter::default());
        tally.take(&message(&datagram(1, 0)), 0);
        tally.take(&message(&datagram(1, 1)), 0);
        assert_eq!(tally.report(None).lost, 0);
        assert!(tally.report(None).is_clean());
        assert_eq!(tally.report(Some(5)).lost, 3);
        assert!(!tally.report(Some(5)).is_clean());
    }

    #[test]
    fn streams_sources_and_groups_are_flows_of_their_own() {
        let mut tally = tally(Filter::default());
        let (one, two) = (datagram(1, 0), datagram(2, 0));
        let other_group = Some(Ipv4Addr::new(239, 1, 1, 2));
        let other_source = SocketAddrV4::new(SOURCE, 4001);
        tally.take(&message(&one), 0);
        tally.take(&message(&two), 0);
        tally.take(&Received { destination: other_group, ..message(&one) }, 0);
        tally.take(&Received { source: other_source, ..message(&one) }, 0);
        let report = tally.report(None);
        assert_eq!((report.flows.len(), report.duplicated, report.lost), (4, 0, 0));
    }

    #[test]
    fn what_was_not_asked_for_is_unwanted() {
        let filter = Filter::new([GROUP], Some(SOURCE), Some(IfIndex(2)));
        let mut tally = tally(filter);
        let bytes = datagram(1, 0);
        let elsewhere = SocketAddrV4::new(Ipv4Addr::new(10, 0, 0, 2), 4000);
        tally.take(&Received { source: elsewhere, ..message(&bytes) }, 0);
        tally.take(&Received { interface: IfIndex(3), ..message(&bytes) }, 0);
        tally.take(&Received { destination: Some(SOURCE), ..message(&bytes) }, 0);
        tally.take(&Received { interface: IfIndex(3), ..message(b"of another program") }, 0);
        tally.take(&message(&bytes), 0);
        let report = tally.report(None);
        assert_eq!((report.unwanted, report.foreign), (4, 0));
        assert_eq!((report.total, report.flows.len()), (1, 1));
    }

    #[test]
    fn a_train_counts_each_datagram() {
        let mut tally = tally(Filter::default());
        let train: Vec<u8> = (0..5).flat_map(|sequence| datagram(1, sequence)).collect();
        tally.take(&Received { segment: Some(100), ..message(&train) }, 0);
        let report = tally.report(Some(5));
        assert_eq!((report.total, report.gro_trains, report.lost), (5, 1, 0));
        assert!(report.is_clean());
    }

    #[test]
    fn the_table_of_flows_is_bounded() {
        let mut tally = tally(Filter::default());
        for stream in 0..MAX_FLOWS as u32 + 3 {
            tally.take(&message(&datagram(stream, 0)), 0);
            tally.take(&message(&datagram(stream, 1)), 0);
        }
        let report = tally.report(None);
        assert_eq!(report.flows.len(), MAX_FLOWS);
        assert_eq!((report.overflow_flows, report.overflow_datagrams), (3, 6));
        assert!(!report.is_clean(), "nobody checked the flows beyond the table");
    }
}
