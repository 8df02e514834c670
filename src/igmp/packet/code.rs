//! Times as one byte (RFC 9776 sections 4.1.1 and 4.1.7): exact below 128, above it a floating point number of
//! four bits, whose value is (mant | 0x10) << (exp + 3).

/// The smallest value with an exponent.
const FLOAT: u32 = 128;
/// The largest value.
pub(super) const MAX: u32 = 31_744;

/// The value of a code.
pub(super) fn value(code: u8) -> u32 {
    let code = u32::from(code);
    if code < FLOAT {
        return code;
    }
    let (exponent, mantissa) = (code >> 4 & 0x07, code & 0x0f);
    (mantissa | 0x10) << (exponent + 3)
}

/// The code of the largest value that is not above this one.
pub(super) fn at_most(value: u32) -> u8 {
    let value = value.min(MAX);
    let code = if value < FLOAT {
        value
    } else {
        // FLOAT is 1 << 7, so the exponent is 0 up to twice that.
        let exponent = value.ilog2() - 7;
        let mantissa = value >> (exponent + 3) & 0x0f;
        FLOAT | exponent << 4 | mantissa
    };
    // MAX has the code 255.
    u8::try_from(code).unwrap_or(u8::MAX)
}

/// The code of the smallest value that is not below this one; of the largest value above that.
pub(super) fn at_least(wanted: u32) -> u8 {
    let code = at_most(wanted);
    if value(code) < wanted { code.saturating_add(1) } else { code }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn v3_1_codes_below_128_are_exact_and_float_from_there() {
        for (code, expected) in [
            (0, 0),
            (1, 1),
            (127, 127),
            (128, 128),
            (129, 136),
            (143, 248),
            (144, 256),
            (0xb5, 21 << 6),
            (254, 30_720),
            (255, 31_744),
        ] {
            assert_eq!(value(code), expected, "{code}");
            assert_eq!(at_most(expected), code);
            assert_eq!(at_least(expected), code);
        }
        assert_eq!(MAX, value(255));
    }

    #[test]
    fn v3_1_codes_round_towards_the_side_that_is_asked_for() {
        for (wanted, below, above) in [
            (129, 128, 129),
            (135, 128, 129),
            (137, 129, 130),
            (249, 143, 144),
            (255, 143, 144),
            (30_721, 254, 255),
            (31_743, 254, 255),
            (31_745, 255, 255),
            (u32::MAX, 255, 255),
        ] {
            assert_eq!(at_most(wanted), below, "{wanted}");
            assert_eq!(at_least(wanted), above, "{wanted}");
        }
    }

    #[test]
    fn v3_1_codes_and_values_have_the_same_order() {
        for code in 1..=u8::MAX {
            assert!(value(code) > value(code - 1));
        }
        for wanted in 0..=MAX {
            let (below, above) = (at_most(wanted), at_least(wanted));
            assert!(value(below) <= wanted && wanted <= value(above));
            assert!(above - below <= 1);
            assert_eq!(above == below, value(below) == wanted);
        }
    }
}
