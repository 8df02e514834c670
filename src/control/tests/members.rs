//! Outputs that wait for members, and inputs that are asked for on demand.

use super::*;
use crate::control::notice::Notice;
use crate::fib::{Action, FlowKey, protocol};
use crate::types::{
    DropReason, HostMode, IgmpConfig, IgmpSettings, IgmpVersion, LinkDrops, OutputSource,
    Reception, When,
};
use ipnet::Ipv4Net;
use std::net::Ipv4Addr;

const SECOND: u64 = 1_000_000_000;

fn v4(text: &str) -> Ipv4Addr {
    text.parse().expect("an IPv4 address")
}

fn sources(texts: &[&str]) -> BTreeSet<Ipv4Addr> {
    texts.iter().map(|text| v4(text)).collect()
}

fn include(texts: &[&str]) -> Option<Reception> {
    Some(Reception::Include(sources(texts)))
}

fn exclude(texts: &[&str]) -> Option<Reception> {
    Some(Reception::Exclude(sources(texts)))
}

fn joined(seconds: u64) -> When {
    When::Joined { linger: Duration::from_secs(seconds) }
}

/// 239.0.0.0/8 from `a` to members on `b`, every port.
fn waiting(id: &str) -> Rule {
    with(rule(id), |r| {
        r.input.groups = net("239.0.0.0/8");
        r.input.join = Join::Never;
        r.input.ports = Default::default();
        r.outputs[0].when = joined(0);
    })
}

fn kept(mut rule: Rule) -> Rule {
    rule.outputs.iter_mut().for_each(|output| output.source = OutputSource::Keep);
    rule
}

impl Core {
    /// What members of a group want on an interface; none = there are none any more.
    fn members(&mut self, index: u32, group: &str, reception: Option<Reception>) -> Vec<String> {
        let Router { members, interfaces, .. } = &mut self.router;
        let of = (IfIndex(index), v4(group));
        self.said.extend(members.set(self.now, of, reception, interfaces));
        self.settle().iter().map(short).collect()
    }

    /// The interfaces that a packet from a source goes to, and why copies of it do not.
    fn way(&self, group: &str, source: &str) -> (Vec<u32>, Vec<DropReason>) {
        let key = FlowKey {
            iif: IfIndex(1),
            vlan: 0,
            destination: ip(group),
            source: ip(source),
            protocol: protocol::UDP,
            port: 5000,
        };
        let fib = self.router.table();
        let entry = fib.lookup(&key).expect("a rule");
        let (mut to, mut not) = (Vec::new(), Vec::new());
        for copy in &entry.copies {
            match copy.action {
                Action::Send(send) => to.push(send.oif.expect("an interface").0),
                Action::Drop(reason) => not.push(reason),
            }
        }
        assert_eq!(entry.rules.iter().collect::<BTreeSet<_>>().len(), entry.rules.len());
        (to, not)
    }

    fn to(&self, group: &str) -> Vec<u32> {
        self.way(group, "10.0.1.9").0
    }

    fn upstream(&self) -> Vec<String> {
        let text = self.router.memberships.iter().map(|m| match m.source {
            Some(source) => format!("{}:{}<{source}", m.index, m.group),
            None => format!("{}:{}", m.index, m.group),
        });
        text.collect()
    }
}

const NO_MEMBER: (Vec<u32>, Vec<DropReason>) = (Vec::new(), Vec::new());

fn nobody() -> (Vec<u32>, Vec<DropReason>) {
    let (to, mut not) = NO_MEMBER;
    not.push(DropReason::NoMember);
    (to, not)
}

