//! Text that others wrote, made safe for a terminal; numbers made readable.

/// Replaces what a terminal would obey instead of showing: control characters, and marks that
/// reorder or hide text.
pub(super) fn shown(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        if obeyed(c) { safe.extend(c.escape_unicode()) } else { safe.push(c) }
    }
    safe
}

/// The same for a JSON document: there such characters stand in strings only, as `\u009b`.
pub(super) fn shown_json(document: &str) -> String {
    let mut safe = String::with_capacity(document.len());
    for c in document.chars() {
        if obeyed(c) && !matches!(c, '\n' | '\r' | '\t') {
            let mut units = [0; 2];
            for unit in c.encode_utf16(&mut units) {
                safe.push_str(&format!("\\u{unit:04x}"));
            }
        } else {
            safe.push(c);
        }
    }
    safe
}

fn obeyed(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e007f}')
}

/// 93784 seconds as "1d 2h 3m 4s", without leading zero parts.
pub(super) fn duration(seconds: u64) -> String {
    let parts = [
        (seconds / 86_400, 'd'),
        (seconds / 3600 % 24, 'h'),
        (seconds / 60 % 60, 'm'),
        (seconds % 60, 's'),
    ];
    let first = parts.iter().position(|(count, _)| *count > 0).unwrap_or(parts.len() - 1);
    let parts: Vec<String> = parts[first..].iter().map(|(n, unit)| format!("{n}{unit}")).collect();
    parts.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_gets_nothing_to_obey() {
        assert_eq!(shown("cam\u{1b}[2J"), "cam\\u{1b}[2J");
        assert_eq!(shown("a\nb\r\t\u{7f}"), "a\\u{a}b\\u{d}\\u{9}\\u{7f}");
        assert_eq!(shown("\u{9b}31m"), "\\u{9b}31m");
        assert_eq!(shown("abc\u{202e}fed"), "abc\\u{202e}fed");
        assert_eq!(shown("Kamera Süd 東"), "Kamera Süd 東");
    }

    #[test]
    fn json_stays_the_same_document() {
        let value = serde_json::json!({"name": "x\u{9b}\u{7f}\u{202e}\u{e0001}\u{1b}ü"});
        let document = serde_json::to_string_pretty(&value).expect("serialises");
        let safe = shown_json(&document);
        assert!(!safe.chars().any(|c| c != '\n' && obeyed(c)), "{safe:?}");
        assert!(safe.contains("x\\u009b\\u007f\\u202e\\udb40\\udc01\\u001bü"), "{safe}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&safe).expect("JSON"), value);
    }

    #[test]
    fn durations_start_with_their_largest_part() {
        assert_eq!(duration(0), "0s");
        assert_eq!(duration(59), "59s");
        assert_eq!(duration(3600), "1h 0m 0s");
        assert_eq!(duration(93_784), "1d 2h 3m 4s");
    }
}
