//! What `mcrgen` says at the end. The JSON form has the fields below with camelCase keys; the text
//! form is for people and may change.

use hdrhistogram::Histogram;
use serde::Serialize;
use std::fmt;
use std::net::Ipv4Addr;

/// The report of `mcrgen send`.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SendReport {
    /// Datagrams that the kernel took.
    pub sent: u64,
    /// Their UDP payload.
    pub bytes: u64,
    /// Datagrams that the kernel refused; they used up no sequence number.
    pub errors: u64,
    /// The last refusal, in words; null without one.
    pub last_error: Option<String>,
    /// Datagrams of super-datagrams that the kernel answered with ENOBUFS: some of them may have
    /// gone. They are not in `sent`, but they used up sequence numbers.
    pub uncertain: u64,
    /// Attempts that were repeated as a queue or buffer was full (EAGAIN, ENOBUFS).
    pub retries: u64,
    /// ICMP errors that came back to the socket, such as "port unreachable".
    pub icmp_errors: u64,
    /// Super-datagrams of two and more datagrams handed to the kernel (UDP_SEGMENT).
    pub super_datagrams: u64,
    /// Seconds from the first to the last attempt.
    pub elapsed_seconds: f64,
    /// `sent` per second; 0 for fewer than two datagrams.
    pub rate: f64,
    /// The destinations, in order of `index`.
    pub groups: Vec<GroupReport>,
}

/// One destination of `mcrgen send`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct GroupReport {
    /// Destination address.
    pub group: Ipv4Addr,
    /// Index in the datagrams.
    pub index: u32,
    /// Datagrams that the kernel took.
    pub sent: u64,
}

/// The report of `mcrgen recv`.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RecvReport {
    /// Test datagrams received, doubled and corrupted ones included.
    pub total: u64,
    /// Their UDP payload.
    pub bytes: u64,
    /// Different intact datagrams: `total` without doubled, corrupted, late and overflow ones.
    pub unique: u64,
    /// `--expect`, null without.
    pub expected: Option<u64>,
    /// With `--expect`, `expected` − `unique`; else the sum of the flows' `lost`. A datagram that
    /// came corrupted counts here, too.
    pub lost: u64,
    /// Intact datagrams whose sequence number had come before.
    pub duplicated: u64,
    /// Intact datagrams that came for the first time after one with a larger sequence number
    /// (Type-P-Reordered of RFC 4737).
    pub reordered: u64,
    /// Datagrams more than 65,536 sequence numbers behind: in `reordered`, in neither `unique` nor
    /// `duplicated`.
    pub late: u64,
    /// Datagrams of a sender of ours with damaged magic, version, length or checksum.
    pub corrupted: u64,
    /// Datagrams that were asked for but are no test datagrams.
    pub foreign: u64,
    /// Datagrams to a group, from a source or on an interface that was not asked for.
    pub unwanted: u64,
    /// Datagrams that the kernel dropped at our own socket, as its buffer was full or their UDP
    /// checksum wrong. Loss beyond this happened before the receiver.
    pub socket_dropped: u64,
    /// The size of the receive buffer.
    pub receive_buffer: ReceiveBuffer,
    /// Trains of two and more datagrams that the kernel handed over at once (`--gro`).
    pub gro_trains: u64,
    /// Seconds from the first to the last datagram of `total`.
    pub elapsed_seconds: f64,
    /// `total` per second; 0 for fewer than two datagrams.
    pub rate: f64,
    /// From the send time in the datagram to the arrival in the receiving kernel; null where no
    /// datagram was intact. One clock is assumed.
    pub latency_microseconds: Option<Latency>,
    /// Flows, sorted by group and source; at most 4096.
    pub flows: Vec<FlowReport>,
    /// Flows beyond those, of which nothing but `overflowDatagrams` is known; at most 65,536.
    pub overflow_flows: u64,
    /// Datagrams of flows beyond the table.
    pub overflow_datagrams: u64,
}

