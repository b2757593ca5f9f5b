//! One verb per file: load, decide, commit.
