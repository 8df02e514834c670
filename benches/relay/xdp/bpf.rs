//! The few commands of bpf(2) that the sender needs. No crate offers test runs with live frames
//! without bringing a compiler or a C library with it.

#![allow(unsafe_code)]

use super::assembler::Instruction;
use nix::libc::{self, c_long};
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

/// `enum bpf_cmd`.
const MAP_CREATE: c_long = 0;
const MAP_LOOKUP_ELEM: c_long = 1;
const MAP_UPDATE_ELEM: c_long = 2;
const PROG_LOAD: c_long = 5;
const PROG_TEST_RUN: c_long = 10;
const LINK_CREATE: c_long = 28;
/// `BPF_MAP_TYPE_ARRAY`.
const ARRAY: u32 = 2;
/// `BPF_PROG_TYPE_XDP`.
const XDP: u32 = 6;
/// `BPF_XDP` of `enum bpf_attach_type`, and XDP_FLAGS_SKB_MODE: any device can that.
const ATTACH_XDP: u32 = 37;
const GENERIC: u32 = 2;
/// `BPF_F_TEST_XDP_LIVE_FRAMES`, Linux 5.18.
const LIVE_FRAMES: u32 = 2;
/// Bytes for what the verifier says.
const LOG_LEN: usize = 1 << 16;

/// The arguments of a command: the beginning of `union bpf_attr`, plain numbers without padding.
///
/// # Safety
/// Every pointer in it is valid for what the kernel does with it in that command.
unsafe trait Arguments: Sized {}

/// Calls bpf(2).
///
/// # Safety
/// `arguments` are those of `command`.
unsafe fn bpf(command: c_long, arguments: &mut impl Arguments) -> io::Result<RawFd> {
    // SAFETY: the kernel reads and writes at most the stated size; the caller and `Arguments` vouch
    // for the rest.
    let result = unsafe {
        libc::syscall(libc::SYS_bpf, command, &raw mut *arguments, size_of_val(arguments))
    };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result as RawFd) }
}

fn number(len: usize) -> u32 {
    u32::try_from(len).expect("a small program, frame or value")
}

/// An array map with one value.
pub(crate) struct Map {
    fd: OwnedFd,
    len: usize,
}

#[repr(C)]
struct MapCreate {
    kind: u32,
    key_len: u32,
    value_len: u32,
    entries: u32,
}

// SAFETY: it has no pointer.
unsafe impl Arguments for MapCreate {}

#[repr(C)]
struct MapElement {
    map: u32,
    padding: u32,
    key: u64,
    value: u64,
    flags: u64,
}

// SAFETY: made in `Map::element` only, with a key of 4 bytes and a value of the map's length.
unsafe impl Arguments for MapElement {}

impl Map {
    /// A value of so many bytes, all 0.
    pub(crate) fn new(len: usize) -> io::Result<Self> {
        let mut arguments =
            MapCreate { kind: ARRAY, key_len: 4, value_len: number(len), entries: 1 };
        // SAFETY: these are the arguments of the command.
        let fd = unsafe { bpf(MAP_CREATE, &mut arguments) }?;
        // SAFETY: the descriptor is new and nobody else owns it.
        Ok(Self { fd: unsafe { OwnedFd::from_raw_fd(fd) }, len })
    }

    /// For [`super::assembler::Assembler::set_map_value`].
    pub(crate) fn number(&self) -> RawFd {
        self.fd.as_raw_fd()
    }

    fn element(&self, key: &u32, value: *const u8) -> MapElement {
        let (map, key) = (self.fd.as_raw_fd() as u32, (&raw const *key) as u64);
        MapElement { map, padding: 0, key, value: value as u64, flags: 0 }
    }

    /// The value.
    pub(crate) fn read(&self) -> io::Result<Vec<u8>> {
        let mut value = vec![0; self.len];
        let key = 0;
        let mut arguments = self.element(&key, value.as_mut_ptr());
        // SAFETY: the kernel reads the key and writes `len` bytes, as many as the vector has.
        unsafe { bpf(MAP_LOOKUP_ELEM, &mut arguments) }?;
        Ok(value)
    }

