//! Text from outside, made safe to show: the one sanitizer.
//!
//! Device ids, names of phases and files, USB descriptors, values of YAML and JSON, and what firmware prints were written by
//! others. Shown as they are, they could steer a terminal, begin a line of their own, turn the order of characters, or hide
//! what they say. [`printable`] shows U+FFFD in place of each character that does so:
//!
//! | class | characters |
//! |---|---|
//! | controls: terminal escapes, line breaks | U+0000–001F, U+007F–009F; but a tab becomes a space |
//! | line and paragraph separators | U+2028, U+2029 |
//! | the direction of writing | U+061C, U+200E, U+200F, U+202A–202E, U+2066–2069 |
//! | what has no width | U+200B–200D, U+2060–2065, U+206A–206F, U+FEFF, soft hyphen, fillers, variation selectors |
//! | tags, and annotations between lines | U+E0000–E0FFF, U+FFF9–FFFB |
//!
//! The directions, what has no width and the tags are together Unicode's `Default_Ignorable_Code_Point`. Joined emoji and
//! scripts that need joiners pay for it: a name that looks like another one is worse than a replaced character.
//!
//! Errors name files and values as they are; whoever prints an error passes it through [`printable`]. The command does so
//! with everything that it prints, and [`report::render`](crate::report::render) with the report.

pub(crate) mod number;
pub(crate) mod page;
pub(crate) mod table;

use serde::Serialize;

/// The text in one line, with nothing in it that steers a terminal, turns the order of characters or cannot be seen.
///
/// It has as many characters as before: a tab becomes a space, whatever else misleads becomes U+FFFD. What is printable
/// already stays as it is.
///
/// ```
/// use phasemeter::text::printable;
///
/// assert_eq!(printable("board\u{1b}[2J-7"), "board\u{fffd}[2J-7");
/// assert_eq!(printable("größe: 5 µs"), "größe: 5 µs");
/// ```
#[must_use]
pub fn printable(text: &str) -> String {
    text.chars().map(shown).collect()
}

/// As [`printable`], in as many lines as before.
#[cfg(any(test, feature = "cli"))]
pub(crate) fn printable_lines(text: &str) -> String {
    text.chars().map(|c| if c == '\n' { c } else { shown(c) }).collect()
}

/// A value for a message: quoted and escaped as a string of Rust, in one line that is not long.
pub(crate) fn quoted(text: &str) -> String {
    const MOST: usize = 60;
    let mut start: String = text.chars().take(MOST).collect();
    if start.len() < text.len() {
        start.push('…');
    }
    printable(&format!("{start:?}"))
}

/// Indented JSON that ends its last line. It says what the value does, to the last character, and is printable: what
/// misleads is escaped.
pub(crate) fn to_json(value: &impl Serialize) -> serde_json::Result<String> {
    let json = serde_json::to_string_pretty(value)?;
    let mut escaped = String::with_capacity(json.len() + 1);
    for c in json.chars() {
        // Outside of strings there is nothing but ASCII, and of that no control but the ends of lines.
        if c != '\n' && misleads(c) {
            let mut units = [0; 2];
            escaped.extend(c.encode_utf16(&mut units).iter().map(|unit| format!("\\u{unit:04x}")));
        } else {
            escaped.push(c);
        }
    }
    escaped.push('\n');
    Ok(escaped)
}

fn shown(c: char) -> char {
    match c {
        '\t' => ' ',
        c if misleads(c) => char::REPLACEMENT_CHARACTER,
        c => c,
    }
}