#[test]
fn a_group_goes_out_while_it_has_members_and_the_rule_is_active_without() {
    let mut core = Core::new();
    let asked = core.add(waiting("r"));
    assert_eq!(asked, ["publish 1", "open 0 packet 1 at 0: 239.0.0.0", "listen 2", "transmit 2"]);
    assert_eq!(core.state("r"), (State::Active, None));
    assert_eq!(core.status("r").outputs[0].joined_groups, Some(0));
    assert_eq!(core.way("239.1.1.1", "10.0.1.9"), nobody());
    assert_eq!(core.members(2, "239.1.1.1", exclude(&[])), ["publish 2"]);
    assert_eq!(core.way("239.1.1.1", "10.0.1.9"), (vec![2], Vec::new()));
    assert_eq!(core.way("239.1.1.2", "10.0.1.9"), nobody());
    assert_eq!(core.status("r").outputs[0].joined_groups, Some(1));
    // Elsewhere, or outside of what the rule takes, it changes nothing.
    assert!(core.members(3, "239.1.1.2", exclude(&[])).is_empty());
    assert!(core.members(2, "225.1.1.1", exclude(&[])).is_empty());
    // The same again is no change.
    assert!(core.members(2, "239.1.1.1", exclude(&[])).is_empty());
    assert_eq!(core.members(2, "239.1.1.1", None), ["publish 3"]);
    assert_eq!(core.way("239.1.1.1", "10.0.1.9"), nobody());
    let told: Vec<String> = core.said.iter().map(|notice| format!("{notice:?}")).collect();
    let of = |what: &str| told.iter().filter(|line| line.starts_with(what)).count();
    assert_eq!((of("MemberJoined"), of("MemberLeft"), of("RuleState")), (2, 1, 0), "{told:?}");
}

#[test]
fn many_changes_are_one_table() {
    let mut core = Core::new();
    core.add(waiting("r"));
    let Router { members, interfaces, .. } = &mut core.router;
    for last in 1..=200 {
        let group = Ipv4Addr::new(239, 1, 1, last);
        members.set(Time(0), (IfIndex(2), group), exclude(&[]), interfaces);
    }
    let asked: Vec<String> = core.settle().iter().map(short).collect();
    assert_eq!(asked, ["publish 2"]);
    assert_eq!(core.status("r").outputs[0].joined_groups, Some(200));
    assert_eq!((core.to("239.1.1.200"), core.to("239.1.1.201")), (vec![2], vec![]));
    let told = |core: &Core| {
        core.said.iter().filter(|n| matches!(n, Notice::MembersChanged { .. })).count()
    };
    assert_eq!(told(&core), 0);
    core.wait();
    assert_eq!(told(&core), 1, "those beyond the first are told as a number");
}

#[test]
fn sources_are_wanted_or_blocked_where_receivers_see_them() {
    let mut core = Core::new();
    core.add(kept(with(waiting("r"), |r| {
        r.input.sources.exclude = net("10.0.1.66").to_vec();
    })));
    core.members(2, "239.1.1.1", include(&["10.0.1.7", "10.0.1.66"]));
    assert_eq!(core.way("239.1.1.1", "10.0.1.7"), (vec![2], vec![]));
    assert_eq!(core.way("239.1.1.1", "10.0.1.8"), nobody());
    core.members(2, "239.1.1.1", exclude(&["10.0.1.8"]));
    assert_eq!(core.way("239.1.1.1", "10.0.1.7"), (vec![2], vec![]));
    assert_eq!(core.way("239.1.1.1", "10.0.1.8"), nobody());
    // Wanted by members or not, the rule does not take it.
    let key = |source| FlowKey {
        iif: IfIndex(1),
        vlan: 0,
        destination: ip("239.1.1.1"),
        source: ip(source),
        protocol: protocol::UDP,
        port: 5000,
    };
    assert!(core.router.table().lookup(&key("10.0.1.66")).is_err());
    // Receivers see our address: 10.0.2.1 on b.
    let mut core = Core::new();
    core.add(waiting("r"));
    core.members(2, "239.1.1.1", include(&["10.0.1.7"]));
    assert_eq!(core.way("239.1.1.1", "10.0.1.7"), nobody());
    core.members(2, "239.1.1.1", include(&["10.0.2.1"]));
    assert_eq!(core.way("239.1.1.1", "10.0.1.7"), (vec![2], vec![]));
    core.members(2, "239.1.1.1", exclude(&["10.0.2.1"]));
    assert_eq!(core.way("239.1.1.1", "10.0.1.7"), nobody());
}

