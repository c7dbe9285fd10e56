//! What values of options have to be, wherever several commands have the option.

use std::time::Duration;

/// Longer times are typing errors, and moments so far away cannot be told.
const LONGEST: Duration = Duration::from_hours(366 * 24);

/// A length of time above zero.
pub(super) fn time(text: &str) -> Result<Duration, String> {
    let time = wait(text)?;
    if time.is_zero() { Err("it has to be above 0".to_owned()) } else { Ok(time) }
}

/// How long something is waited for; zero is not at all.
pub(super) fn wait(text: &str) -> Result<Duration, String> {
    let time = humantime::parse_duration(text).map_err(|error| format!("{error}: write it as 30s or 5m"))?;
    if time > LONGEST { Err("it has to be a year at most".to_owned()) } else { Ok(time) }
}

/// The name of a device: a device without one cannot be told from others.
pub(super) fn device_id(text: &str) -> Result<String, String> {
    if text.trim().is_empty() { Err("a device has a name".to_owned()) } else { Ok(text.to_owned()) }
}
