//! The multicast relay `mcr` as a library; the binaries `mcrd`, `mcrctl` and `mcrgen` parse their
//! arguments and call it.
//!
//! A module imports only lower layers; `docs/architecture.md` holds the table and
//! `tests/architecture.rs` enforces it.
//!
//! ```text
//! L5 edges      config  sources  api  cli  traffic  telemetry  schema  manual   daemon (knows everyone)
//! L4 shells     sys  clock  netlink  sockets  dataplane         the only I/O
//! L3 core       control                                         pure
//! L2            rib  igmp                                       pure
//! L1            wire  fib  timers                               pure
//! L0            types                                           vocabulary
//! ```

pub mod api;
pub mod cli;
pub mod clock;
pub mod config;
pub mod control;
pub mod daemon;
pub mod dataplane;
pub mod fib;
pub mod igmp;
pub mod manual;
pub mod netlink;
pub mod rib;
pub mod schema;
pub mod sockets;
pub mod sources;
pub mod sys;
pub mod telemetry;
pub mod timers;
pub mod traffic;
pub mod types;
pub mod wire;
