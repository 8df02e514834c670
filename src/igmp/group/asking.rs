//! The last-member process: whoever still wants what somebody has given up is asked for it, several times
//! (RFC 9776 section 6.6.3).

use super::{Address, Doubts, Group, Intervals};
use crate::types::Time;
use std::collections::BTreeMap;

/// A query to be sent now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::igmp) enum Ask<A> {
    /// Who wants the group? With the S flag, or without.
    Group {
        /// The S flag: a report has come meanwhile.
        suppress: bool,
    },
    /// Who wants the group from these? Never empty.
    Sources {
        /// The S flag: reports have come meanwhile.
        suppress: bool,
        /// The sources.
        sources: Vec<A>,
    },
}

/// What is still to be asked.
#[derive(Clone, Debug)]
pub(super) struct Asking<A> {
    /// How often for the group.
    group: u8,
    /// How often for each source.
    sources: BTreeMap<A, u8>,
    /// When next.
    at: Time,
}

impl<A> Asking<A> {
    pub(super) fn at(&self) -> Time {
        self.at
    }

    /// Somebody wants the group.
    pub(super) fn answered(&mut self) {
        self.group = 0;
    }
}

impl<A: Address> Group<A> {
    /// Lowers the timers of what is in doubt, sends the first queries and schedules the others (RFC 9776 sections
    /// 6.6.3.1 and 6.6.3.2).
    pub(super) fn ask(
        &mut self,
        now: Time,
        doubts: Doubts<A>,
        intervals: &Intervals,
    ) -> Vec<Ask<A>> {
        let mut asks = Vec::new();
        if !doubts.group && doubts.sources.is_empty() {
            return asks;
        }
        let more = intervals.count.saturating_sub(1);
        let end = now.plus(intervals.last_member_time());
        let next = now.plus(intervals.last_member);
        let asking = self.asking.get_or_insert_with(|| {
            Box::new(Asking { group: 0, sources: BTreeMap::new(), at: next })
        });
        if doubts.group {
            self.expires = self.expires.min(end);
            asking.group = more;
            asks.push(Ask::Group { suppress: false });
        }
        for source in &doubts.sources {
            if let Some(Some(timer)) = self.sources.get_mut(source) {
                *timer = (*timer).min(end);
            }
            if more > 0 {
                asking.sources.insert(*source, more);
            }
        }
        if !doubts.sources.is_empty() {
            let sources = doubts.sources.into_iter().collect();
            asks.push(Ask::Sources { suppress: false, sources });
        }
        self.rest();
        asks
    }

    /// The queries that are due. Those about what was confirmed meanwhile have the S flag, so that nobody lowers
    /// a timer by them.
    pub(in crate::igmp) fn due(&mut self, now: Time, intervals: &Intervals) -> Vec<Ask<A>> {
        let mut asks = Vec::new();
        let Some(asking) = self.asking.as_mut().filter(|asking| asking.at <= now) else {
            return asks;
        };
        let time = intervals.last_member_time();
        if asking.group > 0 {
            asking.group -= 1;
            asks.push(Ask::Group { suppress: self.expires > now.plus(time) });
        }
        let (mut confirmed, mut doubtful) = (Vec::new(), Vec::new());
        let known = &self.sources;
        asking.sources.retain(|source, left| {
            let Some(Some(timer)) = known.get(source) else { return false };
            let sources = if *timer > now.plus(time) { &mut confirmed } else { &mut doubtful };
            sources.push(*source);
            *left -= 1;
            *left > 0
        });
        for (suppress, sources) in [(true, confirmed), (false, doubtful)] {
            if !sources.is_empty() {
                asks.push(Ask::Sources { suppress, sources });
            }
        }
        asking.at = now.plus(intervals.last_member);
        self.rest();
        asks
    }

    fn rest(&mut self) {
        let over = |asking: &Asking<A>| asking.group == 0 && asking.sources.is_empty();
        self.asking.take_if(|asking| over(asking));
    }
}
