//! Do the counters add up? Each sum has two sides that were counted apart, where it happened;
//! nothing here is found by subtraction but the difference itself.

use super::ports::PortState;
use super::router::Router;
use crate::fib::counters::{OutputCounters, PortCounters};
use crate::types::DropStage;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What a sum is about.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum SumKind {
    /// Frames that the kernel delivered = those it dropped + those the worker took. What still waits
    /// in a socket is the difference.
    Kernel,
    /// Frames that the worker took = those that were whole + fragments that were joined + fragments
    /// that wait for others + each named drop.
    Frames,
    /// Datagrams = those that some rule matched + each named drop.
    Datagrams,
    /// Copies that outputs wanted = those sent + each named drop. What is under way to the kernel is
    /// the difference.
    Copies,
}

/// One sum with both its sides.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Sum {
    /// The worker; none = sockets that are closed by now, and workers that died.
    pub worker: Option<u32>,
    /// What is summed.
    pub kind: SumKind,
    /// The left side.
    pub total: u64,
    /// The right side, term by term; named drops that are zero are absent.
    pub terms: BTreeMap<String, u64>,
    /// The right side.
    pub accounted: u64,
    /// Left less right: positive where something is not accounted for, negative where it is accounted
    /// for twice.
    pub difference: i64,
    /// True where both sides are the same.
    pub closes: bool,
}

impl Sum {
    fn new(worker: Option<u32>, kind: SumKind, total: u64, terms: BTreeMap<String, u64>) -> Self {
        let accounted = terms.values().fold(0u64, |sum, term| sum.saturating_add(*term));
        let difference = i128::from(total) - i128::from(accounted);
        Self {
            worker,
            kind,
            total,
            terms,
            accounted,
            difference: i64::try_from(difference).unwrap_or(if difference < 0 {
                i64::MIN
            } else {
                i64::MAX
            }),
            closes: difference == 0,
        }
    }
}

/// All sums of one reading of the counters.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Ledger {
    /// True where every sum closes.
    pub closes: bool,
    /// By worker; what is closed or died comes last.
    pub sums: Vec<Sum>,
}

/// What the ports and outputs of one worker counted, all together.
#[derive(Clone, Debug, Default)]
struct Counted {
    kernel_received: u64,
    kernel_dropped: u64,
    ports: PortCounters,
    outputs: OutputCounters,
}

impl Counted {
    fn port(&mut self, counters: &PortCounters, (received, dropped): (u64, u64)) {
        self.kernel_received = self.kernel_received.saturating_add(received);
        self.kernel_dropped = self.kernel_dropped.saturating_add(dropped);
        self.ports.merge(counters);
    }

    fn outputs<'a>(&mut self, outputs: impl IntoIterator<Item = &'a OutputCounters>) {
        for output in outputs {
            self.outputs.wanted = self.outputs.wanted.saturating_add(output.wanted);
            self.outputs.sent = self.outputs.sent.saturating_add(output.sent);
            self.outputs.drops.merge(&output.drops);
        }
    }

    fn sums(&self, worker: Option<u32>) -> Vec<Sum> {
        let term = |name: &str, count: u64| BTreeMap::from([(name.to_owned(), count)]);
        let mut kernel = term("kernel_dropped", self.kernel_dropped);
        kernel.extend(term("taken", self.ports.frames));
        let (mut of_frames, mut of_datagrams) = (BTreeMap::new(), BTreeMap::new());
        for (reason, count) in self.ports.drops.iter() {
            let terms = match reason.stage() {
                DropStage::Port | DropStage::Frame => &mut of_frames,
                DropStage::Lookup | DropStage::Output => &mut of_datagrams,
            };
            terms.insert(reason.name().to_owned(), count);
        }
        of_datagrams.extend(term("matched", self.ports.matched));
        let mut of_copies = term("sent", self.outputs.sent);
        let drops = self.outputs.drops.iter();
        of_copies.extend(drops.map(|(reason, count)| (reason.name().to_owned(), count)));
        let mut sums = vec![Sum::new(worker, SumKind::Kernel, self.kernel_received, kernel)];
        for (name, count) in
            [("whole", self.ports.whole), ("joined", self.ports.joined), ("held", self.ports.held)]
        {
            of_frames.extend(term(name, count));
        }
        sums.push(Sum::new(worker, SumKind::Frames, self.ports.frames, of_frames));
        sums.push(Sum::new(worker, SumKind::Datagrams, self.ports.datagrams, of_datagrams));
        sums.push(Sum::new(worker, SumKind::Copies, self.outputs.wanted, of_copies));
        sums
    }
}

impl Ledger {
    fn of(counted: impl IntoIterator<Item = (Option<u32>, Counted)>) -> Self {
        let sums: Vec<Sum> =
            counted.into_iter().flat_map(|(worker, counted)| counted.sums(worker)).collect();
        Self { closes: sums.iter().all(|sum| sum.closes), sums }
    }
}

