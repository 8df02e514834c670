//! Changes from everywhere at once: what was answered is what would be answered one after another.

use super::*;
use crate::api::v1::ChangesJson;
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashSet};

/// Ids and what stands under them.
type State = BTreeMap<String, u16>;

#[derive(Clone, Debug)]
enum Call {
    Add(String, u16),
    Remove(String),
    Replace(State),
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Answer {
    Created,
    Same,
    Taken,
    Removed,
    Unknown,
    /// Added, removed, changed, unchanged.
    Replaced(usize, usize, usize, usize),
}

/// One call with the moments at which it began and was answered.
#[derive(Clone, Debug)]
struct Record {
    call: Call,
    answer: Answer,
    began: u64,
    ended: u64,
}

/// What one after another would be answered.
fn one_by_one(state: &mut State, call: &Call) -> Answer {
    match call {
        Call::Add(id, port) => match state.get(id) {
            Some(there) if there == port => Answer::Same,
            Some(_) => Answer::Taken,
            None => {
                state.insert(id.clone(), *port);
                Answer::Created
            }
        },
        Call::Remove(id) => match state.remove(id) {
            Some(_) => Answer::Removed,
            None => Answer::Unknown,
        },
        Call::Replace(set) => {
            let in_both = set.iter().filter(|(id, _)| state.contains_key(*id)).count();
            let same = set.iter().filter(|(id, port)| state.get(*id) == Some(port)).count();
            let answer =
                Answer::Replaced(set.len() - in_both, state.len() - in_both, in_both - same, same);
            state.clone_from(set);
            answer
        }
    }
}

/// True where some order explains all answers and the final state, in which no call stands before
/// one that was answered before it began.
fn explained(records: &[Record], end: &State) -> bool {
    fn search(
        records: &[Record],
        done: u64,
        state: &State,
        end: &State,
        seen: &mut HashSet<(u64, State)>,
    ) -> bool {
        if done == (1 << records.len()) - 1 {
            return state == end;
        }
        if !seen.insert((done, state.clone())) {
            return false;
        }
        let open = || (0..records.len()).filter(|n| done & (1 << n) == 0);
        let first_end = open().map(|n| records[n].ended).min().unwrap_or(u64::MAX);
        open().any(|n| {
            let record = &records[n];
            let mut after = state.clone();
            record.began < first_end
                && one_by_one(&mut after, &record.call) == record.answer
                && search(records, done | (1 << n), &after, end, seen)
        })
    }
    search(records, 0, &State::new(), end, &mut HashSet::new())
}

fn spec(id: &str, port: u16) -> Value {
    let mut spec = rule(id, port);
    spec["id"] = id.into();
    spec
}

async fn by_api(client: &Client, call: &Call) -> Answer {
    let status = |error: ClientError| {
        let problem = refused(error);
        assert!(problem.status < 500, "{problem:?}");
        problem.status
    };
    match call {
        Call::Add(id, port) => match client.add_rule(&spec(id, *port)).await {
            Ok((added, true)) => {
                assert_eq!(added.id, *id);
                Answer::Created
            }
            Ok((_, false)) => Answer::Same,
            Err(error) => {
                assert_eq!(status(error), 409);
                Answer::Taken
            }
        },
        Call::Remove(id) => match client.remove_rule(id).await {
            Ok(_) => Answer::Removed,
            Err(error) => {
                assert_eq!(status(error), 404);
                Answer::Unknown
            }
        },
        Call::Replace(set) => {
            let rules: Vec<Value> = set.iter().map(|(id, port)| spec(id, *port)).collect();
            let answer = client.put("/v1/rules", &json!({"rules": rules})).await;
            let done: ChangesJson = answer.expect("accepted").read().expect("changes");
            Answer::Replaced(done.added, done.removed, done.changed, done.unchanged)
        }
    }
}

/// The same with mcrctl, as a person would.
async fn by_command(place: &Place, call: &Call) -> Answer {
    use clap::Parser;
    let socket = place.path("control.sock").display().to_string();
    let mut words: Vec<String> = vec!["mcrctl".into(), "--socket-path".into(), socket];
    words.extend(["-o".into(), "json".into()]);
    match call {
        // With -o json it does not say whether the rule was there already.
        Call::Add(..) => panic!("not by command"),
        Call::Remove(id) => words.extend(["remove".into(), id.clone()]),
        Call::Replace(set) => {
            let rules: Vec<Value> = set.iter().map(|(id, port)| spec(id, *port)).collect();
            let file = place.path("to-load.json5");
            fs::write(&file, json!({"rules": rules}).to_string()).expect("writes");
            words.extend(["config".into(), "load".into(), file.display().to_string()]);
        }
    }
    let args = crate::cli::Args::try_parse_from(&words).expect("parses");
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let exit = crate::cli::run(&args, &mut out, &mut err).await;
    let said: Value =
        serde_json::from_slice(if err.is_empty() { &out } else { &err }).expect("JSON");
    match (call, exit) {
        (Call::Remove(_), crate::cli::Exit::Done) => Answer::Removed,
        (Call::Remove(_), _) => {
            assert_eq!(said["status"], 404, "{said}");
            Answer::Unknown
        }
        (Call::Replace(_), crate::cli::Exit::Done) => {
            let n = |key: &str| usize::try_from(said[key].as_u64().expect("a count")).expect("few");
            Answer::Replaced(n("added"), n("removed"), n("changed"), n("unchanged"))
        }
        (call, exit) => panic!("{call:?}: {exit:?} {said}"),
    }
}

/// The nth call of a client: few ids, so that they meet.
fn call(client: usize, n: usize, command: bool) -> Call {
    let mix = (client * 7 + n * 13 + n * n * 3 + client * n) % 11;
    let id = |k: usize| format!("r{}", k % 3);
    let port = |k: usize| u16::try_from(1 + k % 2).expect("small");
    match mix {
        0..=4 if !command => Call::Add(id(mix + n), port(client + n)),
        0..=7 => Call::Remove(id(mix + client)),
        _ => Call::Replace((0..mix % 4).map(|k| (id(k + n), port(k + client))).collect()),
    }
}

#[tokio::test]
async fn changes_from_everywhere_are_answered_as_if_one_came_after_another() {
    let place = Place::new();
    place
        .run(async |client: Client| {
            let (clock, records) = (Cell::new(0u64), RefCell::new(Vec::new()));
            let tick = || {
                clock.set(clock.get() + 1);
                clock.get()
            };
            for round in 0..12 {
                let work = async |who: usize| {
                    for n in 0..7 {
                        let command = who == 3;
                        let call = call(who + round, n, command);
                        let began = tick();
                        let answer = match command {
                            true => by_command(&place, &call).await,
                            false => by_api(&client, &call).await,
                        };
                        let ended = tick();
                        records.borrow_mut().push(Record { call, answer, began, ended });
                    }
                };
                let file = async {
                    for n in 0..3u16 {
                        let rules = [rule("of-file", 100 + n), rule(&format!("f{n}"), 200)];
                        place.configure(&json!(rules), "info");
                        tokio::time::sleep(Duration::from_millis(40)).await;
                    }
                };
                tokio::join!(work(0), work(1), work(2), work(3), file);
                let records = std::mem::take(&mut *records.borrow_mut());
                let mut end = State::new();
                for rule in client.config(Some(Origin::Runtime)).await.expect("shown").rules {
                    let port = serde_json::to_value(&rule).expect("serialises");
                    let port = port["input"]["port"].as_u64().expect("a port");
                    end.insert(rule.id.expect("an id"), u16::try_from(port).expect("a port"));
                }
                assert_eq!(records.len(), 28);
                assert!(explained(&records, &end), "no order explains {records:#?}\nand {end:?}");
                // The next round starts with nothing.
                client.put("/v1/rules", &json!({"rules": []})).await.expect("accepted");
            }
            until("the file's last rules", async || {
                let mut names = names(&client).await;
                names.sort();
                names == ["file/f2", "file/of-file"]
            })
            .await;
        })
        .await;
}

#[test]
fn an_order_is_found_only_where_there_is_one() {
    let record = |call: &Call, answer: &Answer, began, ended| Record {
        call: call.clone(),
        answer: answer.clone(),
        began,
        ended,
    };
    let (add, remove) = (Call::Add("a".into(), 1), Call::Remove("a".into()));
    // At the same time: either may be first.
    let both = [record(&add, &Answer::Created, 1, 3), record(&remove, &Answer::Removed, 2, 4)];
    assert!(explained(&both, &State::new()));
    assert!(!explained(&both, &State::from([("a".into(), 1)])));
    // Removed before it was there.
    let wrong = [record(&remove, &Answer::Removed, 1, 2), record(&add, &Answer::Created, 3, 4)];
    assert!(!explained(&wrong, &State::from([("a".into(), 1)])));
    let lost = [record(&add, &Answer::Created, 1, 2)];
    assert!(!explained(&lost, &State::new()));
}