#[test]
fn each_interface_of_an_output_has_its_own_members() {
    let mut core = Core::new();
    core.add(kept(with(waiting("r"), |r| {
        r.outputs[0].interfaces =
            vec![InterfaceSelector::named(name("b")), InterfaceSelector::named(name("c"))].into();
    })));
    core.members(2, "239.1.1.1", exclude(&[]));
    core.members(3, "239.1.1.2", exclude(&[]));
    core.members(3, "239.1.1.3", include(&["10.0.1.9"]));
    core.members(2, "239.1.1.3", exclude(&["10.0.1.9"]));
    assert_eq!([core.to("239.1.1.1"), core.to("239.1.1.2")], [vec![2], vec![3]]);
    assert_eq!(core.way("239.1.1.3", "10.0.1.9"), (vec![3], vec![]));
    assert_eq!(core.way("239.1.1.3", "10.0.1.8"), (vec![2], vec![]));
    // An interface that is down has no members, and the other goes on.
    core.net(down(2, "b"));
    assert_eq!(core.way("239.1.1.1", "10.0.1.9"), nobody());
    assert_eq!((core.to("239.1.1.2"), core.state("r").0), (vec![3], State::Active));
    core.net(down(3, "c"));
    assert_eq!(core.way("239.1.1.2", "10.0.1.9"), (vec![], vec![DropReason::InterfaceDown]));
    assert_eq!(core.state("r").0, State::Pending);
    // Back again nobody is known there before he has said so.
    core.net(NetEvent::Link(link(2, "b")));
    assert_eq!(core.way("239.1.1.1", "10.0.1.9"), nobody());
}

#[test]
fn groups_are_those_that_receivers_see() {
    let mut core = Core::new();
    core.add(with(waiting("prefix"), |r| {
        r.input.groups = net("239.1.0.0/16");
        r.outputs[0].destination = Destination::Prefix("238.7.0.0/16".parse().expect("a prefix"));
    }));
    core.members(2, "239.1.2.3", exclude(&[]));
    assert_eq!(core.way("239.1.2.3", "10.0.1.9"), nobody());
    core.members(2, "238.7.2.3", exclude(&[]));
    assert_eq!((core.to("239.1.2.3"), core.to("239.1.2.4")), (vec![2], vec![]));
    // All that comes goes to one group.
    let mut core = Core::new();
    core.add(with(waiting("one"), |r| {
        r.outputs[0].destination = Destination::Address(ip("238.1.1.1"));
    }));
    assert!(core.members(2, "239.9.9.9", exclude(&[])).is_empty());
    core.members(2, "238.1.1.1", exclude(&[]));
    assert_eq!((core.to("239.9.9.9"), core.to("239.4.4.4")), (vec![2], vec![2]));
}

#[test]
fn other_outputs_and_rules_are_as_they_were() {
    let mut core = Core::new();
    core.add(with(waiting("r"), |r| {
        let mut always = output("c");
        always.port = "6000".parse().ok();
        r.outputs = vec![r.outputs[0].clone(), always].into();
    }));
    core.add(with(waiting("s"), |r| r.outputs = vec![output("c")].into()));
    let (to, not) = core.way("239.1.1.1", "10.0.1.9");
    assert_eq!((to, not), (vec![3, 3], vec![DropReason::NoMember]));
    core.members(2, "239.1.1.1", exclude(&[]));
    let (mut to, not) = core.way("239.1.1.1", "10.0.1.9");
    to.sort_unstable();
    assert_eq!((to, not), (vec![2, 3, 3], vec![]));
}

