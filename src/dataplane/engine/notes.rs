//! What control leaves with the data plane to find again: names and bytes, bounded.

use crate::dataplane::process::message::Note;
use std::collections::BTreeMap;

/// Bytes of all names and values at most.
const MAX_BYTES: usize = 256 << 20;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Notes {
    by_name: BTreeMap<Box<str>, Box<[u8]>>,
    bytes: usize,
}

impl Notes {
    /// Takes changes; those for which there is no room are left out, and that is said.
    pub(super) fn take(&mut self, notes: Vec<Note>) -> Result<(), &'static str> {
        let mut outcome = Ok(());
        for (name, value) in notes {
            if let Some(old) = self.by_name.remove(name.as_str()) {
                self.bytes -= name.len() + old.len();
            }
            let Some(value) = value else { continue };
            if self.bytes + name.len() + value.len() > MAX_BYTES {
                outcome = Err("no room for a note");
                continue;
            }
            self.bytes += name.len() + value.len();
            self.by_name.insert(name.into(), value.into());
        }
        outcome
    }

    pub(super) fn all(&self) -> Vec<(String, Vec<u8>)> {
        self.by_name.iter().map(|(name, value)| (name.to_string(), value.to_vec())).collect()
    }
}
