//! Settings, read once and checked whole.
