//! The whole daemon in this process: its loop, its workers, its socket, its files. The rules name
//! interfaces that do not exist, so nothing is opened and nothing is sent.

mod concurrent;
mod files;
mod kept;

use super::service::Invitation;
use super::*;
use crate::api::{Client, ClientError, Problem};
use serde_json::{Value, json};
use std::fs;
use std::time::Instant;

const SOON: Duration = Duration::from_secs(20);

/// A place for the daemon's files.
struct Place {
    dir: tempfile::TempDir,
}

impl Place {
    /// With a configuration file without rules.
    fn new() -> Self {
        let place = Self { dir: tempfile::tempdir().expect("a directory") };
        place.configure(&json!([]), "info");
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Replaces the configuration file as an editor does.
    fn configure(&self, rules: &Value, level: &str) {
        let document = json!({
            "rules": rules,
            "log": {"level": level},
            "dataplane": {"io": "syscalls", "receiveBufferBytes": 65_536},
        });
        self.write(&document.to_string());
    }

    fn write(&self, text: &str) {
        fs::write(self.path("new"), text).expect("writes");
        fs::rename(self.path("new"), self.path("mcr.json5")).expect("renames");
    }

    fn options(&self) -> Options {
        Options {
            config: Some(self.path("mcr.json5")),
            watch: true,
            state_dir: Some(self.path("state")),
            socket: Some(self.path("control.sock")),
            log_level: None,
        }
    }

    fn client(&self) -> Client {
        Client::new(self.path("control.sock"))
    }

    /// Runs the daemon as long as `body` takes.
    async fn run(&self, body: impl AsyncFnOnce(Client)) {
        self.run_for(&Invitation::default(), body).await;
    }

    async fn run_for(&self, invitation: &Invitation, body: impl AsyncFnOnce(Client)) {
        let options = self.options();
        let path = self.path("mcr.json5");
        let watch = FileWatch::start(&path).expect("watched");
        let loaded = config::load_file(&path).expect("sound");
        let filter = loaded.log.level.name().parse().expect("a level");
        let logging = Logging::detached(filter, SetBy::File);
        let daemon = Daemon::start(
            &options,
            loaded,
            logging,
            Some(watch),
            invitation,
            Some(plane::Place::Thread),
        )
        .expect("starts");
        let (stop, stopped) = oneshot::channel::<()>();
        let served = daemon.serve(async {
            let _ = stopped.await;
        });
        let body = async {
            body(self.client()).await;
            stop.send(()).expect("still runs");
        };
        let (served, ()) = tokio::join!(served, body);
        served.expect("no error");
    }
}

fn rule(name: &str, port: u16) -> Value {
    json!({"name": name, "input": {"interface": "mcr-none0", "group": "239.1.1.1", "port": port},
           "outputs": [{"interface": "mcr-none1", "group": "239.2.2.2", "port": port}]})
}

async fn until(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let started = Instant::now();
    while !condition().await {
        assert!(started.elapsed() < SOON, "{what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// The names of all rules, with their origins.
async fn names(client: &Client) -> Vec<String> {
    let rules = client.rules().await.expect("rules");
    rules.into_iter().map(|rule| rule.origin).collect()
}

fn refused(error: ClientError) -> Problem {
    match error {
        ClientError::Refused(problem) => problem,
        other => panic!("{other:?}"),
    }
}
