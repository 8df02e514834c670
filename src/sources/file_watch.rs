//! Notices that a file has changed on disk: written in place, replaced by a rename, or because a
//! symbolic link on its path leads elsewhere (as a mounted ConfigMap's `..data` does).
//!
//! A watch on the file itself would stay with a file that was replaced. So every directory on the
//! path is watched for the one name in it that the path goes through, links followed.

use notify::event::{AccessKind, AccessMode};
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ffi::OsString;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use std::{fs, io};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// A file counts as written when nothing has happened to it for so long.
const QUIET: Duration = Duration::from_millis(100);
/// A file that is written all the time is read after so many times [`QUIET`].
const PATIENCE: usize = 10;
/// Events that wait for being looked at.
const WAITING: usize = 256;
/// As many links as the kernel follows (MAXSYMLINKS).
const LINKS: usize = 40;
/// How often the path is followed anew because it changed while it was followed.
const ATTEMPTS: usize = 8;

/// Why a file is not watched.
#[derive(Debug, thiserror::Error)]
#[error("{}: {what}", place.display())]
pub struct WatchError {
    place: PathBuf,
    what: String,
}

/// Which file stands at a path, and since when it has its contents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    device: u64,
    inode: u64,
    bytes: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    fn of(path: &Path) -> Option<Self> {
        let found = fs::metadata(path).ok()?;
        Some(Self {
            device: found.dev(),
            inode: found.ino(),
            bytes: found.size(),
            modified: (found.mtime(), found.mtime_nsec()),
            changed: (found.ctime(), found.ctime_nsec()),
        })
    }
}

/// One directory that is watched.
#[derive(Debug)]
struct Place {
    inode: (u64, u64),
    names: BTreeSet<OsString>,
}

/// See the module.
#[derive(Debug)]
pub struct FileWatch {
    path: PathBuf,
    watcher: RecommendedWatcher,
    places: BTreeMap<PathBuf, Place>,
    events: mpsc::Receiver<Event>,
    /// Events came faster than they were looked at.
    missed: Arc<AtomicBool>,
    seen: Option<Stamp>,
}

/// Tells of each change, until it is dropped.
#[derive(Debug)]
pub struct Changes {
    told: mpsc::Receiver<()>,
    task: JoinHandle<()>,
}

impl Changes {
    /// The next change. Cancelling this loses nothing.
    pub async fn next(&mut self) {
        if self.told.recv().await.is_none() {
            // The watch has ended, so nothing will ever be told.
            std::future::pending::<()>().await;
        }
    }
}

