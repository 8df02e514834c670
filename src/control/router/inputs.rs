//! The input ports that rules need: divided into shards, spread over workers, opened, moved and closed.

use super::{Output, Router};
use crate::control::ports::{PortState, PortStep, Wanted};
use crate::control::resolve::{PortKey, Resolution};
use crate::control::spread::Crew;
use crate::fib::counters::PortCounters;
use crate::types::{InputFilter, Time};
use std::collections::BTreeMap;

impl Router {
    /// What a port has counted, as far as it is known.
    pub fn port_counters(&self, port: u32) -> PortCounters {
        self.ports.by_id(port).map(|port| port.counters.clone()).unwrap_or_default()
    }

    pub(super) fn update_ports(&mut self, now: Time) {
        let wanted = self.needed.iter().flat_map(|(key, filter)| self.divide(*key, filter));
        let wanted: BTreeMap<PortKey, Wanted> = wanted.collect();
        let crew = Crew {
            running: self.workers.iter().map(|worker| worker.running).collect(),
            expected: self
                .workers
                .iter()
                .map(|worker| worker.running || worker.restarts == 0)
                .collect(),
            free: self.layout.free(),
        };
        if std::mem::take(&mut self.uneven) {
            // Away from workers that are to end before those end; to new ones when they run.
            let steps = self.ports.spread(&crew);
            self.carry_out(steps);
        }
        if std::mem::take(&mut self.resized) {
            self.outputs.push_back(Output::Workers(self.layout.plans()));
        }
        let steps = self.ports.want(&wanted, &crew, now);
        self.carry_out(steps);
    }

    /// The ports for what rules need: an interface is divided into shards when its first port is wanted, and
    /// stays so while one is.
    fn divide(&self, key: PortKey, filter: &InputFilter) -> Vec<(PortKey, Wanted)> {
        let PortKey::Packet(iif, _) = key else {
            return vec![(key, Wanted { filter: filter.clone(), worker: None })];
        };
        let bound = self.interfaces.get(iif).and_then(|link| self.layout.bound(&link.name));
        let fresh = match &bound {
            Some(workers) => u32::try_from(workers.len()).unwrap_or(1),
            None => self.layout.shards(),
        };
        let shards = self.ports.shards(iif).unwrap_or(fresh);
        let worker_of = |shard: u32| bound.as_ref()?.get(shard as usize).copied();
        (0..shards)
            .map(|shard| {
                let want = Wanted { filter: filter.clone(), worker: worker_of(shard) };
                (PortKey::Packet(iif, shard), want)
            })
            .collect()
    }

    pub(super) fn carry_out(&mut self, steps: Vec<PortStep>) {
        for step in steps {
            self.outputs.push_back(match step {
                PortStep::Close(port) => Output::ClosePort { port },
                PortStep::Filter(port) => {
                    let filter = self.ports.by_id(port).map(|port| port.filter.clone());
                    Output::SetFilter { port, filter: filter.unwrap_or_default() }
                }
                PortStep::Move(port) => match self.ports.by_id(port) {
                    Some(at) => Output::MovePort { port, worker: at.worker },
                    None => continue,
                },
                PortStep::Open(port) => match self.open_step(port) {
                    Some(open) => open,
                    None => continue,
                },
            });
        }
    }

    fn open_step(&self, id: u32) -> Option<Output> {
        let port = self.ports.by_id(id)?;
        let link = self.interfaces.get(port.key.iif())?;
        Some(Output::OpenPort {
            port: id,
            worker: port.worker,
            key: port.key,
            shards: self.ports.shards(port.key.iif()).unwrap_or(1),
            link_layer: link.link_layer,
            filter: port.filter.clone(),
        })
    }

    /// Why none of a rule's input ports is open; none where one is.
    pub(in crate::control) fn port_trouble(&self, resolution: &Resolution) -> Option<String> {
        let mut trouble = None;
        for key in resolution.ports.iter() {
            let mut behind = self.ports.behind(key).peekable();
            behind.peek()?;
            for port in behind {
                let text = match &port.state {
                    PortState::Open if self.runs(port.worker) => return None,
                    PortState::Open | PortState::Waiting => "its worker does not run",
                    PortState::Failed { reason, .. } => reason,
                };
                trouble.get_or_insert_with(|| format!("input: {text}"));
            }
        }
        trouble
    }
}
