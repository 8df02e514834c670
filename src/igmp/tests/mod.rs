//! The router side on virtual time: what goes in is packets, what comes out is packets and receptions.

mod edges;
mod limits;
mod members;
mod querier;
mod random;

use super::packet::{
    Message, QueryToSend, RecordKind, RecordToSend, decode, encode_leave, encode_query,
    encode_report_v1, encode_report_v2, encode_reports_v3,
};
use super::{Counters, Igmp, IgmpNotice, Interface};
use crate::types::{IfIndex, IgmpSettings, IgmpVersion, Reception, Time};
use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::time::Duration;

const LINK: IfIndex = IfIndex(7);
const GROUP: Ipv4Addr = Ipv4Addr::new(239, 1, 1, 1);
const OURS: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 5);
const HOST: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 50);

/// A query of ours as it was on the wire.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Asked {
    at: Duration,
    group: Option<Ipv4Addr>,
    suppress: bool,
    sources: Vec<Ipv4Addr>,
}

/// One link with its time.
struct Wire {
    igmp: Igmp,
    now: Time,
    began: Time,
    asked: Vec<Asked>,
    packets: Vec<Vec<u8>>,
    notices: Vec<IgmpNotice>,
}

fn s(n: u8) -> Ipv4Addr {
    Ipv4Addr::new(192, 0, 2, n)
}

fn list(sources: &[Ipv4Addr]) -> BTreeSet<Ipv4Addr> {
    sources.iter().copied().collect()
}

fn including(sources: &[Ipv4Addr]) -> Option<Reception> {
    Some(Reception::Include(list(sources)))
}

fn excluding(sources: &[Ipv4Addr]) -> Option<Reception> {
    Some(Reception::Exclude(list(sources)))
}

fn secs(n: f64) -> Duration {
    Duration::from_secs_f64(n)
}

fn interface(settings: IgmpSettings) -> Interface {
    let addresses = vec!["10.0.0.5/24".parse().expect("a prefix")];
    Interface { settings, addresses, mtu: 1500 }
}

impl Wire {
    fn new(settings: IgmpSettings) -> Self {
        Self::on(interface(settings))
    }

    fn on(interface: Interface) -> Self {
        let began = Time(1_000_000_000_000);
        let mut igmp = Igmp::default();
        igmp.configure(began, LINK, Some(interface));
        let (asked, packets, notices) = (Vec::new(), Vec::new(), Vec::new());
        let mut wire = Self { igmp, now: began, began, asked, packets, notices };
        wire.collect();
        wire
    }

    /// After the start-up burst, with nothing noted.
    fn settled(settings: IgmpSettings) -> Self {
        let mut wire = Self::new(settings);
        wire.pass(secs(200.0));
        wire.asked.clear();
        wire.packets.clear();
        wire.began = wire.now;
        wire
    }

    fn collect(&mut self) {
        while let Some(transmit) = self.igmp.poll_transmit() {
            assert_eq!(transmit.index, LINK);
            let received = decode(&transmit.packet).expect("ours are valid");
            let Message::Query(query) = received.message else { panic!("{received:?}") };
            self.asked.push(Asked {
                at: self.now.since(self.began),
                group: query.group,
                suppress: query.suppress,
                sources: query.sources.iter().collect(),
            });
            self.packets.push(transmit.packet);
        }
        while let Some(notice) = self.igmp.poll_notice() {
            self.notices.push(notice);
        }
    }

    /// Lets time go by, with all that is due in it.
    fn pass(&mut self, time: Duration) {
        let end = self.now.plus(time);
        while let Some(at) = self.igmp.next_timeout().filter(|at| *at <= end) {
            assert!(at >= self.now, "time goes on");
            self.now = self.now.max(at);
            self.igmp.handle_timeout(self.now);
            assert!(self.igmp.next_timeout().is_none_or(|next| next > self.now), "it is done");
            self.collect();
        }
        self.now = end;
    }

    fn hear(&mut self, packet: &[u8]) {
        self.igmp.handle_packet(self.now, LINK, packet);
        self.collect();
    }

    fn report(&mut self, host: Ipv4Addr, kind: RecordKind, group: Ipv4Addr, sources: &[Ipv4Addr]) {
        let record = RecordToSend { kind, group, sources };
        for packet in encode_reports_v3(host, &[record], 9000) {
            self.hear(&packet);
        }
    }

    fn report_v1(&mut self, group: Ipv4Addr) {
        self.hear(&encode_report_v1(HOST, group));
    }

    fn report_v2(&mut self, group: Ipv4Addr) {
        self.hear(&encode_report_v2(HOST, group));
    }

    fn leave(&mut self, group: Ipv4Addr) {
        self.hear(&encode_leave(HOST, group));
    }

    fn query(
        &mut self,
        source: Ipv4Addr,
        group: Option<Ipv4Addr>,
        suppress: bool,
        sources: &[Ipv4Addr],
    ) {
        self.hear(&encode_query(source, &QueryToSend { sources, ..other(group, suppress) }));
    }

    fn wanted(&self) -> Option<Reception> {
        self.igmp.reception(LINK, GROUP)
    }

    fn is_querier(&self) -> bool {
        self.igmp.view(LINK).expect("it runs").is_querier
    }

    fn drops(&self, reason: &str) -> u64 {
        self.counters().drops.get(reason).copied().unwrap_or(0)
    }

    fn counters(&self) -> &Counters {
        self.igmp.counters(LINK).expect("it runs")
    }

    /// When queries about groups went out, with their S flag.
    fn about_groups(&self) -> Vec<(f64, bool, Vec<Ipv4Addr>)> {
        let of_groups = self.asked.iter().filter(|asked| asked.group.is_some());
        of_groups.map(|a| (a.at.as_secs_f64(), a.suppress, a.sources.clone())).collect()
    }

    fn general(&self) -> Vec<f64> {
        let general = self.asked.iter().filter(|asked| asked.group.is_none());
        general.map(|asked| asked.at.as_secs_f64()).collect()
    }
}

/// A query of another router: robustness 3, interval 60 s, maximum response time 8 s.
fn other(group: Option<Ipv4Addr>, suppress: bool) -> QueryToSend<'static> {
    QueryToSend {
        version: IgmpVersion::V3,
        group,
        max_response: if group.is_some() { secs(1.0) } else { secs(8.0) },
        suppress,
        robustness: 3,
        interval: secs(60.0),
        sources: &[],
    }
}