impl Drop for Changes {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl FileWatch {
    /// Watches `path` from now on: what changes after this call is told.
    ///
    /// # Errors
    /// Where the file's directory cannot be watched, for example because there are too few inotify
    /// watches.
    pub fn start(path: &Path) -> Result<Self, WatchError> {
        let failed = |what: String| WatchError { place: path.to_owned(), what };
        let path = std::path::absolute(path).map_err(|error| failed(error.to_string()))?;
        let (tell, events) = mpsc::channel(WAITING);
        let missed = Arc::new(AtomicBool::new(false));
        let overflow = Arc::clone(&missed);
        let watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
            // Our own reading is no change; what cannot be told is looked up.
            let told = match event {
                Ok(event) if is_reading(&event) => Ok(()),
                Ok(event) => tell.try_send(event).map_err(drop),
                Err(_) => Err(()),
            };
            if told.is_err() {
                overflow.store(true, Ordering::Relaxed);
            }
        });
        let watcher = watcher.map_err(|error| failed(said(&error)))?;
        let seen = Stamp::of(&path);
        let mut watch = Self { path, watcher, places: BTreeMap::new(), events, missed, seen };
        watch.follow()?;
        Ok(watch)
    }

    /// Goes on in a task of its own.
    pub fn spawn(mut self) -> Changes {
        let (tell, told) = mpsc::channel(1);
        let task = tokio::spawn(async move {
            while self.change().await {
                // A change that nobody has looked at yet covers this one, too.
                if let Err(mpsc::error::TrySendError::Closed(())) = tell.try_send(()) {
                    break;
                }
            }
        });
        Changes { told, task }
    }

    /// Waits until the file is another, and has been for a moment. False: there will be no more.
    async fn change(&mut self) -> bool {
        loop {
            if !self.relevant().await {
                return false;
            }
            for _ in 0..PATIENCE {
                match timeout(QUIET, self.relevant()).await {
                    Err(_) => break,
                    Ok(true) => {}
                    Ok(false) => return false,
                }
            }
            if let Err(error) = self.follow() {
                tracing::warn!(%error, "the configuration file is not watched any more");
            }
            let now = Stamp::of(&self.path);
            if now != self.seen {
                self.seen = now;
                return true;
            }
        }
    }

    /// Waits for something that may concern the file. False: there will be no more.
    async fn relevant(&mut self) -> bool {
        loop {
            let Some(event) = self.events.recv().await else { return false };
            let missed = self.missed.swap(false, Ordering::Relaxed);
            if missed || event.need_rescan() || event.paths.iter().any(|path| self.concerns(path)) {
                return true;
            }
        }
    }

    fn concerns(&self, path: &Path) -> bool {
        let named = || {
            let place = self.places.get(path.parent()?)?;
            Some(place.names.contains(path.file_name()?))
        };
        // A directory tells of itself, too: that it is gone.
        named().unwrap_or(false) || self.places.contains_key(path)
    }

    /// Watches what the path goes through now, and nothing else.
    fn follow(&mut self) -> Result<(), WatchError> {
        for _ in 0..ATTEMPTS {
            let wanted = places(&self.path);
            if !self.watch(&wanted)? && wanted == places(&self.path) {
                break;
            }
        }
        Ok(())
    }

    /// True where something was changed.
    fn watch(
        &mut self,
        wanted: &BTreeMap<PathBuf, BTreeSet<OsString>>,
    ) -> Result<bool, WatchError> {
        let mut changed = false;
        let surplus: Vec<PathBuf> = self
            .places
            .iter()
            .filter(|(path, place)| !wanted.contains_key(*path) || inode(path) != Some(place.inode))
            .map(|(path, _)| path.clone())
            .collect();
        for path in surplus {
            changed = true;
            self.places.remove(&path);
            // A directory that is gone is not watched any more.
            let _ = self.watcher.unwatch(&path);
        }
        let mut failure = None;
        for (path, names) in wanted {
            if let Some(place) = self.places.get_mut(path) {
                place.names.clone_from(names);
                continue;
            }
            let Some(inode) = inode(path) else { continue };
            match self.watcher.watch(path, RecursiveMode::NonRecursive) {
                Ok(()) => {
                    changed = true;
                    self.places.insert(path.clone(), Place { inode, names: names.clone() });
                }
                Err(error) => {
                    failure = Some(WatchError { place: path.clone(), what: said(&error) });
                }
            }
        }
        // A directory far up that cannot be watched (it may not be readable) is no great loss.
        let nearest = self.path.parent().is_some_and(|parent| {
            fs::canonicalize(parent).map_or(true, |parent| self.places.contains_key(&parent))
        });
        match failure {
            Some(failure) if !nearest => Err(failure),
            _ => Ok(changed),
        }
    }
}

fn is_reading(event: &Event) -> bool {
    match event.kind {
        EventKind::Access(AccessKind::Close(AccessMode::Write)) => false,
        EventKind::Access(_) => true,
        _ => false,
    }
}

fn said(error: &notify::Error) -> String {
    match &error.kind {
        notify::ErrorKind::MaxFilesWatch => {
            "there are no more inotify watches; raise fs.inotify.max_user_watches".to_owned()
        }
        notify::ErrorKind::Io(error) if error.raw_os_error() == Some(nix::libc::EMFILE) => {
            "there are no more inotify instances; raise fs.inotify.max_user_instances".to_owned()
        }
        notify::ErrorKind::Io(error) => error.to_string(),
        _ => error.to_string(),
    }
}

fn inode(path: &Path) -> Option<(u64, u64)> {
    fs::metadata(path).ok().map(|found| (found.dev(), found.ino()))
}

/// Each directory that an absolute path goes through, and the names in it, with links followed. What
/// does not exist is followed as if it were no link.
fn places(path: &Path) -> BTreeMap<PathBuf, BTreeSet<OsString>> {
    let mut places: BTreeMap<PathBuf, BTreeSet<OsString>> = BTreeMap::new();
    let mut rest: VecDeque<OsString> = steps(path).collect();
    let mut at = PathBuf::from("/");
    let mut links = 0;
    while let Some(step) = rest.pop_front() {
        if step == ".." {
            at.pop();
            continue;
        }
        places.entry(at.clone()).or_default().insert(step.clone());
        let next = at.join(&step);
        let target: io::Result<PathBuf> = fs::read_link(&next);
        match target {
            Ok(target) if links < LINKS => {
                links += 1;
                if target.is_absolute() {
                    at = PathBuf::from("/");
                }
                for step in steps(&target).collect::<Vec<_>>().into_iter().rev() {
                    rest.push_front(step);
                }
            }
            _ => at = next,
        }
    }
    places
}

fn steps(path: &Path) -> impl Iterator<Item = OsString> + '_ {
    path.components().filter_map(|component| match component {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some("..".into()),
        Component::CurDir | Component::RootDir | Component::Prefix(_) => None,
    })
}

#[cfg(test)]
#[path = "file_watch_tests.rs"]
mod tests;
