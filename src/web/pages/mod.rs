//! One file per page noun.
