//! L3, the core: the one owner of rules, interfaces and forwarding state. Pure: no I/O, no clock.
//!
//! [`router::Router`] takes [`event::Event`]s and yields [`router::Output`]s. `resolve` turns names
//! into interfaces, `egress` says how copies leave them, `loops` cuts circles, `rules` and `ports`
//! keep what was asked for and what is open, `layout` and `spread` say which worker reads what, `status` and `mroute` show all of it as [`view`]s,
//! `said` tells what has changed as [`notice`]s, `dry_run` what would change, and [`ledger`] whether
//! the counters add up.

pub mod adopt;
mod dry_run;
mod egress;
pub mod event;
mod igmp_status;
mod interfaces;
mod joined;
pub mod layout;
pub mod ledger;
mod loops;
mod members;
mod mroute;
pub mod notice;
mod ports;
mod resolve;
pub mod router;
mod rules;
mod said;
mod spread;
mod status;
pub mod sums;
mod upstream;
pub mod view;

pub use members::wanted::{KnownGroup, KnownMembers};
pub use resolve::PortKey;
pub use rules::MAX_RULES;
