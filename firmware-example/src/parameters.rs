//! What a person may ask of one start of the firmware: `NAME=VALUE`, separated by spaces.

use core::fmt;
use core::net::SocketAddrV4;

use crate::app::Metering;

/// The parameters of one start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Parameters {
    /// `metering=on|silent|off`: how much is measured.
    pub metering: Metering,
    /// `exit=over`: end the emulator when a run is over, and say how much stack was used.
    pub exits: bool,
    /// `plan=built-in`: start the built-in plan at once, without a host.
    pub starts: bool,
    /// `peer=scripted`: a server within the firmware takes the place of the network, so that runs repeat.
    pub is_scripted: bool,
    /// `target=ADDRESS:PORT`: the server, unless the host names one.
    pub target: Option<SocketAddrV4>,
}

/// A parameter that there is not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParameterError<'a>(&'a str);

impl fmt::Display for ParameterError<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(word) = self;
        write!(
            f,
            "there is no parameter `{word}`: there are metering=on|silent|off, exit=over, plan=built-in, peer=scripted \
             and target=ADDRESS:PORT"
        )
    }
}

impl core::error::Error for ParameterError<'_> {}

impl Parameters {
    /// Reads a command line. A first word without `=` is the program's name, as some hosts have it.
    ///
    /// # Errors
    /// [`ParameterError`] at the first word that is no parameter.
    pub fn parse(line: &str) -> Result<Self, ParameterError<'_>> {
        let mut parameters = Self::default();
        for (place, word) in line.split_ascii_whitespace().enumerate() {
            if let Some(target) = word.strip_prefix("target=") {
                parameters.target = Some(target.parse().map_err(|_| ParameterError(word))?);
                continue;
            }
            match word {
                "metering=on" => parameters.metering = Metering::On,
                "metering=silent" => parameters.metering = Metering::Silent,
                "metering=off" => parameters.metering = Metering::Off,
                "exit=over" => parameters.exits = true,
                "plan=built-in" => parameters.starts = true,
                "peer=scripted" => parameters.is_scripted = true,
                name if place == 0 && !name.contains('=') => {}
                _ => return Err(ParameterError(word)),
            }
        }
        Ok(parameters)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_read_strictly() {
        assert_eq!(Parameters::parse(""), Ok(Parameters::default()));
        assert_eq!(Parameters::parse("a/path/image"), Ok(Parameters::default()));
        let target = Some(SocketAddrV4::new([192, 0, 2, 7].into(), 80));
        let all = Parameters { metering: Metering::Off, exits: true, starts: true, is_scripted: true, target };
        let line = "image metering=off exit=over plan=built-in peer=scripted target=192.0.2.7:80";
        assert_eq!(Parameters::parse(line), Ok(all));
        for wrong in ["metering=of", "exit=", "image stray", "=", "target=a:80", "plan=built-in=x"] {
            let error = Parameters::parse(wrong).unwrap_err().to_string();
            let word = wrong.rsplit(' ').next().unwrap();
            assert!(error.starts_with(&format!("there is no parameter `{word}`")), "{error}");
        }
    }
}
