//! BPF instructions (RFC 9669) and jumps between them. Only what the sender's program uses.

/// One instruction, as the kernel reads it (`struct bpf_insn`, linux/bpf.h).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub(crate) struct Instruction {
    code: u8,
    /// Both registers, four bits each.
    registers: u8,
    offset: i16,
    immediate: i32,
}

/// A register. `R0` is what calls return, `R1` to `R5` are their arguments and lost in them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Register {
    R0,
    R1,
    R2,
    R3,
    R4,
    R5,
    R6,
    R7,
    R8,
}

/// Bytes of a load or store, by their code.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Size {
    /// 4 bytes.
    Word = 0x00,
    /// 2 bytes.
    Half = 0x08,
    /// 8 bytes.
    Double = 0x18,
}

/// What is done with 64 bits.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Operation {
    Add = 0x00,
    Sub = 0x10,
    And = 0x50,
    Shl = 0x60,
    Shr = 0x70,
    Xor = 0xa0,
    Set = 0xb0,
}

/// When a jump is taken; numbers have no sign.
#[derive(Clone, Copy, Debug)]
pub(crate) enum When {
    Equal = 0x10,
    Greater = 0x20,
    NotEqual = 0x50,
    Less = 0xa0,
    AtMost = 0xb0,
}

/// The second operand.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Operand {
    Register(Register),
    /// Extended to 64 bits with its sign.
    Number(i32),
}

impl From<Register> for Operand {
    fn from(register: Register) -> Self {
        Self::Register(register)
    }
}

impl From<i32> for Operand {
    fn from(number: i32) -> Self {
        Self::Number(number)
    }
}

/// Where a jump goes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Label(usize);

const FROM_REGISTER: u8 = 0x08;
const LOAD: u8 = 0x61;
const STORE: u8 = 0x63;
const JUMP: u8 = 0x05;
const CALL: u8 = 0x85;
const EXIT: u8 = 0x95;
const LOAD_WIDE: u8 = 0x18;
const WIDE_ALU: u8 = 0x07;
const TO_NETWORK_ORDER: u8 = 0xdc;
/// `BPF_PSEUDO_MAP_VALUE`: the number is a descriptor of an array map, and what is loaded the
/// address of its first value.
const MAP_VALUE: u8 = 2;

/// Instructions in order; jumps get their distances at the end.
#[derive(Debug, Default)]
pub(crate) struct Assembler {
    instructions: Vec<Instruction>,
    /// Where each label stands.
    labels: Vec<Option<usize>>,
    /// Jumps and where they go.
    jumps: Vec<(usize, Label)>,
}

impl Assembler {
    fn push(&mut self, code: u8, to: u8, from: u8, offset: i16, immediate: i32) {
        // Bit fields of C begin at the other end there.
        let (low, high) = if cfg!(target_endian = "big") { (from, to) } else { (to, from) };
        let registers = low | high << 4;
        self.instructions.push(Instruction { code, registers, offset, immediate });
    }

    /// to = the bytes at base + offset.
    pub(crate) fn load(&mut self, size: Size, to: Register, base: Register, offset: i16) {
        self.push(LOAD | size as u8, to as u8, base as u8, offset, 0);
    }

    /// The bytes at base + offset = from.
    pub(crate) fn store(&mut self, size: Size, base: Register, offset: i16, from: Register) {
        self.push(STORE | size as u8, base as u8, from as u8, offset, 0);
    }

    /// to = to OPERATION operand.
    pub(crate) fn compute(
        &mut self,
        operation: Operation,
        to: Register,
        operand: impl Into<Operand>,
    ) {
        self.with_operand(WIDE_ALU | operation as u8, to, operand.into(), 0);
    }

    fn with_operand(&mut self, code: u8, to: Register, operand: Operand, offset: i16) {
        match operand {
            Operand::Register(from) => {
                self.push(code | FROM_REGISTER, to as u8, from as u8, offset, 0);
            }
            Operand::Number(number) => self.push(code, to as u8, 0, offset, number),
        }
    }

    /// to = a number of 64 bits.
    pub(crate) fn set_wide(&mut self, to: Register, number: u64) {
        self.push(LOAD_WIDE, to as u8, 0, 0, number as i32);
        self.push(0, 0, 0, 0, (number >> 32) as i32);
    }

    /// to = the address of the value of an array map.
    pub(crate) fn set_map_value(&mut self, to: Register, map: i32) {
        self.push(LOAD_WIDE, to as u8, MAP_VALUE, 0, map);
        self.push(0, 0, 0, 0, 0);
    }

    /// The 64 bits in network order.
    pub(crate) fn network_order(&mut self, register: Register) {
        self.push(TO_NETWORK_ORDER, register as u8, 0, 0, 64);
    }

    /// `R0` = what a helper of the kernel returns (`enum bpf_func_id`).
    pub(crate) fn call(&mut self, helper: i32) {
        self.push(CALL, 0, 0, 0, helper);
    }

    /// Ends the program with a verdict.
    pub(crate) fn verdict(&mut self, verdict: i32) {
        self.compute(Operation::Set, Register::R0, verdict);
        self.end();
    }

    /// Ends the program; `R0` is its verdict.
    pub(crate) fn end(&mut self) {
        self.push(EXIT, 0, 0, 0, 0);
    }

    /// A label that is to be placed yet.
    pub(crate) fn label(&mut self) -> Label {
        self.labels.push(None);
        Label(self.labels.len() - 1)
    }

    /// The next instruction is where the label stands.
    pub(crate) fn place(&mut self, label: Label) {
        self.labels[label.0] = Some(self.instructions.len());
    }

    /// Goes to a label.
    pub(crate) fn jump(&mut self, to: Label) {
        self.jumps.push((self.instructions.len(), to));
        self.push(JUMP, 0, 0, 0, 0);
    }

    /// Goes to a label when the comparison is true.
    pub(crate) fn jump_when(
        &mut self,
        register: Register,
        when: When,
        operand: impl Into<Operand>,
        to: Label,
    ) {
        self.jumps.push((self.instructions.len(), to));
        self.with_operand(JUMP | when as u8, register, operand.into(), 0);
    }

    /// The program.
    ///
    /// # Panics
    /// When a label was not placed or is too far away.
    pub(crate) fn finish(mut self) -> Vec<Instruction> {
        for (at, label) in self.jumps {
            let target = self.labels[label.0].expect("a placed label");
            let distance = target as isize - (at as isize + 1);
            self.instructions[at].offset = i16::try_from(distance).expect("a short program");
        }
        self.instructions
    }
}
