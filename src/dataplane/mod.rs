//! L4, the packet path: workers, ports, decode, egress, and the link to control.