/// Unicode 17's `Cc`, `Zl`, `Zp` and `Default_Ignorable_Code_Point`, and the annotations.
fn misleads(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{ad}'
                | '\u{34f}'
                | '\u{61c}'
                | '\u{115f}'..='\u{1160}'
                | '\u{17b4}'..='\u{17b5}'
                | '\u{180b}'..='\u{180f}'
                | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{3164}'
                | '\u{fe00}'..='\u{fe0f}'
                | '\u{feff}'
                | '\u{ffa0}'
                | '\u{fff0}'..='\u{fffb}'
                | '\u{1bca0}'..='\u{1bca3}'
                | '\u{1d173}'..='\u{1d17a}'
                | '\u{e0000}'..='\u{e0fff}'
        )
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A class, and characters of it.
    const HARMFUL: [(&str, &str); 8] = [
        ("escapes of terminals", "\u{1b}\u{9b}\u{90}\u{9d}\u{7}"),
        ("other controls", "\0\u{1}\u{8}\n\u{b}\r\u{1f}\u{7f}\u{80}\u{85}\u{9f}"),
        ("separators", "\u{2028}\u{2029}"),
        ("marks of direction", "\u{61c}\u{200e}\u{200f}"),
        (
            "embeddings, overrides and isolates",
            "\u{202a}\u{202b}\u{202c}\u{202d}\u{202e}\u{2066}\u{2067}\u{2068}\u{2069}",
        ),
        ("without width", "\u{ad}\u{34f}\u{180e}\u{200b}\u{200c}\u{200d}\u{2060}\u{2064}\u{feff}"),
        ("fillers and variations", "\u{115f}\u{1160}\u{3164}\u{ffa0}\u{fe00}\u{fe0f}\u{e0100}\u{e01ef}"),
        ("tags and annotations", "\u{e0000}\u{e0001}\u{e0020}\u{e0041}\u{e007f}\u{fff9}\u{fffa}\u{fffb}"),
    ];

    #[test]
    fn every_class_of_what_misleads_is_replaced() {
        for (class, characters) in HARMFUL {
            for c in characters.chars() {
                assert_eq!(printable(&format!("a{c}b")), "a\u{fffd}b", "{class}: {c:?}");
            }
        }
        assert_eq!(printable_lines("a\tb\r\n\u{1b}\u{2028}c\n"), "a b\u{fffd}\n\u{fffd}\u{fffd}c\n");
    }

    #[test]
    fn what_can_be_read_stays() {
        let text = "Größe ≤ 5 µs — Ωmega, 測定, יום, قياس, ไทย, e\u{301}, \u{a0}, \u{3000}, 🦀, \u{e000}, \u{fffd}";
        assert_eq!(printable(text), text);
    }

    /// The standard library escapes what it takes for unprintable: an opinion from elsewhere, about each character.
    #[test]
    fn nothing_that_debug_escapes_as_a_format_character_is_shown() {
        // Characters that the standard library escapes and that can be seen, or do not exist: spaces, private use, marks
        // that join the character before, and what is not assigned.
        let is_seen = |c: char| {
            c.is_whitespace() && !matches!(c, '\u{2028}' | '\u{2029}') && !c.is_control()
                || matches!(c, '\'' | '"' | '\\')
        };
        let format_characters = ('\0'..='\u{ff}').chain('\u{2000}'..='\u{206f}').chain('\u{e0000}'..='\u{e007f}');
        for c in format_characters.filter(|c| c.escape_debug().count() > 1 && !is_seen(*c)) {
            assert_ne!(printable(&c.to_string()), c.to_string(), "{c:?}");
        }
    }

    #[test]
    fn a_value_is_quoted_in_one_short_line() {
        assert_eq!(quoted("a \"b\"\n\u{1b}[m\u{202e}"), r#""a \"b\"\n\u{1b}[m\u{202e}""#);
        assert_eq!(quoted("\u{3164}"), "\"\u{fffd}\"");
        assert_eq!(quoted(&"x".repeat(1 << 20)).chars().count(), 63);
    }

    #[test]
    fn json_says_the_same_with_escapes() {
        let value = serde_json::json!({"a\u{9b}": "\u{1b}[m\u{e0041}\n", "b": [1]});
        let expected = "{\n  \"a\\u009b\": \"\\u001b[m\\udb40\\udc41\\n\",\n  \"b\": [\n    1\n  ]\n}\n";
        assert_eq!(to_json(&value).unwrap(), expected);
    }

    /// Any characters, and more of the harmful ones than chance would give.
    fn text() -> impl Strategy<Value = String> {
        let harmful: Vec<char> = HARMFUL.iter().flat_map(|(_, characters)| characters.chars()).collect();
        let character = prop_oneof![any::<char>(), proptest::sample::select(harmful)];
        proptest::collection::vec(character, 0..50).prop_map(|characters| characters.into_iter().collect())
    }

    proptest! {
        #[test]
        fn what_is_printable_stays_so(text in text()) {
            let once = printable(&text);
            prop_assert_eq!(once.chars().count(), text.chars().count());
            prop_assert!(!once.chars().any(char::is_control));
            prop_assert_eq!(printable(&once), once);
        }

        #[test]
        fn json_is_printable_and_says_what_the_value_does(text in text()) {
            let json = to_json(&text).unwrap();
            prop_assert_eq!(serde_json::from_str::<String>(&json).unwrap(), text);
            prop_assert_eq!(printable_lines(&json), json);
        }
    }
}
