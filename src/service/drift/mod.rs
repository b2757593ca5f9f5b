//! Members that no lease explains, from finding to settling.
pub mod act;
pub mod adopt;
pub mod compare;
pub mod ignore;
pub mod settle;
pub mod stopped;
