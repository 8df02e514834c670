//! What the core says by itself: each change once, after what came of it.

use super::*;
use crate::control::notice::{InterfaceState, RuleName};

/// What was said since the last time, in short words. A second round: what was asked for is done.
fn said(core: &mut Core) -> Vec<String> {
    core.settle();
    core.settle();
    std::mem::take(&mut core.said).iter().map(words).collect()
}

fn words(notice: &Notice) -> String {
    let with = |reason: &Option<String>| match reason {
        Some(reason) => format!(": {reason}"),
        None => String::new(),
    };
    let interface = |what: &str, state: &InterfaceState| {
        format!("{what} {} {} {} {}", state.interface, state.ifindex, state.up, state.carrier)
    };
    match notice {
        Notice::RuleAdded { name: RuleName { rule, .. }, state, reason } => {
            format!("added {rule} {state:?}{}", with(reason))
        }
        Notice::RuleRemoved { name } => format!("removed {}", name.rule),
        Notice::RuleChanged { name, state, reason } => {
            format!("changed {} {state:?}{}", name.rule, with(reason))
        }
        Notice::RuleState { name, from, to, reason } => {
            format!("{} {from:?} to {to:?}{}", name.rule, with(reason))
        }
        Notice::InterfaceAppeared(state) => interface("appeared", state),
        Notice::InterfaceGone(state) => interface("gone", state),
        Notice::InterfaceChanged(state) => interface("is now", state),
        Notice::WorkerReady { worker, .. } => format!("ready {worker}"),
        Notice::WorkerDied { worker, reason } => format!("died {worker}: {reason}"),
        Notice::PortFailed { interface, reason, .. } => format!("port on {interface}: {reason}"),
        Notice::MembershipRefused { interface, group, reason, .. } => {
            format!("refused {group} on {interface}: {reason}")
        }
        other => panic!("not the core's: {other:?}"),
    }
}

#[test]
fn rules_are_said_to_come_change_and_go() {
    let mut core = Core::new();
    assert_eq!(
        said(&mut core),
        ["appeared a 1 true true", "appeared b 2 true true", "appeared c 3 true true", "ready 0"]
    );
    core.tell(Event::AddRule(rule("r")));
    assert_eq!(said(&mut core), ["added runtime/r Active"]);
    core.tell(Event::AddRule(rule("r")));
    core.tell(Event::Programmed { worker: 0, generation: 1 });
    assert_eq!(said(&mut core), [""; 0], "nothing has changed");
    let set = vec![with(rule("r"), |rule| rule.enabled = false), rule("s")];
    core.tell(Event::Rules { origin: Origin::Runtime, set });
    assert_eq!(said(&mut core), ["changed runtime/r Disabled", "added runtime/s Active"]);
    core.tell(Event::RemoveRule("r".into()));
    core.tell(Event::RemoveRule("s".into()));
    assert_eq!(said(&mut core), ["removed runtime/r", "removed runtime/s"]);
}

#[test]
fn states_are_said_with_their_reasons_when_one_of_both_changes() {
    let mut core = Core::new();
    core.tell(Event::AddRule(rule("r")));
    said(&mut core);
    core.tell(Event::Net(down(1, "a")));
    let down = "input: a is down (ip link set a up)";
    assert_eq!(
        said(&mut core),
        ["is now a 1 false false".to_owned(), format!("runtime/r Active to Pending: {down}")]
    );
    core.tell(Event::Net(NetEvent::LinkGone(IfIndex(1))));
    assert_eq!(
        said(&mut core),
        ["gone a 1 false false", "runtime/r Pending to Pending: input: there is no interface a"]
    );
    core.tell(Event::Net(NetEvent::Link(link(9, "a"))));
    let now = said(&mut core);
    assert_eq!(now, ["appeared a 9 true true", "runtime/r Pending to Active"]);
}

/// The failure comes while the rule's port is being opened: the rule is not said to be active first.
#[test]
fn what_fails_at_once_is_part_of_the_first_word() {
    let mut core = Core::new();
    said(&mut core);
    core.tell(Event::AddRule(rule("r")));
    core.settle();
    core.tell(Event::PortFailed { port: 0, reason: "no such device".into() });
    let said_now = said(&mut core);
    assert_eq!(
        said_now,
        ["port on a: no such device", "added runtime/r Pending: input: no such device"]
    );
    // Tried again and failed again for the same reason: no news.
    core.now = core.router.next_timeout().expect("tries again");
    core.tell(Event::Timeout);
    core.settle();
    core.tell(Event::PortFailed { port: 1, reason: "no such device".into() });
    assert_eq!(said(&mut core), [""; 0]);
}

#[test]
fn workers_and_refused_memberships_are_said_once() {
    let mut core = Core::with_workers(2);
    core.tell(Event::AddRule(rule("r")));
    said(&mut core);
    let (group, index) = (ip("239.1.1.1"), IfIndex(1));
    let refused = || Event::Memberships {
        failed: vec![(Membership { index, group, source: None }, "no buffer space".into())],
    };
    core.tell(refused());
    assert_eq!(said(&mut core), ["refused 239.1.1.1 on a: no buffer space"]);
    core.tell(refused());
    assert_eq!(said(&mut core), [""; 0]);
    core.tell(Event::Memberships { failed: vec![] });
    core.tell(died(1));
    core.tell(ready(1));
    assert_eq!(said(&mut core), ["died 1: panic: test", "ready 1"]);
    core.tell(died(0));
    assert_eq!(
        said(&mut core),
        ["died 0: panic: test", "runtime/r Active to Pending: input: its worker does not run"]
    );
}

#[test]
fn a_notice_is_one_flat_object() {
    let mut core = Core::new();
    core.tell(Event::AddRule(with(rule("r"), |rule| rule.name = Some("cam".into()))));
    said(&mut core);
    core.tell(Event::Net(without_carrier(1, "a")));
    core.settle();
    core.settle();
    let state = core.said.iter().find(|notice| matches!(notice, Notice::RuleState { .. }));
    assert_eq!(
        serde_json::to_value(state).expect("serialises"),
        serde_json::json!({
            "event": "ruleState", "id": "r", "rule": "runtime/cam", "origin": "runtime",
            "from": "active", "to": "pending", "reason": "input: a has no carrier",
        })
    );
    for notice in &core.said {
        let text = serde_json::to_string(notice).expect("serialises");
        assert_eq!(serde_json::from_str::<Notice>(&text).expect("reads its own"), *notice);
    }
}
