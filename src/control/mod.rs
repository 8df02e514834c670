//! L3, the core: the one owner of rules, interfaces and forwarding state. Pure: no I/O, no clock.
//!
//! [`router::Router`] takes [`event::Event`]s and yields [`router::Output`]s. `resolve` turns names
//! into interfaces, `egress` says how copies leave them, `loops` cuts circles, `rules` and `ports`
//! keep what was asked for and what is open, `status` and `mroute` show all of it as [`view`]s.

mod egress;
pub mod event;
mod interfaces;
mod loops;
mod mroute;
mod ports;
mod resolve;
pub mod router;
mod rules;
mod status;
pub mod view;

pub use resolve::PortKey;
pub use rules::MAX_RULES;
