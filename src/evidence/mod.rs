//! What an auditor takes away.
