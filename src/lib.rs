//! Countersign: ask for access, approve, provision, end and prove it.
//!
//! An employee asks for a role in an application; an explicit policy, evaluated on what the identity provider says at that moment,
//! decides what must happen; the people whom the policy names approve or deny; a group of the directory gets its member; the access
//! ends by itself; and every step is an event of an append-only log. One binary, one Postgres.
//!
//! # The map of the house
//!
//! Layers outside, the same noun inside every layer, imports only downwards. The test `house` keeps it so.
//!
//! | floor | module | what it is |
//! |---|---|---|
//! | 5 | `main`, `cli` (of the binary) | the command line; wires everything, decides nothing |
//! | 4 | [`web`] | pages and API; [`web::router`] is every route on one page, [`web::guard`] the permission |
//! | 4 | [`worker`] | the loop behind the pages; [`worker::step::turn`] is one turn of it |
//! | 3 | [`service`] | one verb per file: load under lock, decide purely, commit with events |
//! | 3 | [`config`] | settings, read once and checked whole |
//! | 2 | [`store`] | all SQL, one file per noun |
//! | 2 | [`directory`] | identity providers behind one port ([`directory::port::Directory`]) |
//! | 2 | [`evidence`] | CSV contracts, canonical JSON, the Merkle log, bundles and their offline check |
//! | 2 | [`notify`] | a text or file to somebody outside: by webhook, by mail, into a folder |
//! | 2 | [`demo`] | a small OpenID Connect provider and SCIM service for trying the product |
//! | 1 | [`domain`] | the rules: pure, no I/O, no clock, no randomness |
//! | 1 | [`clock`] | the only place that reads time and mints ids |
//!
//! # Where to begin reading
//!
//! - [`domain::event::Fact`]: every event there is. Whoever reads that enum knows the product.
//! - [`domain::decide::decide`]: the decision, with its trace. [`domain::approval::answer`]: who may decide on a request, and what
//!   that does. [`domain::grant::Lease`]: when access begins and ends.
//! - [`service::ask::ask`] → [`service::answer::answer`] → [`service::deliver::deliver`] → [`service::lapse::lapse`]: the life of one
//!   access. `tests/it/life.rs` walks it.
//! - [`service::deliver`]: how a membership is made true in a directory that fails, lies and answers late; each directory in a line of its
//!   own. [`directory::pace`]: when a call may leave.
//! - [`service::sync`] → [`service::learn`] → [`service::recheck`] → [`service::leave`], [`service::movers`]: how it is found out that
//!   somebody left or moved, and what follows. Listings, changes and calls of a directory are hints; only what it says of one person counts.
//! - [`service::bundle`]: everything about a period as of one moment, in one zip that [`evidence::bundle::check`] holds against the log's key.
//! - [`service::sample`]: items drawn by a seed, so that anybody who has the file draws the same.
//! - [`service::look::as_of`]: who had access at a moment and why, row for row as `access.csv`.
//! - [`service::schedule`]: the same files by the clock; [`service::schedule::due`] is how a time becomes one run, whoever else is at work.
//! - [`service::rule_form`]: the rules as forms; [`service::rule_form::shape`] is every field, [`service::change::submit`] the one way
//!   by which rules change, whatever they came from.
//! - `migrations/0003_guards.sql`: what the database refuses whoever asks.
//!
//! # How things move
//!
//! A write comes in as a form or JSON, becomes a typed command, and runs one verb of [`service`]: rows are loaded and locked, a pure
//! function of [`domain`] says what follows or refuses with a sentence ([`domain::refusal::Refusal`]), and state and events are
//! written in one transaction. Nothing is called while a transaction is open. What a page shows as possible is computed by the same
//! function that the act runs again under lock.
//!
//! The reconciler takes no hints: it computes what leases want, asks the directory what is, changes one thing, and reads back. After
//! a crash it does the same; there is no other path.
pub mod clock;
pub mod config;
pub mod demo;
pub mod directory;
pub mod domain;
pub mod evidence;
pub mod notify;
pub mod service;
pub mod store;
pub mod web;
pub mod worker;
