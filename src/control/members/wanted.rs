//! What members want on each interface: now, a while after they have left, and what a core before this one knew.

use crate::types::{IfIndex, Reception, Time};
use ipnet::Ipv4Net;
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::time::Duration;

/// Earlier wishes of one group that are told apart; of more the two oldest become one.
const PAST_KEPT: usize = 4;
/// Groups without members that are still sent for a while, over all interfaces; beyond that those that end
/// first go at once.
const MAX_LINGERING: usize = 65_536;

/// One group on one interface.
#[derive(Clone, Debug, Default)]
struct Group {
    now: Option<Reception>,
    /// Of what is over, or only remembered.
    besides: Option<Box<Besides>>,
}

#[derive(Clone, Debug, Default)]
struct Besides {
    /// What was wanted until then, the oldest first.
    past: Vec<(Time, Reception)>,
    /// What a core before this one knew.
    held: Option<Reception>,
}

impl Group {
    fn wanted(&self, linger: Duration, now: Time) -> Option<Cow<'_, Reception>> {
        let current = self.now.as_ref().map(Cow::Borrowed);
        let Some(besides) = &self.besides else { return current };
        let past = besides.past.iter().filter(|(gone, _)| gone.plus(linger) > now);
        let past = past.map(|(_, reception)| reception);
        let more = past.chain(&besides.held).map(Cow::Borrowed);
        current.into_iter().chain(more).reduce(|a, b| Cow::Owned(either(&a, &b)))
    }

    fn is_empty(&self) -> bool {
        self.now.is_none() && self.besides.is_none()
    }

    /// Keeps in `besides` what `keep` leaves there.
    fn prune(&mut self, keep: impl FnOnce(&mut Besides)) {
        if let Some(besides) = &mut self.besides {
            keep(besides);
            if besides.past.is_empty() && besides.held.is_none() {
                self.besides = None;
            }
        }
    }
}

/// What one or the other wants.
pub(in crate::control) fn either(a: &Reception, b: &Reception) -> Reception {
    use Reception::{Exclude, Include};
    match (a, b) {
        (Include(a), Include(b)) => Include(a | b),
        (Exclude(a), Exclude(b)) => Exclude(a & b),
        (Include(wanted), Exclude(not)) | (Exclude(not), Include(wanted)) => Exclude(not - wanted),
    }
}

/// True where everything that `old` wants is wanted by `new` too.
fn covers(new: &Reception, old: &Reception) -> bool {
    either(new, old) == *new
}

/// What became of a group when a report or a timer said something about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// Its first member is there.
    Joined,
    /// Its last member is gone.
    Left,
    /// Members want other sources than before.
    Sources,
}

/// See the module.
#[derive(Clone, Debug, Default)]
pub(in crate::control) struct Wanted {
    groups: BTreeMap<(IfIndex, Ipv4Addr), Group>,
    /// Groups that have members now.
    joined: BTreeMap<IfIndex, usize>,
    /// Times at which something that is over ends to be sent, for each period that some output asks for.
    ends: BTreeSet<(Time, IfIndex, Ipv4Addr)>,
    /// How long outputs go on there.
    lingers: BTreeMap<IfIndex, BTreeSet<Duration>>,
    /// When what was only remembered is forgotten.
    held_until: BTreeMap<IfIndex, Time>,
    /// What has to be remembered anew: by interface and the last byte of the group.
    unnoted: BTreeSet<(IfIndex, u8)>,
}

