//! The registry: which components there are, what they are called, and how they are configured.
//!
//! A component is a [`PhaseHook`](phasemeter_core::hook::PhaseHook) or a
//! [`PostProcessor`](crate::process::PostProcessor). Manifests declare components; code provides them. Neither needs the
//! other to come first: a component that is declared and has no code is listed, and a component that has code and no
//! declaration has a name and no checks.
//!
//! ```
//! use phasemeter::registry::{Config, Registry};
//! use phasemeter::core::hook::PhaseHook;
//!
//! struct SlowPhaseAlert { threshold_s: u64 }
//! impl PhaseHook for SlowPhaseAlert {}
//!
//! #[derive(serde::Deserialize)]
//! struct AlertConfig { threshold_s: u64 }
//!
//! let mut registry = Registry::with_builtins()?;
//! registry.register::<dyn PhaseHook>("my_rack.hooks:SlowPhaseAlert", |params| {
//!     let config: AlertConfig = params.deserialize()?;
//!     Ok(Box::new(SlowPhaseAlert { threshold_s: config.threshold_s }))
//! })?;
//! let config: Config = serde_json::json!({"threshold_s": 60}).try_into()?;
//! // The protocol type first, then a short name or a class path: both lines mean the same.
//! let hook: Box<dyn PhaseHook + Send> = registry.get::<dyn PhaseHook>("slow_phase_alert")?.create(&config)?;
//! let hook = registry.get::<dyn PhaseHook>("my_rack.hooks:SlowPhaseAlert")?.create(&config)?;
//! # Ok::<(), phasemeter::registry::RegistryError>(())
//! ```
//!
//! # Manifests
//!
//! ```yaml
//! schema_version: "1.0"
//! plugin: {name: my-rack, version: 1.0.0, enabled: true}   # optional, as is each of its keys
//! phase_hooks:                                             # or phase_hook; and post_processors
//!   slow_phase_alert:                                      # the short name
//!     class: my_rack.hooks:SlowPhaseAlert                  # the class path
//!     description: Says so when a phase takes longer than it may
//!     tags: [alert]
//!     priority: 10                                         # 0 unless given
//!     auto_load: false                                     # true: every run has it
//!     replay: false                                        # true: a replay creates it again
//!     config_params:                                       # absent: nothing is checked
//!       - {name: threshold_s, type: int, default: 60, min: 1, description: How long it may take}
//! ```
//!
//! Types are `str`, `int`, `float`, `bool`, `dict`, `list[T]`, `Optional[T]`, `A | B`, `any`, and `path`, which AIPerf
//! does not have. `required`, `min`, `max`, `aliases` (more names and class paths for a component) and `replay` are ours as well.
//!
//! # Names
//!
//! Short names and categories compare without case, and a dash is an underscore. If several enabled components have
//! one name, the higher `priority` is meant; at equal priority a package comes before a built-in; else the first that was
//! declared, with a warning. The others are reached by their class paths. Among components that are loaded by
//! themselves (`auto_load`), `priority` is the order: the lower runs first.

mod name;
mod category;
mod error;
mod fields;
mod param;
mod config;
mod protocol;
mod manifest;
mod places;
mod resolve;
mod catalog;
mod component;
mod builtin;
mod run_config;
mod stored;
#[cfg(test)]
mod tests;

pub use catalog::Registry;
pub use category::Category;
pub use component::Component;
pub use config::{Config, Params};
pub use error::{BoxError, Diagnostic, RegistryError};
pub use manifest::{Entry, Origin, Package};
pub use param::{Param, ParamType};
pub use places::user_directory;
pub use protocol::Protocol;
pub use resolve::Resolution;
pub use run_config::RunConfig;
pub use stored::{StoredComponent, StoredComponents};
