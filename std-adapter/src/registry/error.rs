//! What can be wrong with manifests, names and configurations.

use std::fmt;

use serde::Serialize;

use super::category::Category;
use crate::yaml::YamlError;

/// The error of a component's constructor.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Something to tell the user about a file: an error, or a warning where the call succeeded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Diagnostic {
    /// The file, with line and column where they are known: `run.yaml:4:9`.
    pub place: String,
    /// What is wrong and what to do about it, in one line.
    pub message: String,
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.place, self.message)
    }
}

impl From<YamlError> for Diagnostic {
    fn from(YamlError { place, message }: YamlError) -> Self {
        Self { place, message }
    }
}

/// Why a component cannot be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RegistryError {
    /// A manifest, a run configuration or a component's `config` is wrong; never empty.
    #[error("{}", Lines(.0))]
    Invalid(Vec<Diagnostic>),
    /// Nothing is declared or registered under the name.
    #[error("there is no {category} `{name}`{hint}")]
    Unknown {
        /// The category that was searched.
        category: Category,
        /// The short name or class path.
        name: String,
        /// The nearest name, or where to look.
        hint: String,
    },
    /// The class path belongs to another protocol.
    #[error("`{class}` is a {registered}, not a {wanted}")]
    WrongProtocol {
        /// The class path.
        class: String,
        /// The category that was asked for.
        wanted: Category,
        /// The category that has it.
        registered: Category,
    },
    /// Its package is disabled.
    #[error("the {category} `{name}` is disabled: its package {package} says `enabled: false` ({file})")]
    Disabled {
        /// Its category.
        category: Category,
        /// The name that was asked for.
        name: String,
        /// The package that declares it.
        package: String,
        /// The package's manifest.
        file: String,
    },
    /// A manifest declares the class, but this program has no code for it.
    #[error(
        "the {category} `{name}` has no code registered in this program: {place} declares `{class}`; a program that has \
         it calls `registry.register::<{protocol}>(\"{class}\", …)`"
    )]
    NoCode {
        /// Its category.
        category: Category,
        /// Its short name.
        name: String,
        /// Its class path.
        class: String,
        /// Where it is declared.
        place: String,
        /// The Rust type of its protocol.
        protocol: &'static str,
    },
    /// The text is not `module:Class`.
    #[error("{0} is no class path: write `module.path:Class`")]
    ClassPath(String),
    /// Code was registered for the class before.
    #[error("the {category} `{class}` is registered already")]
    Twice {
        /// Its category.
        category: Category,
        /// Its class path.
        class: String,
    },
    /// The component refused its configuration, or could not open what it needs.
    #[error("cannot create the {category} `{name}`: {}", Causes(&**cause))]
    Failed {
        /// Its category.
        category: Category,
        /// Its short name.
        name: String,
        /// What its constructor said.
        cause: BoxError,
    },
}

impl RegistryError {
    /// The error as diagnostics; those without a place of their own get `place`.
    #[must_use]
    pub fn diagnostics(self, place: &str) -> Vec<Diagnostic> {
        match self {
            Self::Invalid(diagnostics) => diagnostics,
            other => vec![Diagnostic { place: place.to_owned(), message: other.to_string() }],
        }
    }
}

/// The error of somebody else's code, with the causes behind it: what they do with those is not known.
struct Causes<'e>(&'e (dyn std::error::Error + 'static));

impl fmt::Display for Causes<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}", self.0)?;
        let mut causes = std::iter::successors(self.0.source(), |cause| cause.source());
        causes.try_for_each(|cause| write!(formatter, ": {cause}"))
    }
}

/// Diagnostics in one line.
struct Lines<'d>(&'d [Diagnostic]);

impl fmt::Display for Lines<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, diagnostic) in self.0.iter().enumerate() {
            write!(formatter, "{}{diagnostic}", if index == 0 { "" } else { "; " })?;
        }
        Ok(())
    }
}