impl Wanted {
    /// Members of a group want this now; none = there is no member. What has changed by that.
    pub(super) fn set(
        &mut self,
        now: Time,
        (index, group): (IfIndex, Ipv4Addr),
        reception: Option<Reception>,
    ) -> Option<Change> {
        let nothing = Reception::Include(BTreeSet::new());
        let reception = reception.filter(|reception| *reception != nothing);
        let entry = self.groups.entry((index, group)).or_default();
        let old = std::mem::replace(&mut entry.now, reception);
        let over = match (&old, &entry.now) {
            (Some(old), Some(new)) => !covers(new, old),
            (Some(_), None) => true,
            (None, _) => false,
        };
        let change = match (&old, &entry.now) {
            (None, Some(_)) => Some(Change::Joined),
            (Some(_), None) => Some(Change::Left),
            (old, new) => (old != new).then_some(Change::Sources),
        };
        let lingers = self.lingers.get(&index).into_iter().flatten();
        let lingers: Vec<Duration> = lingers.copied().filter(|linger| !linger.is_zero()).collect();
        if let Some(old) = old.filter(|_| over && !lingers.is_empty()) {
            let past = &mut entry.besides.get_or_insert_default().past;
            if past.len() >= PAST_KEPT {
                let (_, oldest) = past.remove(0);
                past[0].1 = either(&past[0].1, &oldest);
            }
            past.push((now, old));
            self.ends.extend(lingers.iter().map(|linger| (now.plus(*linger), index, group)));
        }
        if entry.is_empty() {
            self.groups.remove(&(index, group));
        }
        let joined = self.joined.entry(index).or_default();
        match change {
            Some(Change::Joined) => *joined += 1,
            Some(Change::Left) => *joined = joined.saturating_sub(1),
            Some(Change::Sources) | None => {}
        }
        if change.is_some() {
            self.unnoted.insert((index, bucket(group)));
        }
        self.shed();
        change
    }

    /// Ends what ends first where too much goes on.
    fn shed(&mut self) {
        while self.ends.len() > MAX_LINGERING
            && let Some((at, index, group)) = self.ends.pop_first()
        {
            self.end(at, index, group);
        }
    }

    fn end(&mut self, now: Time, index: IfIndex, group: Ipv4Addr) {
        let longest = self.lingers.get(&index).and_then(BTreeSet::last).copied();
        let longest = longest.unwrap_or_default();
        if let Some(entry) = self.groups.get_mut(&(index, group)) {
            entry.prune(|besides| besides.past.retain(|(gone, _)| gone.plus(longest) > now));
            if entry.is_empty() {
                self.groups.remove(&(index, group));
            }
        }
    }

    /// Ends what is to end by now. True where something did.
    pub(super) fn handle_timeout(&mut self, now: Time) -> bool {
        let mut changed = false;
        while let Some(&(at, index, group)) = self.ends.first().filter(|(at, ..)| *at <= now) {
            self.ends.remove(&(at, index, group));
            self.end(now, index, group);
            changed = true;
        }
        let due: Vec<IfIndex> =
            self.held_until.iter().filter(|(_, at)| **at <= now).map(|(index, _)| *index).collect();
        for index in due {
            self.held_until.remove(&index);
            self.retain(index, |group| group.prune(|besides| besides.held = None));
            changed = true;
        }
        changed
    }

    pub(in crate::control) fn next_timeout(&self) -> Option<Time> {
        let end = self.ends.first().map(|(at, ..)| *at);
        end.into_iter().chain(self.held_until.values().copied()).min()
    }

    /// How long outputs of an interface go on after members have left.
    pub(super) fn set_lingers(&mut self, index: IfIndex, lingers: BTreeSet<Duration>) {
        if self.lingers.get(&index) == Some(&lingers) {
            return;
        }
        self.ends.retain(|(_, on, _)| *on != index);
        for ((_, group), entry) in self.groups.range(all_of(index)) {
            let past = entry.besides.iter().flat_map(|besides| &besides.past);
            for (gone, _) in past {
                let ends = lingers.iter().map(|linger| (gone.plus(*linger), index, *group));
                self.ends.extend(ends);
            }
        }
        self.lingers.insert(index, lingers);
    }

    /// Nothing is known of an interface any more. True where something was.
    pub(super) fn forget(&mut self, index: IfIndex) -> bool {
        self.ends.retain(|(_, on, _)| *on != index);
        self.lingers.remove(&index);
        self.held_until.remove(&index);
        self.joined.remove(&index);
        let before = self.groups.len();
        self.retain(index, |group| *group = Group::default());
        self.groups.len() != before
    }

    /// Changes every group of an interface; those that are empty then go.
    fn retain(&mut self, index: IfIndex, mut change: impl FnMut(&mut Group)) {
        let mut empty = Vec::new();
        for ((_, group), entry) in self.groups.range_mut(all_of(index)) {
            change(entry);
            self.unnoted.insert((index, bucket(*group)));
            if entry.is_empty() {
                empty.push((index, *group));
            }
        }
        for key in empty {
            self.groups.remove(&key);
        }
    }

