//! Ending in order: SIGINT and SIGTERM as something that can be waited for.

use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::time::TimeSpec;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

/// SIGINT and SIGTERM, taken over from their default of ending the process at once.
pub struct StopSignal {
    signals: Option<SignalFd>,
}

impl StopSignal {
    /// Blocks both signals in the calling thread; they are then seen here only.
    ///
    /// # Errors
    /// What pthread_sigmask(3) or signalfd(2) say.
    pub fn install() -> io::Result<Self> {
        let mut mask = SigSet::empty();
        mask.add(Signal::SIGINT);
        mask.add(Signal::SIGTERM);
        mask.thread_block()?;
        let flags = SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC;
        Ok(Self { signals: Some(SignalFd::with_flags(&mask, flags)?) })
    }

    /// One that never comes.
    pub fn never() -> Self {
        Self { signals: None }
    }

    /// True where a signal came since the last question.
    pub fn is_raised(&self) -> bool {
        self.signals.as_ref().is_some_and(|signals| matches!(signals.read_signal(), Ok(Some(_))))
    }

    /// Waits until a signal comes, `socket` is ready for `events`, or the time is over; `None`
    /// waits without end. True where it was a signal.
    ///
    /// # Errors
    /// What ppoll(2) says.
    pub fn wait(
        &self,
        socket: Option<(BorrowedFd<'_>, PollFlags)>,
        timeout: Option<Duration>,
    ) -> io::Result<bool> {
        let signals = self.signals.iter().map(|fd| PollFd::new(fd.as_fd(), PollFlags::POLLIN));
        let sockets = socket.into_iter().map(|(fd, events)| PollFd::new(fd, events));
        let mut watched: Vec<PollFd<'_>> = signals.chain(sockets).collect();
        match ppoll(&mut watched, timeout.map(TimeSpec::from), None) {
            Ok(0) | Err(nix::Error::EINTR) => Ok(false),
            Ok(_) => Ok(self.signals.is_some()
                && watched.first().and_then(PollFd::any) == Some(true)
                && self.is_raised()),
            Err(error) => Err(error.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::sys::signal::raise;

    #[test]
    fn a_signal_ends_the_wait_and_is_seen_once() {
        let stop = StopSignal::install().expect("signalfd");
        assert!(!stop.is_raised());
        raise(Signal::SIGTERM).expect("a signal to this thread");
        assert!(stop.wait(None, Some(Duration::from_secs(60))).expect("ppoll"));
        assert!(!stop.is_raised());
    }

    #[test]
    fn the_time_ends_the_wait() {
        let started = std::time::Instant::now();
        let stop = StopSignal::never();
        assert!(!stop.wait(None, Some(Duration::from_millis(5))).expect("ppoll"));
        assert!(started.elapsed() >= Duration::from_millis(5));
    }
}
