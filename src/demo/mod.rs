//! A small OIDC and SCIM identity provider.

pub mod authorize;
pub mod company;
pub mod discovery;
pub mod filter;
pub mod home;
pub mod keep;
pub mod key;
pub mod logout;
pub mod page;
pub mod register;
pub mod scim;
pub mod scim_answer;
pub mod scim_group;
pub mod scim_patch;
pub mod scim_schema;
pub mod scim_user;
pub mod serve;
pub mod shelf;
pub mod site;
pub mod token;
