//! L5, mcrctl: commands, tables, JSON.
