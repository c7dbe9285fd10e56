//! What a component can be.

use std::fmt;

use serde::Serialize;

use crate::yaml::normal;

/// The kinds of components.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Category {
    /// Reacts to the phases of a run while it is recorded.
    PhaseHook,
    /// Makes results of per-request records.
    PostProcessor,
}

impl Category {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::PhaseHook, Self::PostProcessor];

    /// Its name in messages and in AIPerf's main line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::PhaseHook => "phase_hook",
            Self::PostProcessor => "post_processor",
        }
    }

    /// Its name as a section of a plugin's manifest and of a run configuration.
    #[must_use]
    pub const fn section(self) -> &'static str {
        match self {
            Self::PhaseHook => "phase_hooks",
            Self::PostProcessor => "post_processors",
        }
    }

    /// The category of that name: singular or plural, whatever its case, with dashes or underscores.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        let name = normal(name);
        Self::ALL.into_iter().find(|category| name == category.name() || name == category.section())
    }
}

impl fmt::Display for Category {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.name())
    }
}
