//! L1, the forwarding table that workers read: immutable, compiled by control.
