//! `mcrgen send`: trains of numbered datagrams on a schedule.

use crate::traffic::args::SendArgs;
use crate::traffic::error::TrafficError;
use crate::traffic::interface;
use crate::traffic::pace::Pacer;
use crate::traffic::payload::{self, Header, MAX_LEN, SplitMix64};
use crate::traffic::plan::SendPlan;
use crate::traffic::report::{GroupReport, SendReport, rate};
use crate::traffic::stop::StopSignal;
use nix::errno::Errno;
use nix::sys::socket::{
    ControlMessage, MsgFlags, SockaddrIn, sendmsg, sendto, setsockopt, sockopt,
};
use socket2::{Domain, Protocol, Socket, Type};
use std::io::{self, IoSlice};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant, SystemTime};

/// How long a full queue is retried for one datagram before it counts as an error.
const RETRY_FOR: Duration = Duration::from_secs(1);

/// Pause before a retry; also after an error, so that a lasting one does not burn a processor.
const RETRY_PAUSE: Duration = Duration::from_micros(100);

/// Trains between two looks for a signal where no pause does it.
const SIGNAL_CHECK_EVERY: u64 = 256;

/// A sender whose socket is open.
pub struct Sender {
    args: SendArgs,
    plan: SendPlan,
    wire: Wire,
    random: SplitMix64,
    /// Datagrams tried, whatever became of them.
    attempted: u64,
    trains: u64,
    /// Next sequence number of each group.
    sequences: Vec<u64>,
    report: SendReport,
    buffer: Vec<u8>,
}

/// What became of one hand-over to the kernel.
enum Outcome {
    Taken,
    Refused(Errno),
    /// Some of a super-datagram may have gone.
    Uncertain,
    /// A signal came while a full queue was waited for.
    Interrupted,
}

impl Sender {
    /// Checks the arguments and opens the socket.
    ///
    /// # Errors
    /// Arguments that make no sense, or a refusal by the kernel.
    pub fn open(args: &SendArgs) -> Result<Self, TrafficError> {
        let plan = SendPlan::new(args)?;
        let groups = plan.groups.iter().zip(0..);
        let report = SendReport {
            groups: groups
                .map(|(group, index)| GroupReport { group: *group, index, sent: 0 })
                .collect(),
            ..SendReport::default()
        };
        Ok(Self {
            wire: Wire::open(args)?,
            random: SplitMix64::new(args.seed),
            attempted: 0,
            trains: 0,
            sequences: vec![0; plan.groups.len()],
            report,
            buffer: vec![0; MAX_LEN],
            args: args.clone(),
            plan,
        })
    }

    /// Sends until the count, the duration or a signal says stop.
    ///
    /// # Errors
    /// Where waiting fails; what fails to be sent is counted instead.
    pub fn run(mut self, stop: &StopSignal) -> Result<SendReport, TrafficError> {
        let started = Instant::now();
        let mut pacer = Pacer::new(self.args.rate, self.args.burst);
        let mut last_attempt = Duration::ZERO;
        while self.remaining() > 0 {
            let now = started.elapsed();
            let left = self.args.duration.map(|duration| duration.saturating_sub(now));
            if left.is_some_and(|left| left.is_zero()) {
                break;
            }
            if let Some(wait) = pacer.wait(now) {
                let wait = left.map_or(wait, |left| left.min(wait));
                if pause(stop, wait)? {
                    break;
                }
                continue;
            }
            if self.trains.is_multiple_of(SIGNAL_CHECK_EVERY) && stop.is_raised() {
                break;
            }
            last_attempt = now;
            let before = self.attempted;
            let interrupted = self.send_train(stop)?;
            pacer.sent(self.attempted - before);
            if interrupted {
                break;
            }
        }
        self.report.retries = self.wire.retries;
        self.report.icmp_errors = self.wire.icmp_errors;
        self.report.elapsed_seconds = last_attempt.as_secs_f64();
        self.report.rate = rate(self.report.sent, self.report.elapsed_seconds);
        Ok(self.report)
    }

