use super::{Registry, RegistryError};
pub(super) fn register(_: &mut Registry) -> Result<(), RegistryError> {
    Ok(())
}
