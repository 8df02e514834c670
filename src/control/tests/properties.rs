//! Whatever happens in whatever order: the state that came about step by step equals the state
//! that a fresh core makes of the outcome at once.

use super::world::World;
use super::*;
use crate::fib::{Action, FlowSet, Packed};
use crate::types::Criteria;
use proptest::prelude::*;
use proptest::sample::select;
use std::collections::HashMap;
use std::fmt::Debug;

#[derive(Clone, Debug)]
enum Op {
    Up(u8, bool, bool),
    Rename(u8, &'static str),
    Alternative(u8, &'static str),
    Create(&'static str),
    Destroy(u8),
    Address(u8, u8),
    AddressGone(u8),
    Route(u8, u8),
    RouteGone(u8),
    /// Links lost without a word, then the whole picture.
    Resync(Option<u8>),
    Add(Box<Rule>),
    Remove(u8),
    Replace(Origin, Vec<Rule>),
    Fail(u8, bool),
    Kill(u32),
    Revive(u32),
    Acknowledge,
    LetGo,
    Later(u64),
}

const NAMES: [&str; 4] = ["a", "b", "c", "d"];

fn any_name() -> impl Strategy<Value = &'static str> {
    select(&NAMES[..])
}

fn any_output() -> impl Strategy<Value = RuleOutput> {
    let destination = select(vec![None, Some("239.9.9.9"), Some("192.0.2.1"), Some("10.9.9.9")]);
    let ttl = select(vec![Ttl::Set(16), Ttl::Keep, Ttl::Decrement]);
    (proptest::option::weighted(0.8, any_name()), destination, ttl).prop_map(|(to, at, ttl)| {
        // Only a unicast copy can go without an interface.
        let at = if to.is_none() {
            at.filter(|a| !a.starts_with("239")).or(Some("192.0.2.1"))
        } else {
            at
        };
        RuleOutput {
            destination: at.map_or(Destination::Unchanged, |a| Destination::Address(ip(a))),
            ttl,
            ..RuleOutput::unchanged(to.map(on).unwrap_or_default())
        }
    })
}

fn any_rule() -> impl Strategy<Value = Rule> {
    let id = (0u8..7).prop_map(|n| format!("r{n}"));
    let called = proptest::option::weighted(0.2, select(vec!["x", "y"]));
    let destination = select(vec![
        "239.1.1.1",
        "239.1.1.1",
        "239.1.1.2",
        "239.1.1.0/30",
        "10.0.1.1",
        "10.0.2.1",
        "10.7.1.7",
        "10.0.1.255",
        "255.255.255.255",
    ]);
    let from = proptest::option::weighted(0.3, select(vec!["10.0.1.9", "10.0.1.8"]));
    let port = proptest::option::weighted(0.6, select(vec!["5000", "5001"]));
    let outputs = proptest::collection::vec(any_output(), 1..4);
    let settings = (proptest::bool::weighted(0.85), 99u16..102);
    let more = (any_vlan(), proptest::bool::weighted(0.8), any_exclude());
    (id, called, any_interfaces(), destination, from, port, outputs, settings, more).prop_map(
        |(id, called, interfaces, destination, from, port, outputs, settings, more)| {
            let ((enabled, priority), (vlan, joins, without)) = (settings, more);
            Rule {
                name: called.map(str::to_owned),
                enabled,
                priority,
                input: Input {
                    interfaces,
                    groups: net(destination),
                    ports: ports(port),
                    sources: SourceFilter {
                        include: from.map(net).unwrap_or_default().to_vec(),
                        exclude: without.map(net).unwrap_or_default().to_vec(),
                    },
                    vlan,
                    join: if joins { Join::Always } else { Join::Never },
                    ..rule(&id).input
                },
                outputs: outputs.into(),
                ..rule(&id)
            }
        },
    )
}

fn any_interfaces() -> impl Strategy<Value = Few<InterfaceSelector>> {
    let by =
        |text: &str| Criteria { name_glob: text.to_owned().try_into().ok(), ..Criteria::default() };
    let glob = |text: &str| InterfaceSelector::from(by(text));
    prop_oneof![
        6 => any_name().prop_map(on),
        1 => Just(["a", "b"].map(|text| InterfaceSelector::named(name(text))).to_vec().into()),
        1 => Just(vec![glob("?")].into()),
        1 => Just(vec![glob("[ab]"), Criteria { cidr: "10.0.2.0/24".parse().ok(), ..by("*") }.into()].into()),
    ]
}

fn any_vlan() -> impl Strategy<Value = VlanFilter> {
    prop_oneof![
        5 => Just(VlanFilter::Untagged),
        1 => Just(VlanFilter::Id(310)),
        1 => Just(VlanFilter::Any),
    ]
}

fn any_exclude() -> impl Strategy<Value = Option<&'static str>> {
    proptest::option::weighted(0.1, select(vec!["10.0.1.9", "10.0.1.8/31"]))
}

fn any_op() -> impl Strategy<Value = Op> {
    let n = any::<u8>;
    let set = || proptest::collection::vec(any_rule(), 0..4);
    prop_oneof![
        4 => (n(), any::<bool>(), any::<bool>()).prop_map(|(n, up, carrier)| Op::Up(n, up, carrier)),
        2 => (n(), any_name()).prop_map(|(n, to)| Op::Rename(n, to)),
        1 => (n(), any_name()).prop_map(|(n, to)| Op::Alternative(n, to)),
        3 => any_name().prop_map(Op::Create),
        2 => n().prop_map(Op::Destroy),
        3 => (n(), 0u8..4).prop_map(|(n, at)| Op::Address(n, at)),
        2 => n().prop_map(Op::AddressGone),
        2 => (n(), 0u8..3).prop_map(|(n, net)| Op::Route(n, net)),
        1 => n().prop_map(Op::RouteGone),
        1 => proptest::option::of(n()).prop_map(Op::Resync),
        6 => any_rule().prop_map(|rule| Op::Add(Box::new(rule))),
        2 => (0u8..7).prop_map(Op::Remove),
        3 => (select(vec![Origin::File, Origin::Crd, Origin::Runtime]), set())
            .prop_map(|(origin, set)| Op::Replace(origin, set)),
        2 => (n(), any::<bool>()).prop_map(|(n, closed)| Op::Fail(n, closed)),
        1 => (0u32..2).prop_map(Op::Kill),
        2 => (0u32..2).prop_map(Op::Revive),
        3 => Just(Op::Acknowledge),
        1 => Just(Op::LetGo),
        3 => (0u64..1500).prop_map(Op::Later),
    ]
}

fn apply(world: &mut World, op: Op) {
    match op {
        Op::Up(n, up, carrier) => {
            if let Some(link) = world.pick(n) {
                world.set(Link { up, carrier: up && carrier, ..link });
            }
        }
        Op::Rename(n, to) => {
            if let Some(link) = world.pick(n).filter(|_| world.is_free(to)) {
                world.set(Link { name: name(to), ..link });
            }
        }
        Op::Alternative(n, to) => {
            if let Some(link) = world.pick(n).filter(|_| world.is_free(to)) {
                world.set(Link { alt_names: vec![to.to_owned()], ..link });
            }
        }
        Op::Create(text) if world.is_free(text) => world.create(text),
        Op::Create(_) => {}
        Op::Destroy(n) => {
            if let Some(link) = world.pick(n) {
                world.destroy(link.index);
            }
        }
        Op::Address(..) | Op::AddressGone(_) | Op::Route(..) | Op::RouteGone(_) => {
            apply_layer_three(world, &op);
        }
        Op::Resync(lost) => {
            if let Some(link) = lost.and_then(|n| world.pick(n)) {
                world.forget(link.index);
            }
            let picture = world.snapshot();
            world.core.tell(Event::Net(NetEvent::Snapshot(picture)));
        }
        Op::Add(rule) => world.ask(Event::AddRule(*rule)),
        Op::Remove(n) => world.ask(Event::RemoveRule(format!("r{n}"))),
        Op::Replace(origin, set) => world.ask(of(origin, set)),
        Op::Fail(n, closed) => world.fail(n, closed),
        Op::Kill(worker) => world.kill(worker),
        Op::Revive(worker) => world.revive(worker),
        Op::Acknowledge => {
            let generation = world.fib.generation();
            for worker in (0..2).filter(|worker| !world.dead.contains(worker)) {
                world.core.tell(Event::Programmed { worker, generation });
            }
        }
        Op::LetGo => {
            for port in std::mem::take(&mut world.closing) {
                let counters = Default::default();
                world.core.tell(Event::PortClosed { port, counters, failure: None });
            }
        }
        Op::Later(milliseconds) => {
            world.core.now = world.core.now.plus(Duration::from_millis(milliseconds));
            if world.core.router.next_timeout().is_some_and(|at| at <= world.core.now) {
                world.core.tell(Event::Timeout);
            }
        }
    }
}

fn apply_layer_three(world: &mut World, op: &Op) {
    let event = match *op {
        Op::Address(n, at) => {
            let Some(link) = world.pick(n) else { return };
            let net = ["10.0.1.1/24", "10.0.2.1/24", "169.254.1.1/16", "10.7.1.7/32"];
            let new = address(link.index.0, net[usize::from(at)]);
            if !world.addresses.contains(&new) {
                world.addresses.push(new);
            }
            NetEvent::Address(new)
        }
        Op::AddressGone(n) if !world.addresses.is_empty() => {
            let at = usize::from(n) % world.addresses.len();
            NetEvent::AddressGone(world.addresses.remove(at))
        }
        Op::Route(n, net) => {
            let Some(link) = world.pick(n).filter(|link| link.up) else { return };
            let net = ["0.0.0.0/0", "192.0.2.0/24", "10.9.0.0/16"][usize::from(net)];
            let new = route(net, link.index.0);
            world.routes.insert(new);
            NetEvent::Route(new)
        }
        Op::RouteGone(n) if !world.routes.is_empty() => {
            let at = usize::from(n) % world.routes.len();
            let gone = world.routes.iter().nth(at).copied().expect("within");
            world.routes.remove(&gone);
            NetEvent::RouteGone(gone)
        }
        _ => return,
    };
    world.core.tell(Event::Net(event));
}

/// A core that is told the outcome only.
fn fresh(world: &World) -> Core {
    let router = Router::new(world.core.now, unbound(2), 1);
    let mut core = Core { router, now: world.core.now, said: Vec::new() };
    for worker in 0..2 {
        core.tell(ready(worker));
    }
    core.tell(Event::Net(NetEvent::Snapshot(world.snapshot())));
    for origin in [Origin::File, Origin::Crd, Origin::Runtime] {
        let set = world.rules.iter().filter(|rule| rule.origin == origin).cloned().collect();
        core.tell(Event::Rules { origin, set });
    }
    core
}

/// By rule and output instead of by slot.
type Place = (String, usize);

/// A key, the rules behind it and its copies.
type EntryMeaning = (FlowSet, Vec<String>, Vec<(Place, Action)>);

fn places(router: &Router) -> (HashMap<RuleSlot, String>, HashMap<OutputSlot, Place>) {
    let (mut rules, mut outputs) = (HashMap::new(), HashMap::new());
    for entry in router.rules.iter() {
        let id = entry.rule.id.to_string();
        assert_eq!(rules.insert(entry.slot, id.clone()), None, "one slot, two rules");
        for (at, slot) in entry.outputs.iter().enumerate() {
            let before = outputs.insert(*slot, (id.clone(), at));
            assert_eq!(before, None, "one slot, two outputs");
        }
    }
    (rules, outputs)
}

/// What a table does, without slots; and what loses to what.
fn meaning(router: &Router, fib: &Fib, world: &World) -> impl Debug + PartialEq + use<> {
    let (rules, outputs) = places(router);
    let entries: Vec<EntryMeaning> = fib
        .entries()
        .into_iter()
        .map(|(key, entry)| {
            let behind = entry.rules.iter().map(|slot| rules[slot].clone()).collect();
            let copies = entry.copies.iter().map(|copy| (outputs[&copy.slot].clone(), copy.action));
            (key, behind, copies.collect())
        })
        .collect();
    let own: Vec<bool> = world
        .addresses
        .iter()
        .flat_map(|address| (0..30).map(|index| (IfIndex(index), address.net.addr())))
        .map(|(index, address)| fib.is_own(index, address))
        .collect();
    let lost: BTreeSet<(Place, String)> = router
        .conflicts
        .iter()
        .map(|conflict| (outputs[&conflict.loser].clone(), rules[&conflict.winner].clone()))
        .collect();
    let resolutions: Vec<_> =
        router.rules.iter().map(|entry| (&entry.rule.id, router.resolution(entry))).collect();
    (entries, own, lost, format!("{resolutions:?}"))
}

fn check(world: &World) {
    let mut fresh = fresh(world);
    let mut wanted: BTreeMap<PortKey, InputFilter> = BTreeMap::new();
    for output in fresh.settle() {
        if let Output::OpenPort { key, filter, .. } = output {
            wanted.insert(key, filter);
        }
    }
    let router = &world.core.router;
    assert_eq!(
        meaning(router, &world.fib, world),
        meaning(&fresh.router, &fresh.router.fib.unpack(), world),
    );
    assert!(Packed::from(&*world.fib).forwards_like(&router.fib));
    for (key, entry) in world.fib.entries() {
        assert!(world.links.contains_key(&key.iif.0));
        for copy in &entry.copies {
            if let Action::Send(send) = copy.action
                && let Some(oif) = send.oif
            {
                assert!(world.links.contains_key(&oif.0));
            }
        }
    }
    assert_eq!(world.memberships, fresh.router.memberships);
    let mut ports: BTreeSet<PortKey> = BTreeSet::new();
    for (_, key, groups) in world.open.values() {
        assert!(ports.insert(*key), "two ports for {key:?}");
        assert_eq!(wanted.get(key), Some(groups));
    }
    // What has failed waits to be opened again, or waits for a worker.
    let core_open: BTreeSet<PortKey> = router
        .ports
        .iter()
        .filter(|port| port.state == PortState::Open)
        .map(|port| port.key)
        .collect();
    assert_eq!(ports, core_open);
    let core_wanted: BTreeSet<PortKey> = router.ports.iter().map(|port| port.key).collect();
    assert_eq!(core_wanted, wanted.keys().copied().collect());
    if world.failed.is_empty() && world.dead.is_empty() {
        assert_eq!(ports, core_wanted, "a port that nobody has opened");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn step_by_step_equals_at_once(
        ops in proptest::collection::vec((any_op(), proptest::bool::weighted(0.7)), 1..60),
    ) {
        let mut world = World::new();
        for (op, settle) in ops {
            apply(&mut world, op);
            if settle {
                world.settle();
                check(&world);
            }
        }
        // In the end all is well again: workers run, retries are due, every wanted port is open.
        for worker in 0..2 {
            world.revive(worker);
        }
        world.settle();
        apply(&mut world, Op::Later(100_000));
        world.settle();
        check(&world);
        prop_assert_eq!(world.open.len(), world.core.router.ports.iter().count());
        prop_assert!(world.core.router.next_timeout().is_none());
    }
}