#[test]
fn what_was_wanted_stays_so_for_the_linger() {
    let mut core = Core::new();
    core.add(kept(with(waiting("r"), |r| {
        let mut long = r.outputs[0].clone();
        (long.when, long.port) = (joined(3), "7000".parse().ok());
        r.outputs = vec![r.outputs[0].clone(), long].into();
    })));
    core.members(2, "239.1.1.1", exclude(&["10.0.1.8"]));
    core.now = Time(10 * SECOND);
    core.members(2, "239.1.1.1", include(&["10.0.1.8"]));
    let sent = |core: &Core, source| core.way("239.1.1.1", source).0.len();
    assert_eq!((sent(&core, "10.0.1.9"), sent(&core, "10.0.1.8")), (1, 2));
    core.now = Time(11 * SECOND);
    core.members(2, "239.1.1.1", None);
    assert_eq!((sent(&core, "10.0.1.9"), sent(&core, "10.0.1.8")), (1, 1));
    assert_eq!(core.router.next_timeout(), Some(Time(13 * SECOND)));
    core.wait();
    assert_eq!((sent(&core, "10.0.1.9"), sent(&core, "10.0.1.8")), (0, 1));
    assert_eq!(core.router.next_timeout(), Some(Time(14 * SECOND)));
    core.wait();
    assert_eq!((sent(&core, "10.0.1.9"), sent(&core, "10.0.1.8")), (0, 0));
    let wanted = &core.router.members.wanted;
    assert_eq!((wanted.len(), wanted.next_timeout()), (0, None));
}

#[test]
fn on_demand_asks_for_what_members_want() {
    let mut core = Core::new();
    core.add(kept(with(waiting("r"), |r| r.input.join = Join::OnDemand)));
    assert!(core.upstream().is_empty());
    assert_eq!(
        core.members(2, "239.1.1.1", include(&["10.0.1.7"])),
        ["publish 2", "join 1:239.1.1.1<10.0.1.7"]
    );
    core.members(2, "239.1.1.2", exclude(&["10.0.1.7"]));
    assert_eq!(core.upstream(), ["1:239.1.1.1<10.0.1.7", "1:239.1.1.2"]);
    core.members(2, "239.1.1.2", None);
    assert_eq!(core.members(2, "239.1.1.1", None), ["publish 5", "join "]);
    // Where receivers see our source, all are needed for it.
    let mut core = Core::new();
    core.add(with(waiting("r"), |r| {
        r.input.join = Join::OnDemand;
        r.input.sources.include = net("10.0.1.5").to_vec();
    }));
    core.members(2, "239.1.1.1", include(&["10.0.2.1"]));
    assert_eq!(core.upstream(), ["1:239.1.1.1<10.0.1.5"]);
    // The rule's own list counts too.
    let mut core = Core::new();
    core.add(kept(with(waiting("r"), |r| {
        r.input.join = Join::OnDemand;
        r.input.sources.include = [net("10.0.1.5").to_vec(), net("10.0.1.6").to_vec()].concat();
    })));
    core.members(2, "239.1.1.1", exclude(&["10.0.1.5"]));
    core.members(2, "239.1.1.2", include(&["10.0.1.5", "10.0.1.9"]));
    assert_eq!(core.upstream(), ["1:239.1.1.1<10.0.1.6", "1:239.1.1.2<10.0.1.5"]);
}

#[test]
fn on_demand_with_an_output_that_always_sends_asks_for_all() {
    let mut core = Core::new();
    let both = |id: &str| {
        with(waiting(id), |r| {
            r.input.groups = net("239.1.1.0/31");
            r.input.join = Join::OnDemand;
            r.outputs = vec![r.outputs[0].clone(), output("c")].into();
        })
    };
    core.add(both("r"));
    assert_eq!(core.upstream(), ["1:239.1.1.0", "1:239.1.1.1"]);
    core.add(with(waiting("s"), |r| {
        r.input.groups = net("239.1.1.0/24");
        r.input.join = Join::OnDemand;
    }));
    core.members(2, "239.1.1.1", exclude(&[]));
    core.members(2, "239.1.1.8", exclude(&[]));
    assert_eq!(core.upstream(), ["1:239.1.1.0", "1:239.1.1.1", "1:239.1.1.8"]);
    core.step(Event::RemoveRule("r".to_owned()));
    assert_eq!(core.upstream(), ["1:239.1.1.1", "1:239.1.1.8"]);
}

fn on_host(interface: &str, mode: HostMode) -> Event {
    let hosts = vec![(InterfaceSelector::named(name(interface)), mode)];
    Event::Igmp(IgmpConfig { interfaces: Vec::new(), hosts })
}