    fn remaining(&self) -> u64 {
        self.args.count.map_or(u64::MAX, |count| count.saturating_sub(self.attempted))
    }

    /// Sends the next train, to the next group. True where a signal ended it.
    fn send_train(&mut self, stop: &StopSignal) -> Result<bool, TrafficError> {
        let size = self.random.between(self.plan.size.min, self.plan.size.max);
        let length = self.random.between(self.plan.train.min, self.plan.train.max);
        let length = length.min(usize::try_from(self.remaining()).unwrap_or(usize::MAX));
        let group = (self.trains % self.plan.groups.len() as u64) as usize;
        self.trains += 1;
        if self.args.gso {
            let length = length.min(MAX_LEN / size);
            return self.hand_over(group, size, length, stop);
        }
        for _ in 0..length {
            if self.hand_over(group, size, 1, stop)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Hands `length` datagrams to the kernel in one call. True where a signal ended it.
    fn hand_over(
        &mut self,
        group: usize,
        size: usize,
        length: usize,
        stop: &StopSignal,
    ) -> Result<bool, TrafficError> {
        let bytes = &mut self.buffer[..size * length];
        let first = self.sequences[group];
        let sent_at = realtime_ns();
        for (datagram, sequence) in bytes.chunks_exact_mut(size).zip(first..) {
            let index = self.report.groups[group].index;
            let header = Header { stream: self.args.stream_id, index, sequence, sent_at };
            payload::encode(&header, self.args.seed, datagram)
                .map_err(|error| TrafficError::Usage(error.to_string()))?;
        }
        let count = length as u64;
        let to = SocketAddrV4::new(self.plan.groups[group], self.args.port);
        let segment = (length > 1).then_some(size as u16);
        match self.wire.hand_over(bytes, segment, to, stop)? {
            Outcome::Interrupted => return Ok(true),
            Outcome::Taken => {
                self.sequences[group] += count;
                self.report.sent += count;
                self.report.bytes += bytes.len() as u64;
                self.report.groups[group].sent += count;
                self.report.super_datagrams += u64::from(length > 1);
            }
            Outcome::Uncertain => {
                self.sequences[group] += count;
                self.report.uncertain += count;
            }
            Outcome::Refused(errno) => {
                self.report.errors += count;
                self.report.last_error = Some(explain(errno, size, segment.is_some(), to));
            }
        }
        self.attempted += count;
        Ok(false)
    }
}

/// The socket, and what it had to say besides yes and no.
struct Wire {
    socket: Socket,
    retries: u64,
    icmp_errors: u64,
}

impl Wire {
    fn open(args: &SendArgs) -> Result<Self, TrafficError> {
        let refused = |what: String| move |error: io::Error| TrafficError::system(what, error);
        let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP))
            .map_err(refused("cannot open a UDP socket".to_owned()))?;
        let interface = args.interface.as_ref().map(interface::find).transpose()?;
        if let Some(interface) = &interface {
            socket
                .bind_device(Some(interface.name.as_str().as_bytes()))
                .map_err(refused(format!("cannot send by interface \"{}\"", interface.name)))?;
        }
        let own = args.source_address.or(interface.and_then(|interface| interface.address));
        let own =
            SocketAddrV4::new(own.unwrap_or(Ipv4Addr::UNSPECIFIED), args.source_port.unwrap_or(0));
        socket.bind(&own.into()).map_err(refused(format!("cannot send from {own}")))?;
        if let Some(ttl) = args.ttl {
            socket
                .set_multicast_ttl_v4(u32::from(ttl))
                .and_then(|()| socket.set_ttl_v4(u32::from(ttl)))
                .map_err(refused(format!("cannot set the TTL to {ttl}")))?;
        }
        socket
            .set_multicast_loop_v4(args.multicast_loop)
            .map_err(refused("cannot set IP_MULTICAST_LOOP".to_owned()))?;
        // Without IP_RECVERR the kernel answers "sent" for what its own queue just dropped.
        setsockopt(&socket, sockopt::Ipv4RecvErr, &true)
            .map_err(|errno| TrafficError::system("cannot set IP_RECVERR", errno.into()))?;
        socket
            .set_nonblocking(true)
            .map_err(refused("cannot set the socket non-blocking".to_owned()))?;
        Ok(Self { socket, retries: 0, icmp_errors: 0 })
    }

