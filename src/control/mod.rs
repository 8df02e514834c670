//! L3, the core: the one owner of rules, interfaces and forwarding state. Pure: no I/O, no clock.

pub mod event;
pub mod view;
