//! A small OIDC and SCIM identity provider.
