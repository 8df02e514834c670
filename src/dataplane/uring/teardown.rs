//! The end of a backend: nothing of ours is freed while the kernel may write there.

use super::UringBackend;
use super::token::{Kind, Token};
use io_uring::{cqueue, opcode, types};
use std::mem::ManuallyDrop;

impl Drop for UringBackend {
    fn drop(&mut self) {
        let all = types::CancelBuilder::any();
        let cancel = opcode::AsyncCancel2::new(all)
            .build()
            .user_data(Token::new(Kind::Cancel, 0, 0).encode());
        self.push(&cancel);
        let (mut frames, mut events, mut results) = (Vec::new(), Vec::new(), Vec::new());
        // Bounded: a kernel that does not give things back must not hang the process.
        for _ in 0..1000 {
            for (_, port) in &mut self.ports {
                port.closing = true;
            }
            let armed = self.wake_armed || self.ports.iter().any(|(_, port)| port.armed);
            if !armed && self.slots.in_flight() == 0 {
                break;
            }
            let timeout = types::Timespec::new().nsec(1_000_000);
            let wait = types::SubmitArgs::new().timespec(&timeout);
            // A timeout is an error here (ETIME); the loop's bound covers all of them.
            let _ = self.ring.submitter().submit_with_args(1, &wait);
            self.reap(&mut results);
            for completion in std::mem::take(&mut self.parked) {
                match Token::decode(completion.token) {
                    Some(Token { kind: Kind::Wake, .. }) => {
                        self.wake_armed = cqueue::more(completion.flags);
                    }
                    _ => {
                        self.dispatch(completion, &mut frames, &mut events);
                    }
                }
            }
        }
        let busy = self.wake_armed
            || self.ports.iter().any(|(_, port)| port.armed)
            || self.slots.in_flight() > 0;
        // SAFETY: the ring is not used after this. Its memory is its own.
        unsafe { ManuallyDrop::drop(&mut self.ring) };
        if busy {
            // Invariant 3: the kernel may still write there. Leak, ports included.
            std::mem::take(&mut self.ports).into_iter().for_each(|(_, port)| {
                std::mem::forget(port);
            });
            return;
        }
        // SAFETY: nothing is in flight, and neither is used after this.
        unsafe {
            ManuallyDrop::drop(&mut self.slots);
            ManuallyDrop::drop(&mut self.pool);
        }
    }
}
