//! Identity providers behind one port.
pub mod cursor;
pub mod facts;
pub mod http;
pub mod port;
pub mod scim;
pub mod scim_answer;
pub mod scim_change;
pub mod scim_map;
pub mod scim_record;
pub mod token;
