//! L5, the running relay: builds everything, owns the one event loop, dispatches.