    /// Groups of a prefix that are wanted on an interface by an output that goes on for so long, in order.
    pub(in crate::control) fn within(
        &self,
        index: IfIndex,
        within: Ipv4Net,
        linger: Duration,
        now: Time,
    ) -> impl Iterator<Item = (Ipv4Addr, Cow<'_, Reception>)> {
        let range = (index, within.network())..=(index, within.broadcast());
        let groups = self.groups.range(range);
        groups.filter_map(move |((_, group), of)| Some((*group, of.wanted(linger, now)?)))
    }

    /// How many groups have members on an interface.
    pub(in crate::control) fn joined(&self, index: IfIndex) -> usize {
        self.joined.get(&index).copied().unwrap_or(0)
    }

    /// How many groups there are, over all interfaces.
    pub(in crate::control) fn len(&self) -> usize {
        self.groups.len()
    }

    /// Takes over what a core before this one knew.
    pub(super) fn hold(&mut self, known: impl IntoIterator<Item = KnownGroup>) {
        for (index, group, reception) in known {
            let entry = self.groups.entry((index, group)).or_default();
            entry.besides.get_or_insert_default().held = Some(reception);
        }
    }

    /// What was only remembered stays until then.
    pub(super) fn hold_until(&mut self, index: IfIndex, at: Time) {
        let of = self.groups.range(all_of(index)).map(|(_, group)| group);
        let mut held = of.filter_map(|group| group.besides.as_ref()?.held.as_ref());
        if held.next().is_some() {
            self.held_until.entry(index).or_insert(at);
        }
    }

    /// The interfaces that something is known of.
    pub(super) fn interfaces(&self) -> BTreeSet<IfIndex> {
        self.groups.keys().map(|(index, _)| *index).collect()
    }

    /// What is to be remembered and has changed since the last call.
    pub(super) fn take_changed(&mut self) -> Vec<KnownMembers> {
        let changed = std::mem::take(&mut self.unnoted);
        self.known(changed)
    }

    /// All that is to be remembered.
    pub(super) fn all_known(&self) -> Vec<KnownMembers> {
        self.known(self.groups.keys().map(|(index, group)| (*index, bucket(*group))).collect())
    }

    fn known(&self, of: BTreeSet<(IfIndex, u8)>) -> Vec<KnownMembers> {
        let interfaces: BTreeSet<IfIndex> = of.iter().map(|(index, _)| *index).collect();
        let mut known: BTreeMap<(IfIndex, u8), Vec<(Ipv4Addr, Reception)>> =
            of.into_iter().map(|key| (key, Vec::new())).collect();
        let groups = interfaces.into_iter().flat_map(|index| self.groups.range(all_of(index)));
        for ((index, group), entry) in groups {
            let Some(to) = known.get_mut(&(*index, bucket(*group))) else { continue };
            let held = entry.besides.as_ref().and_then(|besides| besides.held.as_ref());
            let all = entry.now.iter().chain(held).map(Cow::Borrowed);
            let all = all.reduce(|a, b| Cow::Owned(either(&a, &b)));
            to.extend(all.map(|reception| (*group, reception.into_owned())));
        }
        let known = known.into_iter();
        known.map(|((index, bucket), groups)| KnownMembers { index, bucket, groups }).collect()
    }
}

/// A group on an interface, and what is wanted of it.
pub type KnownGroup = (IfIndex, Ipv4Addr, Reception);

/// Some groups of an interface, to be remembered for a core after this one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownMembers {
    /// The interface.
    pub index: IfIndex,
    /// The last byte of their addresses: so that one change has not all of them written again.
    pub bucket: u8,
    /// The groups, and what is wanted of them.
    pub groups: Vec<(Ipv4Addr, Reception)>,
}

fn bucket(group: Ipv4Addr) -> u8 {
    group.octets()[3]
}

fn all_of(index: IfIndex) -> std::ops::RangeInclusive<(IfIndex, Ipv4Addr)> {
    (index, Ipv4Addr::UNSPECIFIED)..=(index, Ipv4Addr::BROADCAST)
}