    /// Sets the value.
    ///
    /// # Panics
    /// When it has another length.
    pub(crate) fn write(&self, value: &[u8]) -> io::Result<()> {
        assert_eq!(value.len(), self.len, "the value's length");
        let key = 0;
        let mut arguments = self.element(&key, value.as_ptr());
        // SAFETY: the kernel reads the key and `len` bytes, as many as the slice has.
        unsafe { bpf(MAP_UPDATE_ELEM, &mut arguments) }?;
        Ok(())
    }
}

/// An XDP program in the kernel.
pub(crate) struct Program {
    fd: OwnedFd,
}

#[repr(C)]
struct ProgLoad {
    kind: u32,
    count: u32,
    instructions: u64,
    license: u64,
    log_level: u32,
    log_len: u32,
    log: u64,
}

// SAFETY: made in `Program::load` only, where all three lie in memory that outlives the call.
unsafe impl Arguments for ProgLoad {}

#[repr(C)]
struct LinkCreate {
    program: u32,
    ifindex: u32,
    attach: u32,
    flags: u32,
}

// SAFETY: it has no pointer.
unsafe impl Arguments for LinkCreate {}

#[derive(Default)]
#[repr(C)]
struct TestRun {
    program: u32,
    verdict: u32,
    len_in: u32,
    len_out: u32,
    data_in: u64,
    data_out: u64,
    repeat: u32,
    duration: u32,
    context_len_in: u32,
    context_len_out: u32,
    context_in: u64,
    context_out: u64,
    flags: u32,
    cpu: u32,
    batch: u32,
    padding: u32,
}

// SAFETY: made in `Program` only, with slices and their lengths, and no contexts.
unsafe impl Arguments for TestRun {}

impl Program {
    /// Gives it to the kernel.
    ///
    /// # Errors
    /// With what the verifier said, where it said something. EPERM without CAP_BPF and
    /// CAP_NET_ADMIN.
    pub(crate) fn load(instructions: &[Instruction]) -> io::Result<Self> {
        let mut log = vec![0u8; LOG_LEN];
        let mut arguments = ProgLoad {
            kind: XDP,
            count: number(instructions.len()),
            instructions: instructions.as_ptr() as u64,
            license: c"Dual MIT/GPL".as_ptr() as u64,
            log_level: 1,
            log_len: number(log.len()),
            log: log.as_mut_ptr() as u64,
        };
        // SAFETY: the kernel reads `count` instructions and a text that ends with 0, and writes at
        // most `log_len` bytes.
        match unsafe { bpf(PROG_LOAD, &mut arguments) } {
            // SAFETY: the descriptor is new and nobody else owns it.
            Ok(fd) => Ok(Self { fd: unsafe { OwnedFd::from_raw_fd(fd) } }),
            Err(error) => {
                let end = log.iter().position(|byte| *byte == 0).unwrap_or(log.len());
                let log = String::from_utf8_lossy(&log[..end]);
                let text = format!("loading an XDP program: {error}\n{log}");
                Err(io::Error::new(error.kind(), text.trim_end()))
            }
        }
    }

    /// Attaches it to an interface, for as long as the descriptor is open. Needs Linux 5.9.
    pub(crate) fn attach(&self, ifindex: u32) -> io::Result<OwnedFd> {
        let program = self.fd.as_raw_fd() as u32;
        let mut arguments = LinkCreate { program, ifindex, attach: ATTACH_XDP, flags: GENERIC };
        // SAFETY: these are the arguments of the command.
        let fd = unsafe { bpf(LINK_CREATE, &mut arguments) }?;
        // SAFETY: the descriptor is new and nobody else owns it.
        Ok(unsafe { OwnedFd::from_raw_fd(fd) })
    }

    /// Runs it for so many frames that begin as copies of this one, `batch` in a softirq's turn;
    /// where it says XDP_REDIRECT, the frame goes its way.
    ///
    /// # Errors
    /// EINVAL where the kernel knows no live frames; EINTR after a signal, with fewer sent.
    pub(crate) fn run_live(&self, frame: &[u8], count: u32, batch: u32) -> io::Result<()> {
        let mut arguments = TestRun {
            program: self.fd.as_raw_fd() as u32,
            len_in: number(frame.len()),
            data_in: frame.as_ptr() as u64,
            repeat: count,
            flags: LIVE_FRAMES,
            batch,
            ..TestRun::default()
        };
        // SAFETY: the kernel reads `len_in` bytes of the frame.
        unsafe { bpf(PROG_TEST_RUN, &mut arguments) }?;
        Ok(())
    }
}
