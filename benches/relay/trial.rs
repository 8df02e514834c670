//! One trial: traffic for a while, everything that arrives checked, everybody's run time counted.

use super::arrivals::Arrivals;
use super::cpu::{self, Meter};
use super::frames::Flows;
use super::generator::{Sent, Traffic};
use super::network::{GROUP, Ingress, Network, PORT, SOURCE};
use super::search::Probe;
use super::sink::Sink;
use super::systems::Running;
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// The laboratory with its instruments.
pub(crate) struct Bench {
    pub(crate) network: Network,
    pub(crate) meter: Meter,
    pub(crate) sink: Sink,
}

/// Flows of the usual group and port.
pub(crate) const fn flows(count: u32) -> Flows {
    Flows { source: SOURCE, group: GROUP, port: PORT, count }
}

/// What a trial showed.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Trial {
    /// Datagrams a second that were asked for.
    pub(crate) asked_rate: f64,
    /// Datagrams a second that were sent.
    pub(crate) sent_rate: f64,
    /// Datagrams that were sent.
    pub(crate) sent: u64,
    /// Datagrams that the sender's kernel did not take, or the ring of the relay's input: they
    /// never got on their way.
    pub(crate) refused: u64,
    /// Copies that should have arrived.
    pub(crate) wanted: u64,
    /// Copies that did not arrive.
    pub(crate) lost: u64,
    /// The most that one output lost.
    pub(crate) lost_worst_output: u64,
    /// Copies that came again.
    pub(crate) duplicated: u64,
    /// Copies that came after later ones.
    pub(crate) reordered: u64,
    /// Copies of another size than was sent.
    pub(crate) wrong_size: u64,
    /// What was none of ours.
    pub(crate) foreign: u64,
    /// Frames that came out, and those of them with several datagrams.
    pub(crate) frames: u64,
    /// Frames with several datagrams.
    pub(crate) super_frames: u64,
    /// Datagrams of the longest frame.
    pub(crate) longest_frame: u64,
    /// The most datagrams that arrived within 100 us at the first output.
    pub(crate) most_in_window: u64,
    /// Frames that the sink itself missed: then the losses say nothing.
    pub(crate) sink_missed: u64,
    /// Run times, nanoseconds. Of the generator without what follows.
    pub(crate) generator_cpu: u64,
    /// Its run time in which it only waited for the next burst to be due, nanoseconds.
    pub(crate) generator_idle: u64,
    /// Run time of the relay's threads, nanoseconds.
    pub(crate) relay_cpu: u64,
    /// The part of it while it was sent: the rest is what was queued.
    pub(crate) relay_cpu_sending: u64,
    /// Run time of the kernel's softirq threads, nanoseconds.
    pub(crate) softirqd_cpu: u64,
    /// Run time of the sink, nanoseconds; it is not counted as anybody's.
    pub(crate) sink_cpu: u64,
    /// Seconds of sending.
    pub(crate) seconds: f64,
    /// The share of each CPU that was busy, with whatever else ran on the machine.
    pub(crate) busy: Vec<f64>,
    /// From the sender's clock to the arrival at a tap, microseconds: p50, p99, p99.9, the most.
    pub(crate) latency_us: [f64; 4],
}

impl Trial {
    /// Lost, as a share of what should have arrived.
    pub(crate) fn loss(&self) -> f64 {
        if self.wanted == 0 { 1.0 } else { self.lost as f64 / self.wanted as f64 }
    }

    /// Run time of all that a datagram passes, nanoseconds for each datagram sent.
    pub(crate) fn cpu_per_datagram(&self) -> f64 {
        let all = self.generator_cpu + self.relay_cpu + self.softirqd_cpu;
        all as f64 / self.sent.max(1) as f64
    }

    /// The generator's share of its CPU.
    pub(crate) fn generator_share(&self) -> f64 {
        cpu::share(self.generator_cpu, Duration::from_secs_f64(self.seconds))
    }

    /// The trial as a step of a search.
    pub(crate) fn probe(&self) -> Probe {
        let sender_at_end = self.generator_share() >= AT_END || self.refused > 0;
        Probe { sent_rate: self.sent_rate, loss: self.loss(), sender_at_end }
    }

    /// The relay's share of a CPU, of all its processes together.
    pub(crate) fn relay_share(&self) -> f64 {
        cpu::share(self.relay_cpu_sending, Duration::from_secs_f64(self.seconds))
    }

    /// What others used, in CPUs: what was busy less what is accounted for.
    pub(crate) fn foreign_share(&self) -> f64 {
        let known = self.generator_cpu + self.generator_idle;
        let known = known + self.relay_cpu_sending + self.softirqd_cpu + self.sink_cpu;
        let known = cpu::share(known, Duration::from_secs_f64(self.seconds));
        self.busy.iter().sum::<f64>() - known
    }

    /// Anything that must never be: doubled, out of order, of a wrong size.
    pub(crate) fn faults(&self) -> u64 {
        self.duplicated + self.reordered + self.wrong_size
    }
}

/// From this share of its CPU on, the sender cannot send faster.
const AT_END: f64 = 0.85;

