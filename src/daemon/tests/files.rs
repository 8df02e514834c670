//! The configuration file changed on disk, the log level, and the service manager.

use super::*;
use crate::api::EventStream;
use crate::api::v1::LogLevel;
use std::os::unix::net::UnixDatagram;

async fn event(events: &mut EventStream, kind: &str) -> Value {
    loop {
        let line = tokio::time::timeout(SOON, events.next()).await.expect("soon");
        let line = line.expect("no error").expect("goes on");
        let event: Value = serde_json::from_str(&line).expect("JSON");
        if event["event"] == kind {
            return event;
        }
    }
}

async fn level(client: &Client) -> LogLevel {
    client.get("/v1/log-level").await.expect("level").read().expect("a level")
}

#[tokio::test]
async fn a_file_that_changes_is_loaded_and_one_with_mistakes_is_not() {
    let place = Place::new();
    place
        .run(async |client: Client| {
            let mut events = client.events().await.expect("listens");
            place.configure(&json!([rule("a", 1), rule("b", 2)]), "debug");
            assert_eq!(event(&mut events, "configurationLoaded").await["rules"], 2);
            assert_eq!(event(&mut events, "logLevelChanged").await["filter"], "debug");
            let added = event(&mut events, "ruleAdded").await;
            assert_eq!((&added["rule"], &added["state"]), (&json!("file/a"), &json!("pending")));
            assert_eq!(names(&client).await, ["file/a", "file/b"]);
            assert_eq!(level(&client).await.set_by, "file");

            place.write("{rules: [{name: 'x'}, {name: 3}], colour: 1}");
            let wrong = event(&mut events, "configurationRefused").await;
            assert!(wrong["mistakes"].as_array().expect("a list").len() >= 3, "{wrong}");
            fs::remove_file(place.path("mcr.json5")).expect("removes");
            event(&mut events, "configurationRefused").await;
            assert_eq!(names(&client).await, ["file/a", "file/b"], "the last good ones stay");

            // Set at run time: the file does not go before that.
            let body = json!({"level": "warn", "module": "netlink"});
            client.put("/v1/log-level", &body).await.expect("set");
            let changed = event(&mut events, "logLevelChanged").await;
            assert_eq!(changed["filter"], "debug,mcr::netlink=warn");
            let wrong = client.put("/v1/log-level", &json!({"level": "loud"})).await;
            assert_eq!(refused(wrong.expect_err("no level")).status, 422);
            place.write("{rules: [], log: {level: 'error', format: 'json'}}");
            let restart = event(&mut events, "restartNeeded").await;
            assert_eq!(restart["sections"], json!(["dataplane", "log.format"]));
            event(&mut events, "ruleRemoved").await;
            assert_eq!(names(&client).await, [""; 0]);
            let now = level(&client).await;
            assert_eq!(
                (now.filter.as_str(), now.set_by.as_str()),
                ("debug,mcr::netlink=warn", "runtime")
            );
        })
        .await;
}

fn heard(manager: &UnixDatagram) -> Option<String> {
    let mut buffer = [0; 1024];
    let length = manager.recv(&mut buffer).ok()?;
    Some(String::from_utf8(buffer[..length].to_vec()).expect("text"))
}

#[tokio::test]
async fn the_service_manager_hears_the_daemons_life() {
    let place = Place::new();
    let socket = place.path("notify");
    let manager = UnixDatagram::bind(&socket).expect("binds");
    manager.set_nonblocking(true).expect("sets");
    let watchdog = Some(Duration::from_millis(100));
    let invitation = Invitation { socket: Some(socket.into()), watchdog };
    let (mut all, mut from): (Vec<String>, usize) = (Vec::new(), 0);
    place
        .run_for(&invitation, async |client: Client| {
            let mut wait_for = async |what: &str| {
                until(what, async || {
                    all.extend(std::iter::from_fn(|| heard(&manager)));
                    let found = all[from..].iter().position(|message| message.contains(what));
                    from += found.map_or(0, |at| at + 1);
                    found.is_some()
                })
                .await;
            };
            wait_for("READY=1").await;
            client.ping().await.expect("the socket was open before");
            wait_for("STATUS=rules: 0, workers running: 1 of 1").await;
            for _ in 0..3 {
                wait_for("WATCHDOG=1").await;
            }
            client.add_rule(&rule("a", 1)).await.expect("added");
            wait_for("STATUS=rules: 1, workers running: 1 of 1").await;
            place.configure(&json!([rule("b", 2)]), "info");
            wait_for("STATUS=rules: 2,").await;
        })
        .await;
    let rest = std::iter::from_fn(|| heard(&manager));
    all.extend(rest);
    let at = |what: &str| all.iter().position(|message| message.starts_with(what));
    let reloading = at("RELOADING=1\nMONOTONIC_USEC=").expect("reloading");
    let ready: Vec<usize> = (0..all.len()).filter(|n| all[*n] == "READY=1\n").collect();
    assert_eq!(ready.len(), 2, "{all:?}");
    assert!(ready[0] < reloading && reloading < ready[1], "{all:?}");
    assert!(at("WATCHDOG").expect("alive") > ready[0] || at("STATUS").is_some());
    assert_eq!(at("STOPPING=1"), Some(all.len() - 1), "{all:?}");
}

/// The program of these tests is no mcrd: it must not take its place.
#[tokio::test]
async fn a_program_that_is_no_mcrd_is_no_upgrade() {
    let place = Place::new();
    place
        .run(async |client| {
            let before = client.ping().await.expect("answers");
            let problem =
                refused(client.post("/v1/upgrade", &json!({})).await.expect_err("refused"));
            assert_eq!(
                (problem.status, problem.kind.as_str()),
                (409, "urn:mcr:problem:no-upgrade")
            );
            assert!(problem.detail.contains("--version"), "{}", problem.detail);
            let after = client.ping().await.expect("still answers");
            assert_eq!((after.pid, after.generation), (before.pid, before.generation));
        })
        .await;
}
