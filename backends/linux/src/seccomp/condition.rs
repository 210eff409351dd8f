//! One condition on one argument of a call.

use nucleus_abi::{Error, ErrorCode, Result};

use super::abi::Abi;
use crate::config::document::{Argument, Operator as Op};

/// A call has six arguments, each 64 bits wide in `seccomp_data`.
const ARGUMENTS: usize = 6;

/// A condition: the argument's index and what it must satisfy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Condition {
    /// 0 to 5.
    pub(super) argument: u8,
    pub(super) test: Test,
}

/// What the 64-bit argument must satisfy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Test {
    /// `argument & mask == value`
    Same {
        mask: u64,
        value: u64,
    },
    /// `argument & mask != value`
    Other {
        mask: u64,
        value: u64,
    },
    Above(u64),
    AtLeast(u64),
    Below(u64),
    AtMost(u64),
}

impl Condition {
    /// The condition that `arg` states for calls through `abi`.
    pub(super) fn new(arg: &Argument, abi: Abi) -> Result<Self> {
        let argument = index(arg.index)?;
        let (value, second) = (arg.value, arg.value_two);
        let test = match arg.op {
            Op::Eq => Test::Same { mask: u64::MAX, value },
            Op::Ne => Test::Other { mask: u64::MAX, value },
            // Bits of the second value outside the mask don't count, as in libseccomp.
            Op::MaskedEq => Test::Same { mask: value, value: second & value },
            Op::Gt => Test::Above(value),
            Op::Ge => Test::AtLeast(value),
            Op::Lt => Test::Below(value),
            Op::Le => Test::AtMost(value),
        };
        Ok(Self { argument, test: if abi == Abi::X86 { test.narrowed() } else { test } })
    }

    /// `argument & mask == value`.
    pub(super) fn masked(argument: u8, mask: u64, value: u64) -> Self {
        Self { argument, test: Test::Same { mask, value } }
    }

    /// Whether the condition can't fail.
    pub(super) fn is_tautology(&self) -> bool {
        matches!(self.test, Test::Same { mask: 0, .. })
    }
}

impl Test {
    /// The test where arguments are 32 bits wide: equality looks at the low word alone, so that a profile's `-1`
    /// written with 64 bits still is `-1`. Order needs no change, because the kernel extends with zeros.
    fn narrowed(self) -> Self {
        let low = u64::from(u32::MAX);
        match self {
            Self::Same { mask, value } => Self::Same { mask: mask & low, value: value & low },
            Self::Other { mask, value } => Self::Other { mask: mask & low, value: value & low },
            order => order,
        }
    }
}

fn index(given: u32) -> Result<u8> {
    u8::try_from(given).ok().filter(|&index| usize::from(index) < ARGUMENTS).ok_or_else(|| {
        Error::new(ErrorCode::ConfigInvalid, "compile the seccomp profile")
            .because(format_args!("{given}: a system call has six arguments, 0 to 5"))
            .hint("correct `args[].index` in the profile")
    })
}