/// Traffic of the usual flows.
pub(crate) fn traffic(ingress: Ingress, flow_count: u32, rate: f64, duration: Duration) -> Traffic {
    Traffic { ingress, flows: flows(flow_count), size: SIZE, rate, duration, burst: None }
}

/// Bytes of a payload: an MPEG transport stream over RTP is about as long.
pub(crate) const SIZE: usize = 1400;

impl Bench {
    /// With so many outputs.
    pub(crate) fn new(outputs: u32) -> Self {
        let network = Network::new(outputs);
        let sink = Sink::open(&network);
        Self { network, meter: Meter::new(), sink }
    }

    /// Sends and checks what comes at the first `outputs` outputs.
    pub(crate) fn trial(
        &mut self,
        traffic: &Traffic,
        outputs: u32,
        running: Option<&Running>,
    ) -> Trial {
        let receivers = self.network.receivers(outputs);
        let (sink, network, meter) = (&mut self.sink, &self.network, &self.meter);
        measure(network, meter, sink, &receivers, traffic, running, || {})
    }

    /// The same, with something that happens while it is sent.
    pub(crate) fn trial_beside(
        &mut self,
        traffic: &Traffic,
        outputs: u32,
        running: &Running,
        beside: impl FnOnce() + Send,
    ) -> Trial {
        let receivers = self.network.receivers(outputs);
        let (sink, network, meter) = (&mut self.sink, &self.network, &self.meter);
        measure(network, meter, sink, &receivers, traffic, Some(running), beside)
    }

    /// The way to the relay's input alone, without any relay.
    pub(crate) fn direct(&self, traffic: &Traffic) -> Trial {
        let (mut sink, receivers) = Sink::at_input(&self.network);
        measure(&self.network, &self.meter, &mut sink, &receivers, traffic, None, || {})
    }
}

fn measure(
    network: &Network,
    meter: &Meter,
    sink: &mut Sink,
    receivers: &BTreeMap<u32, usize>,
    traffic: &Traffic,
    running: Option<&Running>,
    beside: impl FnOnce() + Send,
) -> Trial {
    sink.clear();
    let over = AtomicBool::new(false);
    let relay = || running.map_or(0, Running::cpu);
    let (relay_before, before) = (relay(), meter.read());
    let (sent, relay_sending, after, arrivals) = std::thread::scope(|scope| {
        let watch = scope.spawn(|| sink.watch(receivers, traffic.flows.count, traffic.size, &over));
        let beside = scope.spawn(beside);
        let sent = traffic.send(network, || false);
        let relay_sending = relay() - relay_before;
        let after = meter.read();
        beside.join().expect("what happened beside it");
        over.store(true, Ordering::Release);
        (sent, relay_sending, after, watch.join().expect("the sink"))
    });
    let relay_cpu = relay() - relay_before;
    let softirqd_cpu = meter.read().softirqd - before.softirqd;
    let cpus = Cpus { relay_cpu, relay_sending, softirqd_cpu, busy: after.busy_since(&before) };
    summary(traffic, receivers.len(), &sent, &arrivals, cpus)
}

struct Cpus {
    relay_cpu: u64,
    relay_sending: u64,
    softirqd_cpu: u64,
    busy: Vec<f64>,
}

fn summary(
    traffic: &Traffic,
    outputs: usize,
    sent: &Sent,
    arrivals: &Arrivals,
    cpus: Cpus,
) -> Trial {
    let lost = |output: usize| -> u64 {
        let arrived: u64 = arrivals.output(output).iter().map(|tally| tally.unique).sum();
        sent.total().saturating_sub(arrived)
    };
    let losses: Vec<u64> = (0..outputs).map(lost).collect();
    let seconds = Duration::from_nanos(sent.elapsed).as_secs_f64();
    let microseconds = |value: u64| value as f64 / 1000.0;
    let latency = &arrivals.latency;
    let quantile = |quantile| microseconds(latency.value_at_quantile(quantile));
    Trial {
        asked_rate: traffic.rate,
        sent_rate: sent.total() as f64 / seconds,
        sent: sent.total(),
        refused: sent.refused,
        wanted: sent.total() * outputs as u64,
        lost: losses.iter().sum(),
        lost_worst_output: losses.iter().copied().max().unwrap_or(0),
        duplicated: arrivals.tallies.iter().map(|tally| tally.duplicated).sum(),
        reordered: arrivals.tallies.iter().map(|tally| tally.reordered).sum(),
        wrong_size: arrivals.wrong_size,
        foreign: arrivals.foreign,
        frames: arrivals.frames,
        super_frames: arrivals.super_frames,
        longest_frame: arrivals.longest_frame,
        most_in_window: arrivals.window.most,
        sink_missed: arrivals.missed,
        generator_cpu: sent.cpu,
        generator_idle: sent.idle,
        relay_cpu: cpus.relay_cpu,
        relay_cpu_sending: cpus.relay_sending,
        softirqd_cpu: cpus.softirqd_cpu,
        sink_cpu: arrivals.cpu,
        seconds,
        busy: cpus.busy,
        latency_us: [quantile(0.5), quantile(0.99), quantile(0.999), microseconds(latency.max())],
    }
}
