//! Where manifests are found.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::error::Diagnostic;

/// A directory of manifests has at most so many.
const MAX_FILES: usize = 200;

/// The manifests at a path: the file itself, or a directory's `*.yaml` by name.
pub(super) fn manifests(path: &Path) -> Result<Vec<PathBuf>, Diagnostic> {
    let fail = |message: String| Diagnostic { place: path.display().to_string(), message };
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut files = Vec::new();
    for item in std::fs::read_dir(path).map_err(|error| fail(error.to_string()))? {
        let file = item.map_err(|error| fail(error.to_string()))?.path();
        if file.extension().is_some_and(|extension| extension == "yaml") && !file.is_dir() {
            if files.len() == MAX_FILES {
                return Err(fail(format!("has more than {MAX_FILES} manifests: name the right ones")));
            }
            files.push(file);
        }
    }
    files.sort();
    Ok(files)
}

/// The user's directory of manifests: `phasemeter/registry.d` in `$PHASEMETER_CONFIG_DIR`, or else in the platform's
/// directory for configurations. It need not exist.
#[must_use]
pub fn user_directory() -> Option<PathBuf> {
    config_directory(|name| std::env::var_os(name).filter(|value| !value.is_empty()), std::env::home_dir())
        .map(|directory| directory.join("phasemeter").join("registry.d"))
}

fn config_directory(variable: impl Fn(&str) -> Option<OsString>, home: Option<PathBuf>) -> Option<PathBuf> {
    if let Some(directory) = variable("PHASEMETER_CONFIG_DIR") {
        return Some(directory.into());
    }
    if cfg!(windows) {
        return variable("APPDATA").map(PathBuf::from);
    }
    if cfg!(target_os = "macos") {
        return home.map(|home| home.join("Library").join("Application Support"));
    }
    // The XDG specification: a relative path is to be ignored.
    let xdg = variable("XDG_CONFIG_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    xdg.or_else(|| home.map(|home| home.join(".config")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_variable_comes_before_the_platform() {
        let home = || Some(PathBuf::from("/base/x"));
        let only = |wanted: &'static str, value: &'static str| {
            move |name: &str| (name == wanted).then(|| OsString::from(value))
        };
        assert_eq!(config_directory(only("PHASEMETER_CONFIG_DIR", "here"), home()), Some("here".into()));
        if cfg!(target_os = "linux") {
            assert_eq!(config_directory(only("XDG_CONFIG_HOME", "/x"), home()), Some("/x".into()));
            assert_eq!(config_directory(only("XDG_CONFIG_HOME", "x"), home()), Some("/base/x/.config".into()));
            assert_eq!(config_directory(|_| None, None), None);
        }
    }

    #[test]
    fn a_directory_is_its_yaml_files_by_name() {
        let directory = tempfile::tempdir().unwrap();
        for name in ["b.yaml", "a.yaml", "c.yml", "README.md"] {
            std::fs::write(directory.path().join(name), "").unwrap();
        }
        std::fs::create_dir(directory.path().join("d.yaml")).unwrap();
        let files = manifests(directory.path()).unwrap();
        let names: Vec<_> = files.iter().filter_map(|file| file.file_name()?.to_str()).collect();
        assert_eq!(names, ["a.yaml", "b.yaml"]);
    }
}
