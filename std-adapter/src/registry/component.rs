//! A component that was found, and can be created.

use std::marker::PhantomData;

use super::catalog::Registry;
use super::config::{Config, Params};
use super::error::{BoxError, RegistryError};
use super::manifest::Entry;
use super::param::Param;
use super::protocol::{Constructor, Protocol};

/// A component of a protocol.
#[derive(Debug)]
pub struct Component<'r, P: ?Sized> {
    registry: &'r Registry,
    entry: &'r Entry,
    protocol: PhantomData<fn(&P)>,
}

impl<'r, P: Protocol + ?Sized> Component<'r, P> {
    pub(super) fn new(registry: &'r Registry, entry: &'r Entry) -> Self {
        Self { registry, entry, protocol: PhantomData }
    }

    /// What is declared of it.
    #[must_use]
    pub fn entry(&self) -> &'r Entry {
        self.entry
    }

    /// Checks a configuration without creating anything.
    ///
    /// # Errors
    /// [`RegistryError::Invalid`] has every fault of it, with its place.
    pub fn check(&self, config: &Config) -> Result<Params, RegistryError> {
        let what = format!("the {} `{}`", P::CATEGORY, self.entry.name);
        config.check(&what, self.registry.params(self.entry).as_deref()).map_err(RegistryError::Invalid)
    }

    /// Creates it from a configuration; the defaults of its manifest apply.
    ///
    /// # Errors
    /// If the configuration has a fault, this program has no code for the component, or that code fails.
    pub fn create(&self, config: &Config) -> Result<Box<P::Object>, RegistryError> {
        let constructor = self.constructor()?;
        constructor(self.check(config)?).map_err(|cause| self.failed(cause))
    }

    /// It could not be created.
    pub(super) fn failed(&self, cause: BoxError) -> RegistryError {
        RegistryError::Failed { category: P::CATEGORY, name: self.entry.name.clone(), cause }
    }

    /// What can be configured.
    pub(super) fn params(&self) -> Vec<Param> {
        self.registry.params(self.entry).unwrap_or_default()
    }

    /// The code for it.
    pub(super) fn constructor(&self) -> Result<&'r Constructor<P>, RegistryError> {
        let code = self.registry.code_of(self.entry).and_then(|code| code.downcast_ref());
        code.ok_or_else(|| self.without_code())
    }

    fn without_code(&self) -> RegistryError {
        let Entry { category, name, class, place, .. } = self.entry;
        match self.registry.category_of(class) {
            Some(registered) => RegistryError::WrongProtocol { class: class.clone(), wanted: *category, registered },
            None => RegistryError::NoCode {
                category: *category,
                name: name.clone(),
                class: class.clone(),
                place: place.clone(),
                protocol: P::TYPE,
            },
        }
    }
}

impl Registry {
    /// The component of a protocol that a short name or a class path (it contains `:`) means.
    ///
    /// # Errors
    /// If there is none (the nearest name is suggested), it is disabled, or the class path belongs to another protocol.
    pub fn get<P: Protocol + ?Sized>(&self, name: &str) -> Result<Component<'_, P>, RegistryError> {
        let entry = self.resolve(P::CATEGORY, name)?.entry;
        Ok(Component::new(self, entry))
    }
}
