//! L2, the unicast routes that rules and protocols ask. Pure.