    /// Gives the kernel one datagram, or a train of datagrams of `segment` bytes.
    fn hand_over(
        &mut self,
        bytes: &[u8],
        segment: Option<u16>,
        to: SocketAddrV4,
        stop: &StopSignal,
    ) -> Result<Outcome, TrafficError> {
        let to = SockaddrIn::from(to);
        let mut give_up_at = None;
        let mut reported = None;
        loop {
            let errno = match self.send_once(bytes, segment, &to) {
                Ok(_) => {
                    self.icmp_errors += u64::from(reported.is_some());
                    return Ok(Outcome::Taken);
                }
                Err(errno) => errno,
            };
            match errno {
                Errno::EINTR => continue,
                // Segments of a train are queued one by one where the device does not take it
                // whole: trying again would double those that went.
                Errno::ENOBUFS if segment.is_some() => {
                    let signal = pause(stop, RETRY_PAUSE)?;
                    return Ok(if signal { Outcome::Interrupted } else { Outcome::Uncertain });
                }
                Errno::EAGAIN | Errno::ENOBUFS => {
                    let now = Instant::now();
                    if now >= *give_up_at.get_or_insert(now + RETRY_FOR) {
                        return Ok(Outcome::Refused(errno));
                    }
                    self.retries += 1;
                    if pause(stop, RETRY_PAUSE)? {
                        return Ok(Outcome::Interrupted);
                    }
                }
                // An ICMP error for an earlier datagram is told to the next call, once.
                Errno::ECONNREFUSED | Errno::EHOSTUNREACH | Errno::ENETUNREACH | Errno::EPROTO
                    if reported.is_none() =>
                {
                    reported = Some(errno);
                }
                _ => {
                    let signal = pause(stop, RETRY_PAUSE)?;
                    return Ok(if signal { Outcome::Interrupted } else { Outcome::Refused(errno) });
                }
            }
        }
    }

    fn send_once(&self, bytes: &[u8], segment: Option<u16>, to: &SockaddrIn) -> nix::Result<usize> {
        let socket = self.socket.as_raw_fd();
        match segment {
            None => sendto(socket, bytes, to, MsgFlags::empty()),
            Some(segment) => {
                let control = [ControlMessage::UdpGsoSegments(&segment)];
                sendmsg(socket, &[IoSlice::new(bytes)], &control, MsgFlags::empty(), Some(to))
            }
        }
    }
}

fn pause(stop: &StopSignal, time: Duration) -> Result<bool, TrafficError> {
    stop.wait(None, Some(time)).map_err(|error| TrafficError::system("cannot wait", error))
}

/// The refusal in words, with the likely cause where there is one.
fn explain(errno: Errno, size: usize, train: bool, to: SocketAddrV4) -> String {
    let hint = match errno {
        Errno::EMSGSIZE | Errno::EINVAL if train => {
            format!("; with --gso each datagram must fit the MTU of the interface, size is {size}")
        }
        Errno::EIO if train => {
            "; the interface has no transmit checksum offload, which UDP_SEGMENT needs".to_owned()
        }
        Errno::ENETUNREACH => "; no route leads there, --interface names the way".to_owned(),
        Errno::EACCES => "; a broadcast address, or a firewall".to_owned(),
        Errno::EPERM => "; a firewall rule forbids it".to_owned(),
        _ => String::new(),
    };
    format!("cannot send to {to}: {}{hint}", errno.desc())
}

/// `CLOCK_REALTIME`, ns since 1970: the clock of the kernel's timestamps of arrival.
pub(crate) fn realtime_ns() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}
