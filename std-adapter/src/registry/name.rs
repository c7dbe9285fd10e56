//! How names compare, and which one was meant.

use crate::text::quoted;

/// Longer names are not names.
const MAX_NAME: usize = 200;

/// The form in which names are compared: case does not matter, and a dash is an underscore.
pub(super) fn normal(name: &str) -> String {
    name.trim().chars().flat_map(char::to_lowercase).map(|c| if c == '-' { '_' } else { c }).collect()
}

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

/// The candidate that was most likely meant, if one is near.
pub(super) fn nearest<'c>(name: &str, candidates: impl IntoIterator<Item = &'c str>) -> Option<&'c str> {
    if name.len() > MAX_NAME {
        return None;
    }
    let wanted = normal(name);
    let most = (wanted.chars().count() / 3).max(1);
    let distance = |candidate: &'c str| (strsim::osa_distance(&wanted, &normal(candidate)), candidate);
    candidates.into_iter().map(distance).min().filter(|(distance, _)| *distance <= most).map(|(_, candidate)| candidate)
}

/// `: did you mean …?`, or nothing.
pub(super) fn suggestion<'c>(name: &str, candidates: impl IntoIterator<Item = &'c str>) -> String {
    nearest(name, candidates).map(|candidate| format!(": did you mean `{candidate}`?")).unwrap_or_default()
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
    fn near_names_are_suggested_and_far_ones_are_not() {
        assert_eq!(nearest("file-lgo", ["json_metrics", "file_log"]), Some("file_log"));
        assert_eq!(nearest("flie_log", ["json_metrics", "file_log"]), Some("file_log"));
        assert_eq!(nearest("database", ["json_metrics", "file_log"]), None);
        assert_eq!(nearest(&"a".repeat(1 << 20), ["a"]), None);
        assert_eq!(suggestion("verbos", ["log_file", "verbose"]), ": did you mean `verbose`?");
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
