//! What a plain scalar means: the core schema of YAML 1.2 (section 10.3.2), minus what only surprises.
//!
//! Numbers with a leading zero or in another base (`0022`, `0x10`) and `.inf` stay text, so that a mode written
//! without quotes is the mode that was meant, and so does a number that 64 bits cannot hold.

use super::tree::Value;

pub(super) fn plain(text: &str) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Value::Null,
        "true" | "True" | "TRUE" => return Value::Bool(true),
        "false" | "False" | "FALSE" => return Value::Bool(false),
        _ => {}
    }
    if is_integer(text) {
        return text.parse().map_or_else(|_| Value::Str(text.to_owned()), Value::Int);
    }
    if is_decimal(text) {
        return text.parse().map_or_else(|_| Value::Str(text.to_owned()), Value::Float);
    }
    Value::Str(text.to_owned())
}

fn is_integer(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    is_digits(digits) && (digits.len() == 1 || !digits.starts_with('0'))
}

fn is_decimal(text: &str) -> bool {
    let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let exponent = exponent.strip_prefix(['-', '+']).unwrap_or(exponent);
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, "0"));
    is_integer(whole) && is_digits(fraction) && is_digits(exponent)
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn core_schema() {
        assert_eq!(plain("~"), Value::Null);
        assert_eq!(plain("True"), Value::Bool(true));
        assert_eq!(plain("-12"), Value::Int(-12));
        assert_eq!(plain("1.5"), Value::Float(1.5));
        assert_eq!(plain("1e3"), Value::Float(1000.0));
    }

    #[test]
    fn surprises_stay_text() {
        for text in [
            "0022",
            "0x10",
            "0o17",
            "yes",
            "no",
            "on",
            ".inf",
            "1:30",
            "1_000",
            "9223372036854775808",
            "1.",
            "-",
        ] {
            assert_eq!(plain(text), Value::Str(text.to_owned()));
        }
    }
}
