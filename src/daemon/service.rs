//! What the service manager is told (sd_notify(3)), where one listens.

use crate::types::Time;
use sd_notify::NotifyState;
use std::ffi::{OsStr, OsString};
use std::fmt::Write;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;
use tokio::time::{Interval, MissedTickBehavior, interval};
use tracing::{debug, warn};

/// What the service manager gave us in the environment.
#[derive(Clone, Debug, Default)]
pub(super) struct Invitation {
    /// NOTIFY_SOCKET.
    pub(super) socket: Option<OsString>,
    /// WATCHDOG_USEC, where it is for this process.
    pub(super) watchdog: Option<Duration>,
}

impl Invitation {
    pub(super) fn of_environment() -> Self {
        let number = |name: &str| std::env::var(name).ok()?.parse::<u64>().ok();
        let for_us = number("WATCHDOG_PID").is_none_or(|pid| pid == u64::from(std::process::id()));
        Self {
            socket: std::env::var_os("NOTIFY_SOCKET"),
            watchdog: number("WATCHDOG_USEC")
                .filter(|usec| for_us && *usec > 0)
                .map(Duration::from_micros),
        }
    }
}

/// See the module. Without a service manager nothing is told.
pub(super) struct Service {
    socket: Option<UnixDatagram>,
    watchdog: Option<Interval>,
    ready: bool,
    status: String,
}

impl Service {
    pub(super) fn new(invitation: &Invitation) -> Self {
        let socket = invitation.socket.as_deref().and_then(|name| match connected(name) {
            Ok(socket) => Some(socket),
            Err(error) => {
                warn!(socket = %name.display(), %error, "cannot reach the service manager");
                None
            }
        });
        let watchdog = invitation.watchdog.filter(|_| socket.is_some()).map(|limit| {
            let mut ticks = interval((limit / 2).max(Duration::from_millis(1)));
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            ticks
        });
        Self { socket, watchdog, ready: false, status: String::new() }
    }

    /// The time to tell that the loop goes round; never without a watchdog.
    pub(super) async fn watchdog_due(&mut self) {
        match &mut self.watchdog {
            Some(ticks) => drop(ticks.tick().await),
            None => std::future::pending().await,
        }
    }

    /// The loop goes round.
    pub(super) fn alive(&self) {
        self.tell(&[NotifyState::Watchdog]);
    }

    /// Everything is there that was to be there; said once.
    pub(super) fn ready(&mut self) {
        if !std::mem::replace(&mut self.ready, true) {
            self.tell(&[NotifyState::Ready]);
        }
    }

    /// One line for `systemctl status`; said when it is another.
    pub(super) fn status(&mut self, status: String) {
        if self.ready && self.status != status {
            self.tell(&[NotifyState::Status(&status)]);
            self.status = status;
        }
    }

    /// The configuration is being loaded again.
    pub(super) fn reloading(&self, now: Time) {
        let usec = i128::from(now.0 / 1000);
        self.tell(&[NotifyState::Reloading, NotifyState::MonotonicUsec(usec)]);
    }

    /// It has been loaded, or refused.
    pub(super) fn reloaded(&self) {
        if self.ready {
            self.tell(&[NotifyState::Ready]);
        }
    }

    pub(super) fn stopping(&self) {
        self.tell(&[NotifyState::Stopping]);
    }

    fn tell(&self, states: &[NotifyState]) {
        let Some(socket) = &self.socket else { return };
        let mut message = String::new();
        for state in states {
            // Writing to a string does not fail.
            let _ = writeln!(message, "{state}");
        }
        if let Err(error) = socket.send(message.as_bytes()) {
            debug!(%error, "the service manager does not listen");
        }
    }
}

fn connected(name: &OsStr) -> io::Result<UnixDatagram> {
    let socket = UnixDatagram::unbound()?;
    // The loop waits for nobody.
    socket.set_nonblocking(true)?;
    match name.as_bytes() {
        [b'@', name @ ..] => socket.connect_addr(&SocketAddr::from_abstract_name(name)?)?,
        _ => socket.connect(name)?,
    }
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manager(dir: &std::path::Path) -> (UnixDatagram, Invitation) {
        let path = dir.join("notify");
        let manager = UnixDatagram::bind(&path).expect("binds");
        manager.set_read_timeout(Some(Duration::from_secs(20))).expect("a timeout");
        let watchdog = Some(Duration::from_millis(40));
        (manager, Invitation { socket: Some(path.into()), watchdog })
    }

    fn heard(manager: &UnixDatagram) -> String {
        let mut buffer = [0; 512];
        let length = manager.recv(&mut buffer).expect("a message");
        String::from_utf8(buffer[..length].to_vec()).expect("text")
    }

    #[tokio::test]
    async fn each_state_is_told_once_in_the_managers_words() {
        let dir = tempfile::tempdir().expect("a directory");
        let (manager, invitation) = manager(dir.path());
        let mut service = Service::new(&invitation);
        service.status("too early".into());
        service.ready();
        service.ready();
        assert_eq!(heard(&manager), "READY=1\n");
        service.status("2 rules".into());
        service.status("2 rules".into());
        service.status("3 rules".into());
        assert_eq!(heard(&manager), "STATUS=2 rules\n");
        assert_eq!(heard(&manager), "STATUS=3 rules\n");
        service.reloading(Time(1_234_567_890));
        assert_eq!(heard(&manager), "RELOADING=1\nMONOTONIC_USEC=1234567\n");
        service.reloaded();
        assert_eq!(heard(&manager), "READY=1\n");
        service.watchdog_due().await;
        service.watchdog_due().await;
        service.alive();
        assert_eq!(heard(&manager), "WATCHDOG=1\n");
        service.stopping();
        assert_eq!(heard(&manager), "STOPPING=1\n");
        // A manager that is gone, or does not read, holds nothing up.
        for _ in 0..10_000 {
            service.alive();
        }
        drop(manager);
        service.alive();
    }

    #[tokio::test]
    async fn without_a_manager_nothing_is_told_and_nothing_is_due() {
        let mut service = Service::new(&Invitation::default());
        service.ready();
        service.stopping();
        let missing = Some("/nonexistent/notify".into());
        let watchdog = Some(Duration::from_millis(1));
        let mut lost = Service::new(&Invitation { socket: missing, watchdog });
        lost.ready();
        for service in [&mut service, &mut lost] {
            let due = tokio::time::timeout(Duration::from_millis(30), service.watchdog_due()).await;
            assert!(due.is_err());
        }
    }
}
