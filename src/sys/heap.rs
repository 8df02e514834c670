//! What the C library keeps of memory that was freed.

/// Gives free pages of all heaps back to the kernel (malloc_trim(3)). The C library does so by itself
/// only at the end of the main heap: what a large text or message took in between would stay ours.
pub fn give_back() {
    #[cfg(target_env = "gnu")]
    // SAFETY: takes no pointer, and the library locks each heap while it looks at it.
    unsafe {
        libc::malloc_trim(0);
    }
}

/// Has the C library keep little of what is freed at the end of a heap. It would raise what it keeps, as
/// far as 64 MiB, to twice the largest piece that was ever freed (M_TRIM_THRESHOLD, mallopt(3)), in the
/// heap of each thread, and [`give_back`] leaves that alone. To be called before there are threads.
pub fn keep_little() {
    #[cfg(target_env = "gnu")]
    // SAFETY: takes no pointer; both are thresholds in bytes, and any number is one.
    unsafe {
        libc::mallopt(libc::M_TRIM_THRESHOLD, KEPT);
        libc::mallopt(libc::M_MMAP_THRESHOLD, KEPT);
    }
}

/// The C library's own threshold before it raises it, in bytes.
#[cfg(target_env = "gnu")]
const KEPT: libc::c_int = 128 << 10;

#[cfg(all(test, target_env = "gnu"))]
mod tests {
    use super::*;

    fn resident() -> u64 {
        let sums = std::fs::read_to_string("/proc/self/statm").expect("proc_pid_statm(5)");
        let pages = sums.split_whitespace().nth(1).expect("its second field");
        pages.parse::<u64>().expect("a number") * 4096
    }

    #[test]
    fn what_was_freed_between_pieces_that_stay_is_given_back() {
        // Too small for mmap(2) each, so that they lie in the heap, and the last one pins its end.
        let mut pieces: Vec<Vec<u8>> = (0..2000).map(|_| vec![1; 32 << 10]).collect();
        let last = pieces.pop();
        drop(pieces);
        give_back();
        let after = resident();
        let again: Vec<Vec<u8>> = (0..2000).map(|_| vec![1; 32 << 10]).collect();
        let full = resident();
        assert!(full > after + (40 << 20), "{after} {full}");
        drop((again, last));
    }
}
