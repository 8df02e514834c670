//! The control socket's file: who may open it, and what becomes of one that a dead daemon left.

use nix::errno::Errno;
use nix::sys::stat::{Mode, fchmod};
use nix::unistd::{Gid, Group, chown};
use socket2::{Domain, SockAddr, Socket, Type};
use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};
use tokio::net::UnixListener;

/// The group that may use the socket where it exists and nothing else is said.
const DEFAULT_GROUP: &str = "mcr";
/// Connections that wait to be accepted.
const BACKLOG: i32 = 1024;

/// Why the control socket could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Somebody answers on it.
    #[error("{0}: a daemon answers there already; stop it, or choose another control socket path")]
    InUse(PathBuf),
    /// The file that is there is not a socket.
    #[error("{0} exists and is not a socket; remove it, or choose another control socket path")]
    NotASocket(PathBuf),
    /// The group that was asked for does not exist.
    #[error(
        "there is no group \"{0}\" on this system; create it, or choose another for the control socket"
    )]
    NoSuchGroup(String),
    /// The path does not fit a socket address.
    #[error("{path}: not a usable control socket path ({error}); at most 107 bytes")]
    Path {
        /// The path.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// The system refused.
    #[error("cannot {action} {path}: {error}")]
    System {
        /// What we were doing.
        action: &'static str,
        /// To what.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
}

/// Opens the control socket with mode 0660.
///
/// A missing parent directory is created (0755), a socket that nobody answers on is replaced. The
/// socket's group is `group`; else `mcr` where that exists; else the group of the user who called
/// sudo (`SUDO_GID`); else it stays as it is. A process without the right to change the group
/// keeps its own.
///
/// # Errors
/// [`BindError`], each with what would be right. Must be called within a tokio runtime.
pub fn bind(path: &Path, group: Option<&str>) -> Result<UnixListener, BindError> {
    let sudo_gid = std::env::var("SUDO_GID").ok();
    let group = choose_group(group, sudo_gid.as_deref(), |name| {
        Group::from_name(name).ok().flatten().map(|group| group.gid)
    })?;
    let system = |action| move |error| BindError::System { action, path: path.to_owned(), error };
    let address =
        SockAddr::unix(path).map_err(|error| BindError::Path { path: path.to_owned(), error })?;
    create_parent(path)?;
    clear(path, &address)?;
    let socket = Socket::new(Domain::UNIX, Type::STREAM.nonblocking().cloexec(), None)
        .map_err(system("create a socket for"))?;
    // Linux gives the file the permissions of the unbound socket: there is no moment in which the
    // file is open to more than its owner, and the process's umask stays as it is.
    fchmod(&socket, Mode::S_IRUSR | Mode::S_IWUSR)
        .map_err(|errno| system("set the permissions of")(errno.into()))?;
    socket.bind(&address).map_err(system("bind"))?;
    if let Some(gid) = group {
        match chown(path, None, Some(gid)) {
            Ok(()) => {}
            Err(Errno::EPERM) => {
                tracing::warn!(path = %path.display(), %gid, "may not change the control socket's group");
            }
            Err(errno) => return Err(system("change the group of")(errno.into())),
        }
    }
    fs::set_permissions(path, fs::Permissions::from_mode(0o660))
        .map_err(system("set the permissions of"))?;
    socket.listen(BACKLOG).map_err(system("listen on"))?;
    UnixListener::from_std(socket.into()).map_err(system("listen on"))
}

fn choose_group(
    asked: Option<&str>,
    sudo_gid: Option<&str>,
    by_name: impl Fn(&str) -> Option<Gid>,
) -> Result<Option<Gid>, BindError> {
    if let Some(name) = asked {
        return match by_name(name) {
            Some(gid) => Ok(Some(gid)),
            None => Err(BindError::NoSuchGroup(name.to_owned())),
        };
    }
    let of_sudo = || sudo_gid.and_then(|gid| gid.parse().ok()).map(Gid::from_raw);
    Ok(by_name(DEFAULT_GROUP).or_else(of_sudo))
}

fn create_parent(path: &Path) -> Result<(), BindError> {
    let Some(parent) = path.parent() else { return Ok(()) };
    if parent.as_os_str().is_empty() || parent.exists() {
        return Ok(());
    }
    let system = |error| BindError::System {
        action: "create the directory",
        path: parent.to_owned(),
        error,
    };
    fs::DirBuilder::new().recursive(true).mode(0o755).create(parent).map_err(system)?;
    // The umask may have taken away what the socket's group needs to get through.
    fs::set_permissions(parent, fs::Permissions::from_mode(0o755)).map_err(system)
}

/// Removes what a dead daemon left; refuses where somebody lives.
fn clear(path: &Path, address: &SockAddr) -> Result<(), BindError> {
    let system = |action| move |error| BindError::System { action, path: path.to_owned(), error };
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(system("look at")(error)),
        Ok(metadata) if !metadata.file_type().is_socket() => {
            return Err(BindError::NotASocket(path.to_owned()));
        }
        Ok(_) => {}
    }
    // Not blocking: with a full backlog, connect() would otherwise wait for the daemon.
    let probe = Socket::new(Domain::UNIX, Type::STREAM.nonblocking().cloexec(), None)
        .map_err(system("create a socket for"))?;
    match probe.connect(address) {
        Ok(()) => Err(BindError::InUse(path.to_owned())),
        Err(error) => match error.raw_os_error().map(Errno::from_raw) {
            Some(Errno::ECONNREFUSED) => {
                tracing::info!(path = %path.display(), "removing the control socket of a dead daemon");
                match fs::remove_file(path) {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => {
                        Err(system("remove the stale socket")(error))
                    }
                    _ => Ok(()),
                }
            }
            Some(Errno::ENOENT) => Ok(()),
            Some(Errno::EAGAIN | Errno::EINPROGRESS | Errno::EPROTOTYPE) => {
                Err(BindError::InUse(path.to_owned()))
            }
            _ => Err(system("find out whether a daemon answers on")(error)),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::symlink_metadata(path).expect("exists").permissions().mode() & 0o7777
    }

    #[tokio::test]
    async fn a_new_socket_has_mode_0660_in_a_new_directory_0755() {
        let dir = tempfile::tempdir().expect("tempdir");
        let path = dir.path().join("run/mcr/control.sock");
        let listener = bind(&path, None).expect("binds");
        assert_eq!(mode(&path), 0o660);
        assert_eq!(mode(path.parent().expect("parent")), 0o755);
        drop(listener);
    }

    /// What `bind` relies on: the file is born with the permissions of the unbound socket.
    #[test]
    fn the_kernel_gives_the_file_the_permissions_of_the_socket() {
        let dir = tempfile::tempdir().expect("tempdir");
        let path = dir.path().join("s");
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None).expect("socket");
        fchmod(&socket, Mode::S_IRUSR | Mode::S_IWUSR).expect("fchmod");
        socket.bind(&SockAddr::unix(&path).expect("address")).expect("bind");
        assert_eq!(mode(&path), 0o600);
    }

    #[tokio::test]
    async fn a_stale_socket_is_replaced() {
        let dir = tempfile::tempdir().expect("tempdir");
        let path = dir.path().join("s");
        drop(bind(&path, None).expect("binds"));
        std::os::unix::net::UnixStream::connect(&path).expect_err("a file that nobody answers on");
        let _listener = bind(&path, None).expect("replaces it");
        std::os::unix::net::UnixStream::connect(&path).expect("the new one answers");
    }

    #[tokio::test]
    async fn a_live_socket_is_refused_and_left_alone() {
        let dir = tempfile::tempdir().expect("tempdir");
        let path = dir.path().join("s");
        let _listener = bind(&path, None).expect("binds");
        let error = bind(&path, None).expect_err("somebody lives there");
        assert!(matches!(error, BindError::InUse(_)), "{error}");
        assert!(error.to_string().contains("a daemon answers there already"));
        std::os::unix::net::UnixStream::connect(&path).expect("the first still answers");
    }

    #[tokio::test]
    async fn a_live_socket_with_a_full_backlog_is_refused_without_waiting() {
        let dir = tempfile::tempdir().expect("tempdir");
        let path = dir.path().join("s");
        let address = SockAddr::unix(&path).expect("address");
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None).expect("socket");
        socket.bind(&address).expect("bind");
        socket.listen(0).expect("listen");
        let mut waiting = Vec::new();
        loop {
            let client =
                Socket::new(Domain::UNIX, Type::STREAM.nonblocking(), None).expect("socket");
            if client.connect(&address).is_err() {
                break;
            }
            waiting.push(client);
            assert!(waiting.len() < 100, "the backlog never fills");
        }
        assert!(matches!(bind(&path, None), Err(BindError::InUse(_))));
    }

    #[tokio::test]
    async fn other_files_and_bad_paths_are_refused() {
        let dir = tempfile::tempdir().expect("tempdir");
        let path = dir.path().join("precious");
        fs::write(&path, "data").expect("write");
        assert!(matches!(bind(&path, None), Err(BindError::NotASocket(_))));
        assert_eq!(fs::read(&path).expect("still there"), b"data");
        let long = dir.path().join("x".repeat(120));
        assert!(matches!(bind(&long, None), Err(BindError::Path { .. })));
        let below = path.join("s");
        assert!(matches!(bind(&below, None), Err(BindError::System { .. })));
    }

    #[test]
    fn the_group_is_the_one_asked_for_else_mcr_else_that_of_sudo() {
        let known = |name: &str| match name {
            "video" => Some(Gid::from_raw(44)),
            "mcr" => Some(Gid::from_raw(900)),
            _ => None,
        };
        let no_mcr = |name: &str| (name == "video").then(|| Gid::from_raw(44));
        let chosen = |asked, sudo, mcr: bool| {
            let group = if mcr {
                choose_group(asked, sudo, known)
            } else {
                choose_group(asked, sudo, no_mcr)
            };
            group.expect("a choice").map(Gid::as_raw)
        };
        assert_eq!(chosen(Some("video"), Some("1000"), true), Some(44));
        assert_eq!(chosen(None, Some("1000"), true), Some(900));
        assert_eq!(chosen(None, Some("1000"), false), Some(1000));
        assert_eq!(chosen(None, Some("nonsense"), false), None);
        assert_eq!(chosen(None, None, false), None);
        let error = choose_group(Some("nobody-has-this"), None, known).expect_err("refused");
        assert!(error.to_string().contains("no group \"nobody-has-this\""));
    }
}