/// The size of a receive buffer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ReceiveBuffer {
    /// Bytes asked for.
    pub requested: usize,
    /// Bytes as the kernel counts them: twice the request where it was granted, as the kernel's
    /// own overhead for each packet counts, too.
    pub granted: usize,
    /// True where the limit net.core.rmem_max was overridden (SO_RCVBUFFORCE, CAP_NET_ADMIN).
    pub forced: bool,
}

/// Percentiles of latency, microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Latency {
    /// Half of the datagrams were no slower.
    pub p50: f64,
    /// 90 % were no slower.
    pub p90: f64,
    /// 99 % were no slower.
    pub p99: f64,
    /// 99.9 % were no slower.
    pub p999: f64,
    /// The slowest; a minute at most.
    pub max: f64,
}

/// One flow: a source's datagrams of one stream and index to one address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FlowReport {
    /// Source address of the IP header.
    pub source_address: Ipv4Addr,
    /// Source port.
    pub source_port: u16,
    /// Destination address of the IP header.
    pub group: Ipv4Addr,
    /// Stream id of the sender.
    pub stream_id: u32,
    /// Index of the sender's group.
    pub index: u32,
    /// Intact datagrams.
    pub received: u64,
    /// Sequence numbers missing between `firstSequence` and `lastSequence`.
    pub lost: u64,
    /// As in the whole report.
    pub duplicated: u64,
    /// As in the whole report.
    pub reordered: u64,
    /// As in the whole report.
    pub late: u64,
    /// Corrupted datagrams whose header still names this flow.
    pub corrupted: u64,
    /// The smallest sequence number, late ones left out.
    pub first_sequence: u64,
    /// The largest sequence number.
    pub last_sequence: u64,
}

impl RecvReport {
    /// True where something came and all of it as it should: nothing lost, doubled, reordered or
    /// corrupted, and every flow was tracked.
    pub fn is_clean(&self) -> bool {
        let bad =
            [self.lost, self.duplicated, self.reordered, self.corrupted, self.overflow_datagrams];
        self.total > 0 && bad == [0; 5]
    }
}

impl Latency {
    /// Percentiles of a histogram of nanoseconds; `None` where it is empty.
    pub fn from_nanos(histogram: &Histogram<u64>) -> Option<Self> {
        let at = |quantile| histogram.value_at_quantile(quantile) as f64 / 1000.0;
        (!histogram.is_empty()).then(|| Self {
            p50: at(0.5),
            p90: at(0.9),
            p99: at(0.99),
            p999: at(0.999),
            max: histogram.max() as f64 / 1000.0,
        })
    }
}

/// Datagrams per second; 0 where no time passed.
pub(crate) fn rate(datagrams: u64, seconds: f64) -> f64 {
    if seconds > 0.0 { datagrams as f64 / seconds } else { 0.0 }
}

/// Destinations and flows that the text form shows at most.
const TEXT_ROWS: usize = 20;

impl fmt::Display for SendReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "sent {} datagrams, {} bytes of payload, in {:.3} s ({:.0} datagrams/s)",
            self.sent, self.bytes, self.elapsed_seconds, self.rate
        )?;
        writeln!(
            f,
            "errors {}  uncertain {}  retries {}  ICMP errors {}  super-datagrams {}",
            self.errors, self.uncertain, self.retries, self.icmp_errors, self.super_datagrams
        )?;
        if let Some(error) = &self.last_error {
            writeln!(f, "last error: {error}")?;
        }
        for group in self.groups.iter().take(TEXT_ROWS) {
            writeln!(f, "  {:<15}  sent {}", group.group, group.sent)?;
        }
        and_more(f, self.groups.len())
    }
}

