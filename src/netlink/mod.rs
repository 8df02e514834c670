//! L4, the rtnetlink monitor: subscribe, dump, stream, resync.
