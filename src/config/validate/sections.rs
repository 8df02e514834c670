//! The sections of the file other than its rules.

use super::super::diagnose::{Findings, quoted};
use super::super::path::Path;
use super::super::settings::{ControlSettings, DATA_PLANE_SUFFIX, Dataplane, LogSettings};
use super::super::v1::{ControlSpec, File};
use super::dataplane::dataplane;
use super::igmp::igmp;
use super::unsupported;
use crate::types::IgmpConfig;
use std::os::unix::ffi::OsStrExt;

/// The checked sections.
#[derive(Debug, Default)]
pub(crate) struct Sections {
    pub(crate) dataplane: Dataplane,
    pub(crate) control: ControlSettings,
    pub(crate) log: LogSettings,
    pub(crate) igmp: IgmpConfig,
}

/// Checks everything in the file but its rules. What is wrong gets its default, and is reported.
pub(crate) fn sections(file: &File, findings: &mut Findings) -> Sections {
    let at = Path::root();
    if let Some(version) = file.version.filter(|version| *version != 1) {
        let message =
            format!("must be 1, not {version}: this program reads version 1 of the format");
        findings.report(&at.key("version"), message);
    }
    let File { igmp: igmp_spec, pim, msdp, metrics, .. } = file;
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
        dataplane: dataplane(file, findings),
        control: control(&file.control.clone().unwrap_or_default(), findings),
        log: LogSettings {
            level: log.level.unwrap_or_default(),
            format: log.format.unwrap_or_default(),
        },
        igmp: igmp_spec.as_ref().map_or_else(IgmpConfig::default, |spec| igmp(spec, findings)),
    }
}

fn control(spec: &ControlSpec, findings: &mut Findings) -> ControlSettings {
    /// `sun_path` (unix(7)) less its terminating zero and what is added for the data plane's socket.
    const LONGEST_SOCKET_PATH: usize = 107 - DATA_PLANE_SUFFIX.len();
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
