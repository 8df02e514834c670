//! Two rules want the same copy rewritten differently: one wins, and the other is told by whom.

use super::*;
use crate::fib::Action;
use crate::types::DropReason;

fn ttl(id: &str, ttl: u8) -> Rule {
    with(rule(id), |r| r.outputs[0].ttl = Ttl::Set(ttl))
}

/// The TTL that copies leave with, and how many copies are dropped as contradicted.
fn outcome(core: &Core) -> (Vec<Ttl>, usize) {
    let fib = core.router.fib.unpack();
    let entries = fib.entries();
    assert_eq!(entries.len(), 1);
    let copies = &entries[0].1.copies;
    let sent = copies.iter().filter_map(|copy| match copy.action {
        Action::Send(send) => Some(send.ttl),
        Action::Drop(_) => None,
    });
    let lost = |copy: &&crate::fib::CopyOut| copy.action == Action::Drop(DropReason::Contradicted);
    (sent.collect(), copies.iter().filter(lost).count())
}

#[test]
fn priority_then_origin_then_age_decides() {
    let at = |priority, rule| with(rule, |r: &mut Rule| r.priority = priority);
    // Rules by origin in order of arrival; the winner's TTL.
    let table: Vec<(Vec<Event>, u8)> = vec![
        (vec![Event::AddRule(ttl("first", 1)), Event::AddRule(ttl("second", 2))], 1),
        (vec![Event::AddRule(ttl("z", 1)), Event::AddRule(ttl("a", 2))], 1),
        (vec![Event::AddRule(ttl("r", 1)), of(Origin::Crd, vec![ttl("c", 2)])], 2),
        (vec![of(Origin::Crd, vec![ttl("c", 1)]), of(Origin::File, vec![ttl("f", 2)])], 2),
        (vec![of(Origin::File, vec![ttl("f", 1)]), of(Origin::Crd, vec![ttl("c", 2)])], 1),
        (vec![of(Origin::File, vec![ttl("f", 1)]), Event::AddRule(at(101, ttl("r", 2)))], 2),
        (vec![of(Origin::File, vec![ttl("one", 1), ttl("two", 2)])], 1),
        (vec![of(Origin::File, vec![at(99, ttl("one", 1)), ttl("two", 2)])], 2),
    ];
    for (events, winner) in table {
        let mut core = Core::new();
        for event in events.clone() {
            core.tell(event);
        }
        core.settle();
        assert_eq!(outcome(&core), (vec![Ttl::Set(winner)], 1), "{events:?}");
    }
}

#[test]
fn the_loser_says_who_wins_until_the_winner_goes() {
    let mut core = Core::new();
    core.add(ttl("winner", 1));
    core.add(ttl("loser", 2));
    let status = core.status("loser");
    let reason = "runtime/winner sends the same copy rewritten differently and takes precedence";
    assert_eq!(status.outputs[0].state, State::Pending);
    assert_eq!(status.outputs[0].reason.as_deref(), Some(reason));
    assert_eq!(core.status("winner").outputs[0].state, State::Active);
    core.step(Event::RemoveRule("winner".to_owned()));
    assert_eq!(core.status("loser").outputs[0].state, State::Active);
    assert_eq!(outcome(&core), (vec![Ttl::Set(2)], 0));
}

#[test]
fn the_same_copy_is_no_contradiction() {
    let mut core = Core::new();
    core.add(ttl("r", 9));
    core.add(ttl("s", 9));
    assert_eq!(outcome(&core), (vec![Ttl::Set(9)], 0));
    assert_eq!(core.router.fib.unpack().entries()[0].1.rules.len(), 2, "both count the match");
    for id in ["r", "s"] {
        assert_eq!(core.status(id).outputs[0].state, State::Active);
    }
}

#[test]
fn other_targets_are_other_copies() {
    let mut core = Core::new();
    core.add(ttl("r", 1));
    core.add(with(ttl("s", 2), |r| r.outputs[0].interfaces = on("c")));
    core.add(with(ttl("t", 3), |r| r.outputs[0].port = "6000".parse().ok()));
    core.add(with(ttl("u", 4), |r| {
        r.outputs[0].destination = Destination::Address(ip("239.9.9.9"));
    }));
    let (sent, lost) = outcome(&core);
    assert_eq!((sent.len(), lost), (4, 0));
}

#[test]
fn a_blocked_winner_leaves_the_copy_to_the_loser() {
    let mut core = Core::new();
    core.add(with(ttl("r", 1), |r| r.enabled = false));
    core.add(ttl("s", 2));
    assert_eq!(outcome(&core), (vec![Ttl::Set(2)], 0));
    assert_eq!(core.status("s").outputs[0].state, State::Active);
}
