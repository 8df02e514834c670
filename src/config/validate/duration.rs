//! Durations as people write them.

use super::super::diagnose::quoted;
use std::time::Duration;

/// Reads `250ms`, `30s`, `2m` or `1h`.
///
/// # Errors
/// What is wrong and what would be right.
pub(super) fn parse(text: &str) -> Result<Duration, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let scale = match &text[digits.len()..] {
        "ms" => Some(1),
        "s" => Some(1000),
        "m" => Some(60_000),
        "h" => Some(3_600_000),
        _ => None,
    };
    let whole = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    let number = digits.parse::<u64>().ok().filter(|_| whole);
    let milliseconds = number.zip(scale).and_then(|(number, scale)| number.checked_mul(scale));
    milliseconds.map(Duration::from_millis).ok_or_else(|| {
        format!(
            "{} is not a duration: a whole number and ms, s, m or h, such as \"30s\"",
            quoted(text)
        )
    })
}

/// The shortest way to write it; less than a millisecond is left out.
pub(in super::super) fn text_of(duration: Duration) -> String {
    let milliseconds = duration.as_millis();
    let units = [("h", 3_600_000), ("m", 60_000), ("s", 1000)];
    let unit = units
        .into_iter()
        .find(|(_, scale)| milliseconds >= *scale && milliseconds.is_multiple_of(*scale));
    match unit {
        Some((name, scale)) => format!("{}{name}", milliseconds / scale),
        None => format!("{milliseconds}ms"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_reads_the_same() {
        for text in ["0ms", "250ms", "1s", "90s", "2m", "1h", "1500ms"] {
            assert_eq!(parse(text).map(text_of).as_deref(), Ok(text));
        }
    }

    #[test]
    fn whole_numbers_and_a_unit() {
        let read = |text| parse(text).map(|d| d.as_millis()).ok();
        let good = [("0s", 0), ("250ms", 250), ("30s", 30_000), ("2m", 120_000), ("1h", 3_600_000)];
        for (text, milliseconds) in good {
            assert_eq!(read(text), Some(milliseconds), "{text}");
        }
        for text in [
            "",
            "s",
            "30",
            "3.5s",
            "-1s",
            "+1s",
            "1 s",
            "1d",
            "1S",
            "1sm",
            "٣s",
            "99999999999999999999s",
            "18446744073709551615h",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }
}