#[test]
fn one_asks_upstream_the_kernel_or_we_and_who_was_first_leaves_first() {
    let mut core = Core::new();
    core.add(rule("r"));
    core.add(with(rule("s"), |r| {
        r.input.interfaces = on("b");
        r.outputs = vec![output("c")].into();
    }));
    let mut step = |mode| {
        let mut asked = core.step(on_host("a", mode));
        asked.dedup();
        (asked, core.upstream())
    };
    let all = vec!["1:239.1.1.1".to_owned(), "2:239.1.1.1".to_owned()];
    let (asked, upstream) = step(HostMode::Own);
    assert_eq!(asked, ["listen 1", "join 2:239.1.1.1", "hardware 1:239.1.1.1", "transmit 1"]);
    assert_eq!(upstream, all);
    // Another version is no other who asks.
    assert_eq!(
        step(HostMode::Forced(IgmpVersion::V2)),
        (vec!["transmit 1".to_owned()], all.clone())
    );
    let (asked, upstream) = step(HostMode::Kernel);
    assert_eq!(asked, ["listen ", "transmit 1", "join 1:239.1.1.1 2:239.1.1.1", "hardware "]);
    assert_eq!(upstream, all);
    // The same file again.
    assert!(core.step(on_host("a", HostMode::Kernel)).is_empty());
}

/// The kernel leaves and joins on `a`; what it fails to join is tried again and told as ever.
const AGAIN: [&str; 2] = ["rejoin 1", "join 1:239.1.1.1"];

fn asks_again(outputs: &[String]) -> bool {
    let asks = outputs.iter().any(|output| output == "rejoin 1");
    assert_eq!(asks, outputs.ends_with(&AGAIN.map(str::to_owned)), "{outputs:?}");
    asks
}

#[test]
fn what_was_asked_of_a_link_that_was_lost_is_asked_again() {
    let mut core = Core::new();
    core.add(rule("r"));
    assert!(!asks_again(&core.net(without_carrier(1, "a"))));
    assert!(asks_again(&core.net(NetEvent::Link(link(1, "a")))));
    // Both within one turn of the loop; nothing is asked for on b.
    for event in [without_carrier(1, "a"), NetEvent::Link(link(1, "a")), without_carrier(2, "b")] {
        core.tell(Event::Net(event));
    }
    core.tell(Event::Net(NetEvent::Link(link(2, "b"))));
    let asked: Vec<String> = core.settle().iter().map(short).collect();
    assert_eq!(asked, AGAIN);
}

/// A switch may use a port a second after we have seen its link.
#[test]
fn what_a_link_was_asked_again_is_asked_once_more_two_seconds_later() {
    let (mut core, second) = (Core::new(), Duration::from_secs(1));
    core.add(rule("r"));
    let flap = |core: &mut Core| {
        core.net(without_carrier(1, "a"));
        assert!(asks_again(&core.net(NetEvent::Link(link(1, "a")))));
    };
    flap(&mut core);
    let at = core.now.plus(second * 2);
    assert_eq!(core.router.next_timeout(), Some(at));
    assert_eq!(core.wait(), AGAIN);
    assert_eq!((core.now, core.router.next_timeout()), (at, None), "no third time");
    // Lost again meanwhile: the two seconds begin with the link.
    flap(&mut core);
    core.now = core.now.plus(second);
    flap(&mut core);
    assert_eq!(core.router.next_timeout(), Some(core.now.plus(second * 2)));
    // Nobody is asked where there is no link.
    core.net(without_carrier(1, "a"));
    assert_eq!(core.router.next_timeout(), None);
    flap(&mut core);
    core.net(NetEvent::LinkGone(IfIndex(1)));
    assert_eq!(core.router.next_timeout(), None);
}

/// The kernel tells of a short loss when it is over.
#[test]
fn what_was_asked_of_a_link_that_was_lost_for_a_moment_is_asked_again() {
    let mut core = Core::new();
    core.add(rule("r"));
    let losses = |carrier_losses| NetEvent::Link(Link { carrier_losses, ..link(1, "a") });
    core.net(losses(4));
    assert!(asks_again(&core.net(losses(5))));
    assert!(!asks_again(&core.net(losses(5))));
    // Another interface counts anew.
    core.net(NetEvent::LinkGone(IfIndex(1)));
    assert!(!asks_again(&core.net(losses(0))));
}

