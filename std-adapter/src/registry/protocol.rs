//! The Rust trait of each category.

use phasemeter_core::hook::PhaseHook;

use super::category::Category;
use super::config::Params;
use super::error::BoxError;
use crate::process::PostProcessor;

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
