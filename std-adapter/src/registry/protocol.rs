//! What a component can be: the categories, and the Rust trait of each.

use std::fmt;

use phasemeter_core::hook::PhaseHook;
use serde::Serialize;

use super::config::Params;
use super::error::BoxError;
use super::name::normal;
use crate::process::PostProcessor;

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

mod sealed {
    pub trait Sealed {}
    impl Sealed for dyn super::PhaseHook {}
    impl Sealed for dyn super::PostProcessor {}
}

/// A trait whose implementations are components: `dyn PhaseHook` or `dyn PostProcessor`.
pub trait Protocol: sealed::Sealed + 'static {
    /// The category of its components.
    const CATEGORY: Category;
    /// The type as Rust code names it.
    const TYPE: &'static str;
    /// What a component is once it is created: the protocol, and `Send` besides, since hooks run on a thread of their own.
    type Object: ?Sized + 'static;
}

impl Protocol for dyn PhaseHook {
    const CATEGORY: Category = Category::PhaseHook;
    const TYPE: &'static str = "dyn PhaseHook";
    type Object = dyn PhaseHook + Send;
}

impl Protocol for dyn PostProcessor {
    const CATEGORY: Category = Category::PostProcessor;
    const TYPE: &'static str = "dyn PostProcessor";
    type Object = dyn PostProcessor;
}

/// Makes a component of checked parameters.
pub(super) type Constructor<P> = Box<dyn Fn(Params) -> Result<Box<<P as Protocol>::Object>, BoxError> + Send + Sync>;
