//! What names look like.

use crate::text::quoted;

/// Longer names are not names.
const MAX_NAME: usize = 200;

/// Whether a name is a class path: those contain a colon.
pub(super) fn is_class_path(name: &str) -> bool {
    name.contains(':')
}

/// A class path, or what is wrong with it.
pub(super) fn check_class_path(class: &str) -> Result<(), String> {
    let part =
        |text: &str| !text.is_empty() && text.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '.' | '-'));
    match class.split_once(':') {
        Some((module, name)) if class.len() <= MAX_NAME && part(module) && part(name) => Ok(()),
        _ => Err(quoted(class)),
    }
}

/// Whether a component may have this short name.
pub(super) fn is_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= MAX_NAME
        && name.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '.'))
}

/// The short name that a class has unless it is given one: `module:SlowPhaseAlert` is `slow_phase_alert`.
pub(super) fn short_name(class: &str) -> String {
    let name: Vec<char> = class.rsplit(':').next().unwrap_or_default().chars().collect();
    let mut short = String::new();
    for (index, &c) in name.iter().enumerate() {
        let after = index > 0 && name[index - 1] != '_';
        let starts =
            index > 0 && (!name[index - 1].is_uppercase() || name.get(index + 1).is_some_and(|c| c.is_lowercase()));
        if c.is_uppercase() && after && starts {
            short.push('_');
        }
        short.extend(c.to_lowercase());
    }
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_names_are_snake_case() {
        for (class, name) in [
            ("my_rack.hooks:SlowPhaseAlert", "slow_phase_alert"),
            ("m:HTTPHook", "http_hook"),
            ("m:OTLPv2Export", "otl_pv2_export"),
            ("m:already_snake", "already_snake"),
            ("m:Mixed_Case", "mixed_case"),
            ("m:X", "x"),
        ] {
            assert_eq!(short_name(class), name);
        }
    }

    #[test]
    fn class_paths_have_one_colon_and_two_parts() {
        for class in ["a:B", "my_rack.hooks:SlowPhaseAlert", "my-rack.hooks:Slow_2"] {
            assert_eq!(check_class_path(class), Ok(()), "{class}");
        }
        for class in
            ["", ":", "a", "a:", ":B", "a:B:C", "a b:C", "a:B\n", "a\u{1b}[0m:B", &format!("a:{}", "B".repeat(300))]
        {
            assert!(check_class_path(class).is_err(), "{class}");
        }
    }
}
