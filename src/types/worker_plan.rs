//! Where a worker runs.

use serde::{Deserialize, Serialize};

/// What is asked of one worker thread.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct WorkerPlan {
    /// The processor core that it is bound to; none = wherever the scheduler puts it.
    pub cpu: Option<u32>,
}
