//! L3, the core: the one owner of rules, interfaces and forwarding state. Pure: no I/O, no clock.
//!
//! [`router::Router`] takes [`event::Event`]s and yields [`router::Output`]s. `resolve` turns names
//! into interfaces, `rules` and `ports` keep what was asked for and what is open, `status` shows
//! all of it as [`view`]s.

pub mod event;
mod interfaces;
mod ports;
mod resolve;
pub mod router;
mod rules;
mod status;
pub mod view;

pub use resolve::PortKey;
pub use rules::MAX_RULES;