impl Router {
    /// The sums over all counters as they are known now.
    pub(super) fn ledger(&self) -> Ledger {
        let mut counted: BTreeMap<u32, Counted> = BTreeMap::new();
        for (number, worker) in (0u32..).zip(&self.workers) {
            counted.entry(number).or_default().outputs(&worker.slots.outputs);
        }
        for port in self.ports.iter().filter(|port| port.state == PortState::Open) {
            let counted = counted.entry(port.worker).or_default();
            counted.port(&port.counters, port.kernel_counters());
        }
        let mut ended = Counted::default();
        let closed = &self.ports.closed;
        ended.port(&closed.counters, (closed.received, closed.dropped));
        ended.outputs(&self.lost_slots.counters.outputs);
        let counted = counted.into_iter().map(|(number, counted)| (Some(number), counted));
        Ledger::of(counted.chain([(None, ended)]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::DropReason;

    /// 25 frames came, 1 was dropped by the kernel, 2 could not be decoded, 7 were fragments: 6 made
    /// two datagrams, 1 waits; 3 datagrams were not wanted; of 28 copies 4 were not sent.
    fn counted() -> Counted {
        let mut counted = Counted::default();
        let mut port = PortCounters {
            frames: 24,
            whole: 15,
            joined: 6,
            held: 1,
            datagrams: 17,
            matched: 14,
            ..Default::default()
        };
        port.drops.add(DropReason::IpChecksum, 2);
        port.drops.add(DropReason::NoRule, 2);
        port.drops.add(DropReason::OwnSource, 1);
        counted.port(&port, (25, 1));
        let mut output = OutputCounters { wanted: 28, sent: 24, ..Default::default() };
        output.drops.add(DropReason::SendBufferFull, 3);
        output.drops.add(DropReason::NoCarrier, 1);
        counted.outputs([&output]);
        counted
    }

    fn sum(ledger: &Ledger, kind: SumKind) -> &Sum {
        ledger.sums.iter().find(|sum| sum.kind == kind).expect("the sum")
    }

    #[test]
    fn counters_that_add_up_close() {
        let ledger = Ledger::of([(Some(0), counted()), (None, counted())]);
        assert!(ledger.closes, "{ledger:?}");
        assert_eq!(ledger.sums.len(), 8);
        let kernel = sum(&ledger, SumKind::Kernel);
        assert_eq!((kernel.worker, kernel.total, kernel.accounted), (Some(0), 25, 25));
        let terms = |kind| sum(&ledger, kind).terms.clone().into_iter().collect::<Vec<_>>();
        let named = |list: &[(&str, u64)]| {
            list.iter().map(|(name, n)| ((*name).to_owned(), *n)).collect::<Vec<_>>()
        };
        assert_eq!(
            terms(SumKind::Frames),
            named(&[("held", 1), ("ip_checksum", 2), ("joined", 6), ("whole", 15)])
        );
        assert_eq!(
            terms(SumKind::Datagrams),
            named(&[("matched", 14), ("no_rule", 2), ("own_source", 1)])
        );
        assert_eq!(
            terms(SumKind::Copies),
            named(&[("no_carrier", 1), ("send_buffer_full", 3), ("sent", 24)])
        );
    }

    #[test]
    fn what_does_not_add_up_is_told_with_the_difference_and_its_sign() {
        type Spoil = fn(&mut Counted);
        let cases: [(SumKind, i64, Spoil); 8] = [
            (SumKind::Frames, 1, |c| c.ports.whole -= 1),
            (SumKind::Frames, -2, |c| c.ports.joined += 2),
            (SumKind::Kernel, 5, |c| c.kernel_received += 5),
            (SumKind::Kernel, -1, |c| c.kernel_dropped += 1),
            (SumKind::Datagrams, 1, |c| c.ports.matched -= 1),
            (SumKind::Datagrams, -3, |c| c.ports.drops.add(DropReason::NoRule, 3)),
            (SumKind::Copies, 2, |c| c.outputs.wanted += 2),
            (SumKind::Copies, -7, |c| c.outputs.sent += 7),
        ];
        for (kind, difference, spoil) in cases {
            let mut spoilt = counted();
            spoil(&mut spoilt);
            let ledger = Ledger::of([(Some(3), counted()), (Some(4), spoilt)]);
            assert!(!ledger.closes);
            let wrong: Vec<_> = ledger.sums.iter().filter(|sum| !sum.closes).collect();
            assert_eq!(wrong.len(), 1, "{wrong:?}");
            assert_eq!(
                (wrong[0].worker, wrong[0].kind, wrong[0].difference),
                (Some(4), kind, difference)
            );
        }
        // A frame that is nowhere is missed twice: it was taken, and the kernel's sum has it.
        let mut lost = counted();
        lost.ports.frames += 1;
        let ledger = Ledger::of([(None, lost)]);
        assert_eq!(sum(&ledger, SumKind::Frames).difference, 1);
        assert_eq!(sum(&ledger, SumKind::Kernel).difference, -1);
    }

    #[test]
    fn no_number_is_too_large() {
        let mut counted = Counted { kernel_received: u64::MAX, ..Counted::default() };
        counted.port(&PortCounters::default(), (u64::MAX, 0));
        let ledger = Ledger::of([(None, counted)]);
        assert_eq!(sum(&ledger, SumKind::Kernel).difference, i64::MAX);
    }
}
