//! JSON under /api/v1.
