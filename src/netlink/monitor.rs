//! The monitor: a state machine over one channel at a time.

use super::channel::{Channel, Loss, Message, ReceiveBuffer, Table};
use super::decode::Change;
use super::picture::Picture;
use crate::types::NetEvent;
use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::time::Duration;
use tokio::time::{Sleep, sleep};

const FIRST_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// Dumps of one table in a row that changes may spoil before the monitor pauses.
const DUMP_ATTEMPTS: u32 = 20;
/// Changes kept while the dumps run.
const MAX_BACKLOG: usize = 100_000;

/// Follows the links, addresses and unicast routes of the network namespace that it was started
/// in.
///
/// Order and loss: the socket joins its groups before it dumps, so no change falls between. The
/// kernel may queue a change before a dump entry that was read earlier than the change, and
/// after one that contains it already; so changes that arrive while the dumps run are kept and
/// folded into the snapshot in their order once the dumps are complete. Each object then is in
/// the state of its last change, or in the state of the dump where nothing changed; states in
/// between are never shown. Whatever may have lost a change (overflow, malformed datagram,
/// error) discards the socket and begins again, with a pause that doubles from 10 ms to 1 s until
/// the monitor has caught up, and yields a new snapshot.
///
/// Consequences that the kernel leaves unsaid are said: an interface set down loses its IPv4
/// routes except those to its own addresses, with the last IPv4 address of an interface go all its
/// IPv4 routes, with an interface its addresses and routes, with a replacing route the replaced
/// one. Each comes as an event of its own, so the consumer needs to know none of these rules.
/// (Changes to next hop objects, `ip nexthop`, are not followed.)
pub struct Monitor {
    receive_buffer: ReceiveBuffer,
    state: State,
    picture: Picture,
    pause: Duration,
    ready: VecDeque<NetEvent>,
}

enum State {
    /// Between a loss and the next attempt.
    Resting(Pin<Box<Sleep>>),
    /// Subscribed; with the dumps in progress, if they are.
    Open(Channel, Option<Dump>),
}

/// The dumps that build a picture, table by table.
#[derive(Debug)]
struct Dump {
    table: Table,
    spoilt: bool,
    /// An address has gone since this table was asked for.
    shrunk: bool,
    attempts: u32,
    picture: Picture,
    backlog: Vec<Change>,
}

impl Monitor {
    /// Joins the groups and asks for the first dump. To be called inside a tokio runtime that
    /// drives I/O and time, on a thread in the namespace to follow.
    ///
    /// # Errors
    /// Where no netlink socket can be had (EMFILE, a seccomp filter that refuses AF_NETLINK), or
    /// the kernel refuses the dump.
    pub fn start() -> io::Result<Self> {
        Self::start_with(ReceiveBuffer::Ample)
    }

    pub(super) fn start_with(receive_buffer: ReceiveBuffer) -> io::Result<Self> {
        Ok(Self {
            receive_buffer,
            state: begin(receive_buffer)?,
            picture: Picture::default(),
            pause: FIRST_PAUSE,
            ready: VecDeque::new(),
        })
    }

    /// The next event: first a [`NetEvent::Snapshot`], then what changes, and another snapshot
    /// after each loss. Never ends. Dropping the future before it is ready loses nothing.
    pub async fn next(&mut self) -> NetEvent {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return event;
            }
            if let Err(loss) = self.step().await {
                match &loss {
                    Loss::Doubt => tracing::debug!(error = %loss, "network is listed again"),
                    _ => tracing::warn!(error = %loss, "network events lost, listing again"),
                }
                self.state = State::Resting(Box::pin(sleep(self.pause)));
                self.pause = (self.pause * 2).min(LONGEST_PAUSE);
            }
        }
    }

    async fn step(&mut self) -> Result<(), Loss> {
        match &mut self.state {
            State::Resting(rest) => {
                rest.as_mut().await;
                self.state = begin(self.receive_buffer)?;
            }
            State::Open(channel, dumping) => {
                if let Some(dump) = dumping {
                    if dump.step(channel).await? {
                        self.picture = std::mem::take(&mut dump.picture);
                        *dumping = None;
                        self.ready.push_back(NetEvent::Snapshot(self.picture.snapshot()));
                    }
                    return Ok(());
                }
                let picture = &mut self.picture;
                let mut events = Vec::new();
                let mut idle = false;
                let take = |message| {
                    if let Message::Notification(change) = message {
                        picture.apply(change, &mut events);
                    }
                };
                let received = channel.receive(&mut idle, take).await;
                self.ready.extend(events);
                if idle {
                    self.pause = FIRST_PAUSE;
                }
                received?;
                if self.picture.is_doubtful() {
                    return Err(Loss::Doubt);
                }
            }
        }
        Ok(())
    }
}

/// Subscribe, then ask for the first table.
fn begin(receive_buffer: ReceiveBuffer) -> io::Result<State> {
    let mut channel = Channel::open(receive_buffer)?;
    channel.dump(Table::FIRST)?;
    let dump = Dump {
        table: Table::FIRST,
        spoilt: false,
        shrunk: false,
        attempts: 0,
        picture: Picture::default(),
        backlog: Vec::new(),
    };
    Ok(State::Open(channel, Some(dump)))
}

impl Dump {
    /// Takes one datagram; true when the picture is complete and holds every change until now.
    async fn step(&mut self, channel: &mut Channel) -> Result<bool, Loss> {
        let Self { spoilt, shrunk, picture, backlog, .. } = self;
        let mut done = false;
        let mut unshown = Vec::new();
        let take = |message| match message {
            Message::Notification(change) => {
                *shrunk |= matches!(change.event, NetEvent::AddressGone(_));
                backlog.push(change);
            }
            Message::Entry(change) => {
                picture.apply(change, &mut unshown);
                unshown.clear();
            }
            Message::Interrupted => *spoilt = true,
            Message::Done => done = true,
        };
        channel.receive(&mut false, take).await?;
        if self.backlog.len() > MAX_BACKLOG {
            return Err(Loss::TooManyChanges);
        }
        if !done {
            return Ok(false);
        }
        // The kernel goes on by position in its list, and counts the change (for NLM_F_DUMP_INTR) after the
        // removal: where one went meanwhile, another can be skipped unsaid.
        let shrunk = std::mem::take(&mut self.shrunk) && self.table == Table::Addresses;
        if self.spoilt || shrunk {
            self.attempts += 1;
            if self.attempts >= DUMP_ATTEMPTS {
                return Err(if self.spoilt { Loss::Interrupted } else { Loss::Doubt });
            }
            self.spoilt = false;
            self.picture.clear(self.table);
        } else if let Some(table) = self.table.next() {
            self.table = table;
            self.attempts = 0;
        } else {
            for change in self.backlog.drain(..) {
                self.picture.apply(change, &mut unshown);
                unshown.clear();
            }
            return if self.picture.is_doubtful() { Err(Loss::Doubt) } else { Ok(true) };
        }
        channel.dump(self.table)?;
        Ok(false)
    }
}