#[test]
fn packets_of_a_link_that_never_came_are_counted_by_their_cause() {
    let mut core = Core::new();
    let of = |text: &str, settings| (InterfaceSelector::named(name(text)), settings);
    let interfaces = vec![of("a", IgmpSettings::default())];
    let hosts = vec![(InterfaceSelector::named(name("b")), HostMode::Own)];
    core.step(Event::Igmp(IgmpConfig { interfaces, hosts }));
    let drops = LinkDrops { by_kernel: 3, too_long: 2 };
    for index in [1, 1, 2, 3] {
        core.tell(Event::LinkDrops { index: IfIndex(index), drops });
    }
    let of = |core: &Core| -> Vec<(u32, u64, Option<u64>)> {
        let Ok(Reply::IgmpStats(all)) = core.router.answer(core.now, &Request::IgmpStats(None))
        else {
            panic!("another reply");
        };
        let shown = all.iter();
        shown.map(|s| (s.index.0, s.kernel_dropped, s.dropped.get("too_long").copied())).collect()
    };
    assert_eq!(of(&core), [(1, 6, Some(4)), (2, 3, Some(2))], "where we listen");
    core.net(NetEvent::LinkGone(IfIndex(1)));
    core.net(NetEvent::Link(link(1, "a")));
    assert_eq!(of(&core)[0], (1, 0, None));
}

#[test]
fn the_file_says_where_members_are_tracked_besides() {
    let mut core = Core::new();
    let settings = IgmpSettings { max_groups: 7, ..IgmpSettings::default() };
    let of = |text: &str| (InterfaceSelector::named(name(text)), settings.clone());
    let config = IgmpConfig { interfaces: vec![of("c"), of("later")], hosts: Vec::new() };
    assert_eq!(core.step(Event::Igmp(config.clone())), ["listen 3", "transmit 3"]);
    assert!(core.step(Event::Igmp(config)).is_empty());
    core.add(waiting("r"));
    assert_eq!(
        core.step(Event::Net(NetEvent::Link(link(9, "later")))),
        ["listen 2 3 9", "transmit 9"]
    );
    assert_eq!(core.net(down(9, "later")), ["listen 2 3"]);
    assert_eq!(core.net(NetEvent::LinkGone(IfIndex(3))), ["gone 3", "listen 2"]);
    // What cannot be heard is said, and asked for again.
    core.step(Event::Listeners { failed: vec![(IfIndex(2), "no permission".to_owned())] });
    let (state, note) =
        (core.status("r").outputs[0].state, core.status("r").outputs[0].reason.clone());
    assert_eq!(state, State::Active);
    assert_eq!(note.as_deref(), Some("members on b are not heard: no permission"));
    assert_eq!(core.wait(), ["listen 2"]);
    core.step(Event::Listeners { failed: Vec::new() });
    assert_eq!(core.status("r").outputs[0].reason, None);
    assert_eq!(core.wait(), ["transmit 2"], "what is next is the next query");
    // Another interface under the same index has other sockets.
    let asked = core.step(Event::InterfaceReplaced(IfIndex(2)));
    assert_eq!(asked, ["gone 2", "listen 2", "transmit 2"]);
}

