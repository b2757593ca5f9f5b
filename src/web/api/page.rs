//! One page of a list, as JSON.

use serde::Serialize;
use utoipa::ToSchema;

use crate::service::list;

/// One page of a list.
#[derive(Debug, Serialize, ToSchema)]
pub struct Page<T: ToSchema> {
    /// The rows.
    pub items: Vec<T>,
    /// Send it back as `after` to get the rows that follow; absent when there are none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false)]
    pub next: Option<String>,
}

impl<T: ToSchema> Page<T> {
    /// The page of `rows`, each shown by `show`; `key` is what the next page begins after.
    pub fn of<R>(page: list::Page<R>, key: impl Fn(&R) -> String, show: impl Fn(R) -> T) -> Self {
        let next = page.more.then(|| page.rows.last().map(key)).flatten();
        Self { items: page.rows.into_iter().map(show).collect(), next }
    }
}
