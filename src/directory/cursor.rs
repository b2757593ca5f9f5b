//! Where a listing stands.

use std::any::Any;
use std::fmt;

use crate::directory::facts::ReadError;

/// A place in a listing. Made by the directory, handed back unread, and of no use to another directory.
pub struct Cursor(Box<dyn Any + Send>);

impl fmt::Debug for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Cursor")
    }
}

impl Cursor {
    /// Wraps what a connector keeps between two pages.
    pub(super) fn of(place: impl Any + Send) -> Self {
        Self(Box::new(place))
    }

    /// What the connector kept.
    ///
    /// # Errors
    /// [`ReadError::Refused`] for a cursor of another connector.
    pub(super) fn open<T: Any>(self) -> Result<T, ReadError> {
        self.0.downcast().map(|place| *place).map_err(|_| ReadError::Refused("the place in the list is another directory's".into()))
    }
}
