//! L5, where rules come from besides the control socket.

pub mod file_watch;
