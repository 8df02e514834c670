//! L4, the packet path. A packet's way, top to bottom:
//!
//! [`backend`] takes frames from the kernel ([`uring`], or [`syscalls`] where there is no
//! io_uring), [`decode`] makes datagrams of them, [`reassembly`] makes whole ones of fragments,
//! [`crate::fib::Fib::lookup`] says where they go, [`egress`] gives the socket to send from,
//! [`rewrite`] the headers where the kernel does not make them, and [`worker`] holds it together
//! and counts. [`meter`] says what a limited output may send.
//! [`link`] is all that control and workers say to each other; [`pool`] starts the threads, [`thread`]
//! puts them on their cores.

pub mod ancillary;
pub mod backend;
pub mod decode;
pub mod egress;
pub mod engine;
pub mod kernel_counters;
pub mod link;
pub mod meter;
pub mod pool;
pub mod process;
pub mod reassembly;
mod refusal;
pub mod rewrite;
pub mod syscalls;
pub mod thread;
pub mod uring;
pub mod worker;
