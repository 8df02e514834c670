//! The sections of the file other than its rules.

use super::super::diagnose::{Findings, quoted};
use super::super::path::Path;
use super::super::settings::{
    BUFFER_BYTES, ControlSettings, DEFAULT_RECEIVE_BUFFER_BYTES, Dataplane, LogSettings,
};
use super::super::v1::{ControlSpec, DataplaneSpec, File, Sched};
use super::{only_default, unsupported};
use std::os::unix::ffi::OsStrExt;

/// The checked sections.
#[derive(Debug, Default)]
pub(crate) struct Sections {
    pub(crate) dataplane: Dataplane,
    pub(crate) control: ControlSettings,
    pub(crate) log: LogSettings,
}

/// Checks everything in the file but its rules. What is wrong gets its default, and is reported.
pub(crate) fn sections(file: &File, findings: &mut Findings) -> Sections {
    let at = Path::root();
    if let Some(version) = file.version.filter(|version| *version != 1) {
        let message =
            format!("must be 1, not {version}: this program reads version 1 of the format");
        findings.report(&at.key("version"), message);
    }
    let File { pinning, igmp, pim, msdp, metrics, .. } = file;
    unsupported(pinning.as_ref().is_some_and(|p| !p.is_empty()), "pinning", &at, findings);
    unsupported(igmp.as_ref().is_some_and(|s| *s != Default::default()), "igmp", &at, findings);
    unsupported(pim.as_ref().is_some_and(|s| *s != Default::default()), "pim", &at, findings);
    unsupported(msdp.as_ref().is_some_and(|s| *s != Default::default()), "msdp", &at, findings);
    unsupported(
        metrics.as_ref().is_some_and(|s| *s != Default::default()),
        "metrics",
        &at,
        findings,
    );
    let log = file.log.clone().unwrap_or_default();
    Sections {
        dataplane: dataplane(&file.dataplane.clone().unwrap_or_default(), findings),
        control: control(&file.control.clone().unwrap_or_default(), findings),
        log: LogSettings {
            level: log.level.unwrap_or_default(),
            format: log.format.unwrap_or_default(),
        },
    }
}

fn dataplane(spec: &DataplaneSpec, findings: &mut Findings) -> Dataplane {
    let at = Path::root().key("dataplane");
    only_default(spec.sched, Sched::Normal, "normal", "sched", &at, findings);
    unsupported(
        spec.coalesce_usecs.is_some_and(|usecs| usecs != 0),
        "coalesceUsecs",
        &at,
        findings,
    );
    let mut within = |key: &'static str, value: u32, least: u32, most: u32| {
        if !(least..=most).contains(&value) {
            let message = format!("must be a whole number from {least} to {most}, not {value}");
            findings.report(&at.key(key), message);
        }
        value.clamp(least, most)
    };
    let workers = within("workers", spec.workers.unwrap_or(1), 1, 64);
    let bytes = spec.receive_buffer_bytes.unwrap_or(DEFAULT_RECEIVE_BUFFER_BYTES);
    let receive_buffer_bytes = within("receiveBufferBytes", bytes, BUFFER_BYTES, 1 << 30);
    Dataplane {
        io: spec.io.unwrap_or_default(),
        workers,
        receive_buffer_bytes,
        buffers: receive_buffer_bytes / BUFFER_BYTES,
    }
}

fn control(spec: &ControlSpec, findings: &mut Findings) -> ControlSettings {
    /// `sun_path` (unix(7)) less its terminating zero.
    const LONGEST_SOCKET_PATH: usize = 107;
    let at = Path::root().key("control");
    if let Some(socket) = &spec.socket {
        let bytes = socket.as_os_str().as_bytes();
        let shown = quoted(&socket.to_string_lossy());
        let wrong = if !socket.is_absolute() {
            Some(format!("{shown} is not an absolute path, such as \"/run/mcr/control.sock\""))
        } else if bytes.len() > LONGEST_SOCKET_PATH {
            let length = bytes.len();
            Some(format!(
                "is {length} bytes long; a socket's path has at most {LONGEST_SOCKET_PATH}"
            ))
        } else if bytes.contains(&0) {
            Some(format!("{shown} contains a zero byte; remove it"))
        } else {
            None
        };
        if let Some(message) = wrong {
            findings.report(&at.key("socket"), message);
        }
    }
    let bad = |c: char| c == ':' || c == ',' || c.is_control() || c.is_whitespace();
    if let Some(group) = &spec.group
        && (group.is_empty() || group.len() > 64 || group.contains(bad))
    {
        let message = format!("{} is not the name of a group, such as \"mcr\"", quoted(group));
        findings.report(&at.key("group"), message);
    }
    ControlSettings { socket: spec.socket.clone(), group: spec.group.clone() }
}