impl fmt::Display for RecvReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "received {} datagrams, {} bytes of payload, in {:.3} s ({:.0} datagrams/s)",
            self.total, self.bytes, self.elapsed_seconds, self.rate
        )?;
        writeln!(
            f,
            "lost {}  duplicated {}  reordered {}  late {}  corrupted {}",
            self.lost, self.duplicated, self.reordered, self.late, self.corrupted
        )?;
        writeln!(
            f,
            "foreign {}  unwanted {}  dropped at this socket {}  GRO trains {}",
            self.foreign, self.unwanted, self.socket_dropped, self.gro_trains
        )?;
        let buffer = self.receive_buffer;
        writeln!(
            f,
            "receive buffer {} bytes asked for, {} granted as the kernel counts (it doubles the request)",
            buffer.requested, buffer.granted
        )?;
        if let Some(latency) = self.latency_microseconds {
            writeln!(
                f,
                "latency in microseconds: p50 {:.1}  p90 {:.1}  p99 {:.1}  p99.9 {:.1}  max {:.1}",
                latency.p50, latency.p90, latency.p99, latency.p999, latency.max
            )?;
        }
        for flow in self.flows.iter().take(TEXT_ROWS) {
            writeln!(
                f,
                "  {}:{} -> {} stream {} index {}: received {}  lost {}  duplicated {}  reordered {}  \
                 corrupted {}",
                flow.source_address,
                flow.source_port,
                flow.group,
                flow.stream_id,
                flow.index,
                flow.received,
                flow.lost,
                flow.duplicated,
                flow.reordered,
                flow.corrupted
            )?;
        }
        and_more(f, self.flows.len())?;
        if self.overflow_flows > 0 {
            writeln!(
                f,
                "  {} more flows with {} datagrams were not tracked",
                self.overflow_flows, self.overflow_datagrams
            )?;
        }
        Ok(())
    }
}

fn and_more(f: &mut fmt::Formatter<'_>, rows: usize) -> fmt::Result {
    match rows.checked_sub(TEXT_ROWS) {
        Some(more) if more > 0 => writeln!(f, "  and {more} more, see -o json"),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_json_keys_are_the_documented_ones() {
        let flow = FlowReport {
            source_address: Ipv4Addr::LOCALHOST,
            source_port: 1,
            group: Ipv4Addr::LOCALHOST,
            stream_id: 0,
            index: 0,
            received: 0,
            lost: 0,
            duplicated: 0,
            reordered: 0,
            late: 0,
            corrupted: 0,
            first_sequence: 0,
            last_sequence: 0,
        };
        let report = RecvReport { flows: vec![flow], ..RecvReport::default() };
        let json = serde_json::to_value(&report).expect("serialisable");
        for key in ["total", "lost", "socketDropped", "latencyMicroseconds", "overflowFlows"] {
            assert!(json.get(key).is_some(), "{key}");
        }
        assert_eq!(json["flows"][0]["sourceAddress"], "127.0.0.1");
        assert_eq!(json["flows"][0]["firstSequence"], 0);
        assert_eq!(json["receiveBuffer"]["granted"], 0);
    }

    #[test]
    fn each_fault_alone_makes_a_report_unclean() {
        let clean = RecvReport { total: 1, ..RecvReport::default() };
        assert!(clean.is_clean());
        assert!(!RecvReport::default().is_clean(), "nothing came");
        for spoil in [
            |report: &mut RecvReport| report.lost = 1,
            |report: &mut RecvReport| report.duplicated = 1,
            |report: &mut RecvReport| report.reordered = 1,
            |report: &mut RecvReport| report.corrupted = 1,
            |report: &mut RecvReport| report.overflow_datagrams = 1,
        ] {
            let mut report = clean.clone();
            spoil(&mut report);
            assert!(!report.is_clean(), "{report:?}");
        }
    }

    #[test]
    fn long_lists_are_cut_in_text() {
        let groups = (0..23)
            .map(|index| GroupReport { group: Ipv4Addr::LOCALHOST, index, sent: 1 })
            .collect();
        let text = SendReport { groups, ..SendReport::default() }.to_string();
        assert!(text.contains("and 3 more"), "{text}");
    }
}
