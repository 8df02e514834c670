//! A dry run says what the change then does, and changes nothing.

use super::*;
use crate::control::event::Change;
use crate::control::view::{ChangeKind, RuleChange};

fn core() -> Core {
    let mut core = Core::new();
    core.tell(of(Origin::File, vec![with(rule("f"), |rule| rule.name = Some("studio".into()))]));
    for id in ["a", "b", "c"] {
        core.add(rule(id));
    }
    core.settle();
    core
}

/// Tries the change, then makes it: both say the same.
fn both(core: &mut Core, change: Change) -> Result<Vec<RuleChange>, Refusal> {
    let before = format!("{:?}", core.router);
    let rules = core.router.rules_of(Some(Origin::Runtime));
    let tried = core.router.dry_run(core.now, &change);
    assert_eq!(format!("{:?}", core.router), before, "a dry run changes nothing");
    let checked = match &change {
        Change::Replace(set) => core.router.check_set(Origin::Runtime, set),
        _ => Ok(()),
    };
    let event = match change {
        Change::Add(rule) => Event::AddRule(rule),
        Change::Remove(selector) => Event::RemoveRule(selector),
        Change::Replace(set) => Event::Rules { origin: Origin::Runtime, set },
    };
    let done = checked.and_then(|()| core.router.handle(core.now, event)).map(|()| {
        core.settle();
        core.router.changes_since(&rules)
    });
    match (&tried, &done) {
        (Ok(tried), Ok(done)) => {
            assert!(tried.iter().all(|change| done.contains(change)), "{tried:?} {done:?}");
            let happened = |change: &&RuleChange| change.change != ChangeKind::Unchanged;
            assert!(done.iter().filter(happened).all(|change| tried.contains(change)));
        }
        (tried, done) => assert_eq!(tried, done),
    }
    tried
}

fn kinds(changes: &[RuleChange]) -> Vec<(ChangeKind, &str, Option<State>)> {
    changes.iter().map(|change| (change.change, change.id.as_str(), change.state)).collect()
}

#[test]
fn a_set_is_compared_rule_by_rule() {
    let mut core = core();
    let set = vec![
        rule("a"),
        with(rule("b"), |rule| rule.enabled = false),
        with(rule("n"), |rule| rule.name = Some("new".into())),
    ];
    let changes = both(&mut core, Change::Replace(set)).expect("accepted");
    assert_eq!(
        kinds(&changes),
        [
            (ChangeKind::Unchanged, "a", Some(State::Active)),
            (ChangeKind::Changed, "b", Some(State::Disabled)),
            (ChangeKind::Added, "n", Some(State::Active)),
            (ChangeKind::Removed, "c", None),
        ]
    );
    assert_eq!(changes[2].rule, "runtime/new");
    assert_eq!(core.router.rules_of(None).len(), 4, "the file's rule stays");
}

#[test]
fn what_a_rule_would_wait_for_is_told() {
    let mut core = core();
    core.net(NetEvent::LinkGone(IfIndex(1)));
    let changes = both(&mut core, Change::Add(rule("new"))).expect("accepted");
    assert_eq!(kinds(&changes), [(ChangeKind::Added, "new", Some(State::Pending))]);
    assert_eq!(changes[0].reason.as_deref(), Some("input: there is no interface a"));
    let changes = both(&mut core, Change::Add(rule("new"))).expect("accepted");
    assert_eq!(changes[0].change, ChangeKind::Unchanged);
    let changes = both(&mut core, Change::Remove("new".into())).expect("accepted");
    assert_eq!(kinds(&changes), [(ChangeKind::Removed, "new", None)]);
}

#[test]
fn refusals_are_the_same_and_a_set_names_all_its_conflicts() {
    let mut core = core();
    let other = with(rule("a"), |rule| rule.priority = 7);
    assert!(matches!(both(&mut core, Change::Add(other)), Err(Refusal::IdTaken { .. })));
    let gone = both(&mut core, Change::Remove("nobody".into()));
    assert!(matches!(gone, Err(Refusal::NoSuchRule(_))));
    let foreign = both(&mut core, Change::Remove("studio".into()));
    assert!(matches!(foreign, Err(Refusal::NotYours { .. })));
    let named = |id: &str| with(rule(id), |rule| rule.name = Some("cam".into()));
    let set = vec![rule("f"), named("x"), named("y"), rule("z"), rule("z")];
    let Err(Refusal::Conflicts(conflicts)) = both(&mut core, Change::Replace(set)) else {
        panic!("accepted")
    };
    let told: Vec<_> = conflicts.iter().map(|c| (c.index, c.key.as_str())).collect();
    assert_eq!(told, [(0, "id"), (2, "name"), (4, "id")]);
    assert!(conflicts[0].text.contains("taken by file/studio"), "{}", conflicts[0].text);
    let ids = |core: &Core| core.router.rules_of(None).len();
    assert_eq!(ids(&core), 4, "nothing has changed");
}

/// Rules that a new set leaves as they are keep their places, so their counters.
#[test]
fn unchanged_rules_keep_their_counters() {
    let mut core = core();
    let before = core.slots("a");
    let set = vec![rule("z"), rule("a")];
    core.tell(Event::Rules { origin: Origin::Runtime, set });
    core.settle();
    assert_eq!(core.slots("a"), before);
}
