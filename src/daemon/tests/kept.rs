//! Rules of origin `runtime` over restarts, and disks that do not take them.

use super::*;
use crate::control::view::StateFileStatus;

async fn status(client: &Client) -> StateFileStatus {
    client.ping().await.expect("answers").state_file.expect("there is a state file")
}

async fn saved(client: &Client) {
    until("saved", async || status(client).await.saved).await;
}

#[tokio::test]
async fn rules_come_back_after_a_restart() {
    let place = Place::new();
    let file = place.path("state/runtime-rules.json");
    place
        .run(async |client: Client| {
            client.add_rule(&rule("a", 1)).await.expect("added");
            client.add_rule(&rule("b", 2)).await.expect("added");
            saved(&client).await;
            let shown = client.get("/v1/config?origin=runtime").await.expect("shown").body;
            assert_eq!(fs::read_to_string(&file).expect("written"), shown);
            // What is changed just before the end is kept, too.
            client.remove_rule("a").await.expect("removed");
            client.add_rule(&rule("c", 3)).await.expect("added");
        })
        .await;
    place
        .run(async |client: Client| {
            assert_eq!(names(&client).await, ["runtime/b", "runtime/c"]);
            assert!(status(&client).await.saved, "nothing is to be written");
        })
        .await;
    // By now the file has an id of theirs: that rule is left out, the others stay.
    let rules: Value =
        serde_json::from_str(&fs::read_to_string(&file).expect("reads")).expect("JSON");
    let runtime =
        crate::config::rule_from_json(rules["rules"][0].to_string().as_bytes(), Origin::Runtime);
    let mut of_file = rule("of-file", 9);
    of_file["id"] = runtime.expect("a rule").id.to_string().into();
    place.configure(&json!([of_file]), "info");
    place
        .run(async |client: Client| {
            assert_eq!(names(&client).await, ["file/of-file", "runtime/c"]);
        })
        .await;
    fs::write(&file, "{\"version\": 1, \"rules\": [").expect("writes");
    place
        .run(async |client: Client| {
            assert_eq!(names(&client).await, ["file/of-file"]);
            saved(&client).await;
        })
        .await;
    assert!(place.path("state/runtime-rules.json.corrupt-1").exists());
}

#[tokio::test]
async fn a_disk_that_takes_nothing_is_told_and_forwarding_goes_on() {
    let place = Place::new();
    let in_the_way = place.path("state/runtime-rules.json.tmp");
    fs::create_dir_all(&in_the_way).expect("a directory in the way");
    place
        .run(async |client: Client| {
            let mut events = client.events().await.expect("listens");
            client.add_rule(&rule("a", 1)).await.expect("added all the same");
            loop {
                let line = tokio::time::timeout(SOON, events.next()).await.expect("soon");
                if line.expect("no error").expect("goes on").contains("stateFileFailed") {
                    break;
                }
            }
            let now = status(&client).await;
            assert!(!now.saved && now.error.is_some(), "{now:?}");
            client.add_rule(&rule("b", 2)).await.expect("added all the same");
            assert_eq!(names(&client).await, ["runtime/a", "runtime/b"]);
            fs::remove_dir(&in_the_way).expect("out of the way");
            // Without another change it is tried again.
            saved(&client).await;
            assert_eq!(status(&client).await.error, None);
        })
        .await;
    place.run(async |client: Client| assert_eq!(names(&client).await.len(), 2)).await;
}
