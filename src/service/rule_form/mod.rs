//! One entry of the rules as a form.
pub mod change;
pub mod fill;
pub mod list;
pub mod set;
pub mod shape;
pub mod sheet;
pub mod text;
