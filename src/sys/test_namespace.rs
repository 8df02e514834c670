//! A network namespace of its own for one test: a thread that leaves the process's namespace. The
//! namespace ends with the thread, whatever happens to the test.

use std::process::Command;

/// Runs `test` on a thread in a fresh network namespace. Without the privilege to make one the
/// test is not run and says so.
pub(crate) fn run(test: impl FnOnce() + Send) {
    if !nix::unistd::geteuid().is_root() {
        println!("skipped: needs root, to make a network namespace");
        return;
    }
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNET).expect("CLONE_NEWNET");
            test();
        });
        if let Err(panic) = thread.join() {
            std::panic::resume_unwind(panic);
        }
    });
}

/// Like [`run`], inside a current-thread runtime.
pub(crate) fn run_async<F: Future<Output = ()>>(test: impl FnOnce() -> F + Send) {
    run(|| {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime")
            .block_on(test());
    });
}

/// `ip ARGUMENTS` in this thread's namespace, which a child process inherits.
pub(crate) fn ip(arguments: &str) {
    let output = Command::new("ip").args(arguments.split_whitespace()).output().expect("ip runs");
    assert!(output.status.success(), "ip {arguments}: {}", String::from_utf8_lossy(&output.stderr));
}

/// Many lines of `ip` in one process, given as its batch input.
pub(crate) fn ip_batch(lines: &str) {
    use std::io::Write;
    let mut child = Command::new("ip")
        .args(["-batch", "-"])
        .stdin(std::process::Stdio::piped())
        .spawn()
        .expect("ip runs");
    let mut input = child.stdin.take().expect("piped");
    input.write_all(lines.as_bytes()).expect("ip reads");
    drop(input);
    assert!(child.wait().expect("ip ends").success(), "ip -batch");
}