#[test]
fn two_hundred_interfaces_vanish_and_leave_nothing() {
    let mut core = Core::new();
    core.add(with(waiting("r"), |r| {
        let glob = crate::types::Criteria {
            name_glob: crate::types::NameGlob::try_from("veth*".to_owned()).ok(),
            ..Default::default()
        };
        r.outputs[0].interfaces = vec![glob.into()].into();
        r.outputs[0].when = joined(5);
        r.outputs[0].source = OutputSource::Keep;
    }));
    for n in 0..200 {
        core.tell(Event::Net(NetEvent::Link(link(100 + n, &format!("veth{n}")))));
    }
    core.settle();
    for n in 0..200 {
        let Router { members, interfaces, .. } = &mut core.router;
        for last in 1..=5 {
            let group = Ipv4Addr::new(239, 1, 1, last);
            members.set(Time(0), (IfIndex(100 + n), group), exclude(&[]), interfaces);
        }
    }
    core.settle();
    if core.router.compile_at.is_some() {
        core.wait();
    }
    assert_eq!(core.to("239.1.1.5").len(), 200);
    assert_eq!(core.status("r").outputs[0].joined_groups, Some(1000));
    for n in 0..200 {
        core.tell(Event::Net(NetEvent::LinkGone(IfIndex(100 + n))));
    }
    core.settle();
    let Router { members, listening, joined_groups, .. } = &core.router;
    assert_eq!((members.wanted.len(), listening.len(), members.interfaces().count()), (0, 0, 0));
    assert_eq!(joined_groups.values().sum::<usize>(), 0);
    assert_eq!(core.router.next_timeout(), None);
    assert_eq!(core.router.table().entries().len(), 1);
}

#[test]
fn ten_thousand_groups_wait_for_one_another() {
    let mut core = Core::new();
    core.add(kept(waiting("r")));
    let all: Vec<Ipv4Addr> =
        Ipv4Net::new(v4("239.64.0.0"), 10).expect("a prefix").hosts().take(10_000).collect();
    let mut tables = 0;
    for (at, group) in all.iter().enumerate() {
        let Router { members, interfaces, .. } = &mut core.router;
        members.set(core.now, (IfIndex(2), *group), exclude(&[]), interfaces);
        // A hundred reports in a packet, a packet a millisecond.
        if at % 100 == 99 {
            core.now = core.now.plus(Duration::from_millis(1));
            tables += core.settle().iter().filter(|o| matches!(o, Output::Publish { .. })).count();
        }
    }
    assert!(tables <= 15, "{tables} tables");
    while core.router.compile_at.is_some() {
        core.wait();
    }
    assert_eq!(core.status("r").outputs[0].joined_groups, Some(10_000));
    assert_eq!(core.to(&all[9_999].to_string()), [2]);
}

#[test]
fn members_that_were_known_count_until_they_had_time_to_answer() {
    let mut old = Core::new();
    let of = with(waiting("r"), |r| r.input.join = Join::OnDemand);
    old.add(of.clone());
    old.members(2, "239.1.1.1", exclude(&[]));
    old.members(2, "239.1.1.2", include(&["10.0.2.1"]));
    let notes = old.router.take_changed_members();
    assert_eq!(notes, old.router.known_members());
    assert!(old.router.take_changed_members().is_empty());
    old.members(2, "239.1.1.2", None);
    let changed = old.router.take_changed_members();
    assert_eq!(changed.len(), 1);
    assert_eq!((changed[0].index, changed[0].bucket, changed[0].groups.len()), (IfIndex(2), 2, 0));
    let known = notes.into_iter().flat_map(|of| {
        of.groups.into_iter().map(move |(group, reception)| (of.index, group, reception))
    });
    let mut new =
        Core { router: Router::new(Time(0), unbound(1), 1), now: Time(0), said: Vec::new() };
    new.router.adopt((7, 1), old.router.kept_rules(), Vec::new());
    new.router.adopt_members(known);
    new.tell(ready(0));
    let asked = new.net(NetEvent::Snapshot(network()));
    assert_eq!(asked.last().map(String::as_str), Some("join 1:239.1.1.1 1:239.1.1.2"));
    assert_eq!((new.to("239.1.1.1"), new.to("239.1.1.2")), (vec![2], vec![2]));
    // One is still there and says so.
    new.members(2, "239.1.1.1", exclude(&[]));
    assert_eq!(new.router.next_timeout(), Some(Time(12 * SECOND)));
    let asked = new.wait();
    assert_eq!(asked.last().map(String::as_str), Some("join 1:239.1.1.1"));
    assert_eq!((new.to("239.1.1.1"), new.to("239.1.1.2")), (vec![2], vec![]));
}
