//! The code of the components that this crate's own manifest declares.

use phasemeter_core::hook::PhaseHook;

use super::catalog::Registry;
use super::error::RegistryError;
use super::manifest::Origin;
use crate::hook::{CommandHook, FileLogHook, JsonMetricsHook};
use crate::process::{MetricsProcessor, PostProcessor, ResultsAggregator};

impl Registry {
    /// A registry with the components of this crate.
    ///
    /// # Errors
    /// None in practice: this crate's own manifest is tested.
    pub fn with_builtins() -> Result<Self, RegistryError> {
        let mut registry = Self::empty();
        registry.declare("registry.yaml", include_str!("../../registry.yaml"), Origin::BuiltIn)?;
        register(&mut registry)?;
        Ok(registry)
    }
}

fn register(registry: &mut Registry) -> Result<(), RegistryError> {
    registry.register::<dyn PhaseHook>("phasemeter.hook:FileLogHook", |params| {
        Ok(Box::new(FileLogHook::new(params.deserialize()?)?))
    })?;
    registry.register::<dyn PhaseHook>("phasemeter.hook:JsonMetricsHook", |params| {
        Ok(Box::new(JsonMetricsHook::new(params.deserialize()?)?))
    })?;
    registry.register::<dyn PhaseHook>("phasemeter.hook:CommandHook", |params| {
        Ok(Box::new(CommandHook::new(params.deserialize()?)?))
    })?;
    registry.register::<dyn PostProcessor>("phasemeter.process:MetricsProcessor", |params| {
        let processor: MetricsProcessor = params.deserialize()?;
        processor.check_output()?;
        Ok(Box::new(processor))
    })?;
    registry.register::<dyn PostProcessor>("phasemeter.process:ResultsAggregator", |params| {
        Ok(Box::new(params.deserialize::<ResultsAggregator>()?))
    })
}
