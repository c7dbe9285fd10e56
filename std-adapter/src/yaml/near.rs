//! Which name was meant.

/// Longer names are not names.
const MAX_NAME: usize = 200;

/// The form in which names are compared: case does not matter, and a dash is an underscore.
pub(crate) fn normal(name: &str) -> String {
    name.trim().chars().flat_map(char::to_lowercase).map(|c| if c == '-' { '_' } else { c }).collect()
}

/// The candidate that was most likely meant, if one is near.
pub(crate) fn nearest<'c>(name: &str, candidates: impl IntoIterator<Item = &'c str>) -> Option<&'c str> {
    if name.len() > MAX_NAME {
        return None;
    }
    let wanted = normal(name);
    let most = (wanted.chars().count() / 3).max(1);
    let distance = |candidate: &'c str| (strsim::osa_distance(&wanted, &normal(candidate)), candidate);
    candidates.into_iter().map(distance).min().filter(|(distance, _)| *distance <= most).map(|(_, candidate)| candidate)
}

/// `: did you mean …?`, or nothing.
pub(crate) fn suggestion<'c>(name: &str, candidates: impl IntoIterator<Item = &'c str>) -> String {
    nearest(name, candidates).map(|candidate| format!(": did you mean `{candidate}`?")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_names_are_suggested_and_far_ones_are_not() {
        assert_eq!(nearest("file-lgo", ["json_metrics", "file_log"]), Some("file_log"));
        assert_eq!(nearest("flie_log", ["json_metrics", "file_log"]), Some("file_log"));
        assert_eq!(nearest("database", ["json_metrics", "file_log"]), None);
        assert_eq!(nearest(&"a".repeat(1 << 20), ["a"]), None);
        assert_eq!(suggestion("verbos", ["log_file", "verbose"]), ": did you mean `verbose`?");
    }
}
