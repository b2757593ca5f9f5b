//! Every route, and what everybody gets there.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use countersign::domain::approval::Answer;
use countersign::domain::event::{Actor, Channel};
use countersign::domain::id::RequestId;
use countersign::domain::schedule::Written;
use countersign::service::api_token::{self, NewToken};
use countersign::service::change::submit::{Outcome, submit};
use countersign::service::ctx::{Changing, Ctx};
use countersign::service::delegate::{Away, delegate};
use countersign::service::schedule::make;
use countersign::service::schedule::places::Places;
use countersign::service::told;
use reqwest::Method;
use serde_json::json;
use uuid::Uuid;

use crate::client::{Client, Page, Sent, fields, form};
use crate::server::{Town, crowd, eventually};
use crate::world::Reach;

/// 303 to the sign-in page.
const DOOR: u16 = 1;
/// 303 to a page that says what came of it.
const DONE: u16 = 303;

/// Who comes, in this order: the last are those who may most.
const WHO: [&str; 7] = ["anonymous", "stranger", "requester", "approver", "owner", "auditor", "administrator"];
/// Who they are. The requester is another worker each time.
const NAMES: [&str; 7] = ["", "liam.byrne", "", "mara.voss", "arjun.mehta", "wei.zhang", "sofia.marin"];

/// Every route, with what each of them gets. A page that one may not see is not there: 404.
#[rustfmt::skip]
const TABLE: &[(&str, [u16; 7])] = &[
    //                                       anonymous stranger requester approver owner auditor administrator
    ("GET /sign-in",                          [200, DONE, DONE, DONE, DONE, DONE, DONE]),
    ("GET /sign-in/start",                    [303, 303, 303, 303, 303, 303, 303]),
    ("GET /sign-in/callback",                 [400, 400, 400, 400, 400, 400, 400]),
    // What is sent is no logout token, whoever sends it.
    ("POST /sign-in/back-channel-logout",     [400, 400, 400, 400, 400, 400, 400]),
    ("POST /sign-out",                        [303, 303, 303, 303, 303, 303, 303]),
    ("GET /signed-out",                       [200, 200, 200, 200, 200, 200, 200]),
    ("GET /sessions",                         [DOOR, 200, 200, 200, 200, 200, 200]),
    ("POST /sessions/{id}/end",               [DOOR, 404, DONE, 404, 404, 404, 404]),
    ("POST /sessions/end-others",             [DOOR, DONE, DONE, DONE, DONE, DONE, DONE]),
    ("GET /",                                 [DOOR, 200, 200, 200, 200, 200, 200]),
    ("GET /catalog",                          [DOOR, 200, 200, 200, 200, 200, 200]),
    ("GET /roles/{id}",                       [DOOR, 200, 200, 200, 200, 200, 200]),
    ("GET /roles/{id}/ask",                   [DOOR, 200, 200, 200, 200, 200, 200]),
    ("POST /requests",                        [DOOR, DONE, DONE, DONE, DONE, DONE, DONE]),
    ("GET /requests/{id}",                    [DOOR, 404, 200, 200, 200, 200, 200]),
    ("POST /requests/{id}/withdraw",          [DOOR, 404, DONE, 404, 404, 404, 404]),
    ("POST /requests/{id}/approve",           [DOOR, 404, 422, DONE, 404, 422, 422]),
    ("POST /requests/{id}/deny",              [DOOR, 404, 422, DONE, 404, 422, 422]),
    ("POST /requests/{id}/question",          [DOOR, 404, 422, DONE, 404, 422, 422]),
    ("POST /requests/{id}/reassign",          [DOOR, 404, 422, DONE, 404, 422, 422]),
    ("POST /requests/{id}/answer",            [DOOR, 404, 409, 422, 404, 422, 422]),
    ("POST /requests/{id}/nudge",             [DOOR, 404, DONE, 422, 404, 422, 422]),
    ("POST /notices/seen",                    [DOOR, DONE, DONE, DONE, DONE, DONE, DONE]),
    ("POST /notices/{id}/seen",               [DOOR, 404, DONE, 404, 404, 404, 404]),
    ("GET /delegation",                       [DOOR, 200, 200, 200, 200, 200, 200]),
    ("POST /delegation",                      [DOOR, DONE, DONE, DONE, DONE, DONE, DONE]),
    ("POST /delegation/{id}/end",             [DOOR, 404, DONE, 404, 404, 404, 404]),
    ("GET /roles/{id}/ask/for", [DOOR, 404, 404, 404, 404, 404, 404]),
    ("POST /api/v1/grants/{grant}/decline-extension", [401, 404, 200, 404, 404, 404, 404]),
    ("POST /api/v1/requests/{request}/again", [401, 404, 409, 409, 409, 422, 409]),
    ("POST /api/v1/requests/{request}/confirm", [401, 404, 409, 404, 404, 422, 422]),
    ("POST /api/v1/requests/{request}/review", [401, 404, 404, 404, 404, 404, 404]),
    ("POST /api/v1/requests/{request}/sign-off", [401, 404, 204, 204, 204, 422, 204]),
    ("POST /grants/{id}/decline-extension", [DOOR, 404, DONE, 404, 404, 404, 404]),
    ("POST /requests/{id}/again", [DOOR, 404, 409, 409, 409, 422, 409]),
    ("POST /requests/{id}/confirm", [DOOR, 404, 409, 404, 404, 422, 422]),
    ("POST /requests/{id}/review", [DOOR, 404, 404, 404, 404, 404, 404]),
    ("POST /requests/{id}/sign-off", [DOOR, 404, DONE, DONE, DONE, 422, DONE]),
    ("GET /access",                           [DOOR, 200, 200, 200, 200, 200, 200]),
    ("GET /access/mine.csv",                  [DOOR, 200, 200, 200, 200, 200, 200]),
    ("POST /grants/{id}/return",              [DOOR, 404, DONE, 404, 422, 404, 422]),
    ("POST /grants/{id}/revoke",              [DOOR, 404, 422, 404, DONE, 404, DONE]),
    ("GET /queue",                            [DOOR, 200, 200, 200, 200, 200, 200]),
    ("GET /queue/history",                    [DOOR, 200, 200, 200, 200, 200, 200]),
    ("GET /queue/history.csv",                [DOOR, 200, 200, 200, 200, 200, 200]),
    // What came of each is said of each: for most that there is no such request that they may answer.
    ("POST /queue/decide",                    [DOOR, 200, 200, 200, 200, 200, 200]),
    ("GET /evidence",                         [DOOR, 404, 404, 404, 404, 200, 200]),
    ("GET /evidence/bundle.zip",              [DOOR, 404, 404, 404, 404, 200, 200]),
    ("GET /evidence/measures",                [DOOR, 404, 404, 404, 404, 200, 200]),
    ("GET /evidence/measures.csv",            [DOOR, 404, 404, 404, 404, 200, 200]),
    ("GET /evidence/as-of",                   [DOOR, 404, 404, 404, 404, 200, 200]),
    ("GET /evidence/as-of/access.csv",        [DOOR, 404, 404, 404, 404, 200, 200]),
    ("GET /evidence/sample",                  [DOOR, 404, 404, 404, 404, 200, 200]),
    ("GET /evidence/sample/sheets",           [DOOR, 404, 404, 404, 404, 200, 200]),
    ("GET /evidence/sample/sample.csv",       [DOOR, 404, 404, 404, 404, 200, 200]),
    ("GET /api/v1/as-of",                     [401, 404, 404, 404, 404, 200, 200]),
    ("GET /api/v1/sample",                    [401, 404, 404, 404, 404, 200, 200]),
    ("GET /api/v1/sample.csv",                [401, 404, 404, 404, 404, 200, 200]),
    ("GET /api/v1/exports/bundle.zip",        [401, 404, 404, 404, 404, 200, 200]),
    ("GET /evidence/schedules",               [DOOR, 404, 404, 404, 404, 200, 200]),
    ("GET /evidence/schedules/new",           [DOOR, 404, 404, 404, 404, 404, 200]),
    ("POST /evidence/schedules/new",          [DOOR, 404, 404, 404, 404, 404, DONE]),
    ("GET /evidence/schedules/{id}",          [DOOR, 404, 404, 404, 404, 200, 200]),
    ("GET /evidence/schedules/{id}/edit",     [DOOR, 404, 404, 404, 404, 404, 200]),
    ("POST /evidence/schedules/{id}/edit",    [DOOR, 404, 404, 404, 404, 404, DONE]),
    ("POST /evidence/schedules/{id}/switch",  [DOOR, 404, 404, 404, 404, 404, DONE]),
    ("POST /evidence/schedules/{id}/run",     [DOOR, 404, 404, 404, 404, 404, DONE]),
    ("GET /api/v1/schedules",                 [401, 404, 404, 404, 404, 200, 200]),
    ("POST /api/v1/schedules",                [401, 404, 404, 404, 404, 404, 201]),
    ("GET /api/v1/schedules/{schedule}",      [401, 404, 404, 404, 404, 200, 200]),
    ("GET /api/v1/schedules/{schedule}/runs", [401, 404, 404, 404, 404, 200, 200]),
    ("POST /api/v1/schedules/{schedule}/change", [401, 404, 404, 404, 404, 404, 200]),
    ("POST /api/v1/schedules/{schedule}/switch", [401, 404, 404, 404, 404, 404, 200]),
    ("POST /api/v1/schedules/{schedule}/run", [401, 404, 404, 404, 404, 404, 202]),
    ("GET /log",                              [DOOR, 200, 200, 200, 200, 200, 200]),
    ("GET /log/export/{file}",                [DOOR, 200, 200, 200, 200, 200, 200]),
    ("GET /log/{id}",                         [DOOR, 404, 404, 404, 404, 200, 200]),
    ("GET /verify",                           [DOOR, 404, 404, 404, 404, 200, 200]),
    ("POST /verify",                          [DOOR, 404, 404, 404, 404, 200, 200]),
    ("GET /verify/checkpoint",                [DOOR, 404, 404, 404, 404, 200, 200]),
    ("GET /verify/key",                       [DOOR, 404, 404, 404, 404, 200, 200]),
    ("GET /me",                               [DOOR, 200, 200, 200, 200, 200, 200]),
    ("GET /me/data.jsonl",                    [DOOR, 200, 200, 200, 200, 200, 200]),
    ("GET /tokens",                           [DOOR, 200, 200, 200, 200, 200, 200]),
    ("POST /tokens",                          [DOOR, 200, 200, 200, 200, 200, 200]),
    ("POST /tokens/{id}/revoke",              [DOOR, 404, DONE, 404, 404, 404, DONE]),
    ("GET /admin",                            [DOOR, 404, 404, 404, 404, 200, 200]),
    ("GET /admin/policies",                   [DOOR, 404, 404, 404, 404, 200, 200]),
    ("GET /admin/policies/{id}",              [DOOR, 404, 404, 404, 404, 200, 200]),
    ("GET /admin/changes",                    [DOOR, 404, 404, 404, 404, 200, 200]),
    ("GET /admin/changes/{id}",               [DOOR, 404, 404, 404, 404, 200, 200]),
    ("GET /admin/changes/{id}/requests",      [DOOR, 404, 404, 404, 404, 200, 200]),
    ("GET /admin/changes/{id}/catalog.toml",  [DOOR, 404, 404, 404, 404, 200, 200]),
    ("POST /admin/changes/{id}/approve",      [DOOR, 404, 404, 404, 404, 404, DONE]),
    ("POST /admin/changes/{id}/reject",       [DOOR, 404, 404, 404, 404, 404, DONE]),
    ("POST /admin/changes/{id}/withdraw",     [DOOR, 404, 404, 404, 404, 404, 422]),
    ("GET /admin/rules",                      [DOOR, 404, 404, 404, 404, 200, 200]),
    ("POST /admin/rules",                     [DOOR, 404, 404, 404, 404, 404, 200]),
    ("GET /admin/rules/catalog.toml",         [DOOR, 404, 404, 404, 404, 200, 200]),
    ("GET /admin/rules/{kind}",               [DOOR, 404, 404, 404, 404, 200, 200]),
    ("GET /admin/rules/{kind}/new",           [DOOR, 404, 404, 404, 404, 404, 200]),
    ("POST /admin/rules/{kind}/new",          [DOOR, 404, 404, 404, 404, 404, 200]),
    ("GET /admin/rules/{kind}/{key}/edit",    [DOOR, 404, 404, 404, 404, 200, 200]),
    ("POST /admin/rules/{kind}/{key}/edit",   [DOOR, 404, 404, 404, 404, 404, 200]),
    ("POST /admin/rules/{kind}/{key}/retire", [DOOR, 404, 404, 404, 404, 404, 200]),
    ("GET /admin/matrix",                     [DOOR, 404, 404, 404, 404, 200, 200]),
    ("GET /admin/matrix/matrix.csv",          [DOOR, 404, 404, 404, 404, 200, 200]),
    ("GET /admin/provisioning",               [DOOR, 404, 404, 404, 404, 200, 200]),
    ("POST /admin/provisioning/run",          [DOOR, 404, 404, 404, 404, 404, DONE]),
    ("POST /admin/provisioning/{id}/retry",   [DOOR, 404, 404, 404, 404, 404, DONE]),
    ("GET /admin/holds",                      [DOOR, 404, 404, 404, 404, 200, 200]),
    ("POST /admin/holds",                     [DOOR, 404, 404, 404, 404, 404, DONE]),
    // There is no such hold; and whoever is to be erased works here.
    ("POST /admin/holds/{id}/lift",           [DOOR, 404, 404, 404, 404, 404, 404]),
    ("POST /admin/holds/erase",               [DOOR, 404, 404, 404, 404, 404, 422]),
    ("GET /drift",                            [DOOR, 200, 200, 200, 200, 200, 200]),
    ("POST /drift/{id}/adopt",                [DOOR, 404, 404, 404, DONE, 404, DONE]),
    ("POST /drift/{id}/remove",               [DOOR, 404, 404, 404, DONE, 404, DONE]),
    ("POST /drift/{id}/ignore",               [DOOR, 404, 404, 404, DONE, 404, DONE]),
    ("POST /drift/{id}/unignore",             [DOOR, 404, 404, 404, 409, 404, 409]),
    // No group is stopped here, so there is none to go on with.
    ("POST /drift/groups/{id}/remove",        [DOOR, 404, 404, 404, 404, 404, 404]),
    ("POST /drift/groups/{id}/believe",       [DOOR, 404, 404, 404, 404, 404, 404]),
    ("GET /directories",                      [DOOR, 404, 404, 404, 404, 200, 200]),
    ("GET /directories/{key}",                [DOOR, 404, 404, 404, 404, 200, 200]),
    ("POST /directories/{key}/sync",          [DOOR, 404, 404, 404, 404, 404, DONE]),
    ("POST /directories/{key}/believe",       [DOOR, 404, 404, 404, 404, 404, 404]),
    ("POST /directories/{key}/sweep",         [DOOR, 404, 404, 404, 404, 404, DONE]),
    ("POST /directories/{key}/pause",         [DOOR, 404, 404, 404, 404, 404, DONE]),
    ("POST /directories/{key}/resume",        [DOOR, 404, 404, 404, 404, 404, DONE]),
    ("GET /directories/{key}/import",         [DOOR, 404, 404, 404, 404, 200, 200]),
    ("POST /directories/{key}/import",        [DOOR, 404, 404, 404, 404, 404, 200]),
    ("POST /directories/{key}/import/list",   [DOOR, 404, 404, 404, 404, 404, DONE]),
    // Without a hook there is nothing to call.
    ("GET /hooks/directories/{key}",          [404, 404, 404, 404, 404, 404, 404]),
    ("POST /hooks/directories/{key}",         [404, 404, 404, 404, 404, 404, 404]),
    ("POST /hooks/directories/{key}/Users",   [404, 404, 404, 404, 404, 404, 404]),
    ("PUT /hooks/directories/{key}/Users/{id}", [404, 404, 404, 404, 404, 404, 404]),
    ("PATCH /hooks/directories/{key}/Users/{id}", [404, 404, 404, 404, 404, 404, 404]),
    ("DELETE /hooks/directories/{key}/Users/{id}", [404, 404, 404, 404, 404, 404, 404]),
    ("POST /directories/{key}/test",      [DOOR, 404, 404, 404, 404, 404, 200]),
    ("GET /healthz",                          [200, 200, 200, 200, 200, 200, 200]),
    ("GET /readyz",                           [200, 200, 200, 200, 200, 200, 200]),
    ("GET /static/{name}",                    [200, 200, 200, 200, 200, 200, 200]),
    ("GET /api",                              [200, 200, 200, 200, 200, 200, 200]),
    ("GET /api/docs",                         [200, 200, 200, 200, 200, 200, 200]),
    ("GET /api/openapi.json",                 [200, 200, 200, 200, 200, 200, 200]),
    ("GET /api/v1/catalog",                   [401, 200, 200, 200, 200, 200, 200]),
    ("GET /api/v1/catalog/{role}",            [401, 200, 200, 200, 200, 200, 200]),
    ("GET /api/v1/requests",                  [401, 200, 200, 200, 200, 200, 200]),
    ("POST /api/v1/requests",                 [401, 201, 201, 201, 201, 201, 201]),
    ("POST /api/v1/requests/preview",         [401, 200, 200, 200, 200, 200, 200]),
    ("GET /api/v1/requests/{request}",        [401, 404, 200, 200, 200, 200, 200]),
    ("POST /api/v1/requests/{request}/approve",  [401, 404, 422, 200, 404, 422, 422]),
    ("POST /api/v1/requests/{request}/deny",     [401, 404, 422, 200, 404, 422, 422]),
    ("POST /api/v1/requests/{request}/withdraw", [401, 404, 200, 404, 404, 404, 404]),
    ("POST /api/v1/requests/{request}/question", [401, 404, 422, 200, 404, 422, 422]),
    ("POST /api/v1/requests/{request}/reassign", [401, 404, 422, 200, 404, 422, 422]),
    ("POST /api/v1/requests/{request}/answer",   [401, 404, 409, 422, 404, 422, 422]),
    ("POST /api/v1/requests/{request}/nudge",    [401, 404, 200, 422, 404, 422, 422]),
    ("GET /api/v1/delegations",               [401, 200, 200, 200, 200, 200, 200]),
    ("POST /api/v1/delegations",              [401, 201, 201, 201, 201, 201, 201]),
    ("POST /api/v1/delegations/{delegation}/end", [401, 404, 204, 404, 404, 404, 404]),
    ("GET /api/v1/notices",                   [401, 200, 200, 200, 200, 200, 200]),
    ("POST /api/v1/notices/seen",             [401, 204, 204, 204, 204, 204, 204]),
    ("POST /api/v1/notices/{notice}/seen",    [401, 404, 204, 404, 404, 404, 404]),
    ("POST /api/v1/approvals/bulk",           [401, 200, 200, 200, 200, 200, 200]),
    ("GET /api/v1/grants",                    [401, 200, 200, 200, 200, 200, 200]),
    ("GET /api/v1/grants/{grant}",            [401, 404, 200, 404, 200, 200, 200]),
    ("POST /api/v1/grants/{grant}/return",    [401, 404, 200, 404, 422, 404, 422]),
    ("POST /api/v1/grants/{grant}/revoke",    [401, 404, 422, 404, 200, 404, 200]),
    ("GET /api/v1/drifts",                    [401, 200, 200, 200, 200, 200, 200]),
    ("GET /api/v1/drifts/{drift}",            [401, 404, 404, 404, 200, 200, 200]),
    ("POST /api/v1/drifts/{drift}/adopt",     [401, 404, 404, 404, 201, 404, 201]),
    ("POST /api/v1/drifts/{drift}/remove",    [401, 404, 404, 404, 200, 404, 200]),
    ("POST /api/v1/drifts/{drift}/ignore",    [401, 404, 404, 404, 200, 404, 200]),
    ("GET /api/v1/directories",               [401, 404, 404, 404, 404, 200, 200]),
    ("POST /api/v1/directories/{key}/sync",   [401, 404, 404, 404, 404, 404, 204]),
    ("POST /api/v1/directories/{key}/sweep",  [401, 404, 404, 404, 404, 404, 204]),
    ("POST /api/v1/directories/{key}/pause",  [401, 404, 404, 404, 404, 404, 204]),
    ("POST /api/v1/directories/{key}/resume", [401, 404, 404, 404, 404, 404, 204]),
    ("GET /api/v1/events",                    [401, 200, 200, 200, 200, 200, 200]),
    ("GET /api/v1/exports/{file}",            [401, 404, 404, 404, 404, 200, 200]),
    ("GET /api/v1/policy-changes",            [401, 404, 404, 404, 404, 200, 200]),
    ("POST /api/v1/policy-changes",           [401, 404, 404, 404, 404, 404, 200]),
    ("GET /api/v1/policy-changes/{change}",   [401, 404, 404, 404, 404, 200, 200]),
    ("POST /api/v1/policy-changes/{change}/approve",  [401, 404, 404, 404, 404, 404, 200]),
    ("POST /api/v1/policy-changes/{change}/reject",   [401, 404, 404, 404, 404, 404, 200]),
    ("POST /api/v1/policy-changes/{change}/withdraw", [401, 404, 404, 404, 404, 404, 422]),
    ("POST /api/v1/directories/{key}/test",   [401, 404, 404, 404, 404, 404, 200]),
    ("GET /api/v1/tokens",                    [401, 200, 200, 200, 200, 200, 200]),
    ("POST /api/v1/tokens/{token}/revoke",    [401, 404, 204, 404, 404, 404, 204]),
];

/// Every `METHOD path` that the sources of the web register.
fn registered() -> BTreeSet<String> {
    fn walk(folder: &Path, found: &mut BTreeSet<String>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, found);
                continue;
            }
            if path.ends_with("metrics.rs") {
                continue; // Served at an address of its own, to nobody who signs in.
            }
            let text = std::fs::read_to_string(&path).unwrap();
            let code: String = text.split("#[cfg(test)]").next().unwrap().split_whitespace().collect();
            for rest in code.split(".route(\"").skip(1) {
                let (path, rest) = rest.split_once('"').unwrap();
                let end = rest.find("))").unwrap();
                for method in ["get", "post", "put", "patch", "delete"] {
                    if rest[..end].contains(&format!(",{method}(")) || rest[..end].contains(&format!(").{method}(")) {
                        found.insert(format!("{} {path}", method.to_uppercase()));
                    }
                }
            }
        }
    }
    let mut found = BTreeSet::new();
    walk(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src/web"), &mut found);
    found
}

#[test]
fn every_route_is_in_the_table() {
    let table: BTreeSet<String> = TABLE.iter().map(|(route, _)| (*route).to_owned()).collect();
    assert_eq!(table.len(), TABLE.len(), "a route stands twice in the table");
    let registered = registered();
    assert!(registered.len() > 50, "the routes are found in the sources: {registered:?}");
    let missing: Vec<_> = registered.difference(&table).collect();
    let gone: Vec<_> = table.difference(&registered).collect();
    assert!(missing.is_empty(), "say in the table of tests/it/routes.rs who gets what at {missing:?}");
    assert!(gone.is_empty(), "in the table, but no route: {gone:?}");
}

/// What a route is tried with: things of a requester who is there for it.
struct Things {
    requester: String,
    role: Uuid,
    other: Uuid,
    pending: Uuid,
    /// What the approver's page would send.
    answer: Vec<(String, String)>,
    approved: RequestId,
    grant: Uuid,
    session: Uuid,
    token: Uuid,
    policy: Uuid,
    target: Uuid,
    /// Somebody stands in for the requester, later.
    delegation: Uuid,
    /// What the requester was told.
    notice: Uuid,
    /// Somebody who can stand in.
    colleague: Uuid,
    /// A proposed change of the rules.
    change: Uuid,
    /// A member of a group whom no grant explains.
    drift: Uuid,
    /// A moment in some weeks.
    until: String,
    /// A schedule of evidence.
    schedule: Uuid,
}

impl Things {
    /// What the requester is called.
    fn name(&self) -> String {
        format!("Worker Number {}", self.requester.trim_start_matches("worker."))
    }
}

struct Street {
    town: Town,
    workers: usize,
}

impl Street {
    async fn things(&mut self) -> Things {
        let (world, requester) = (&self.town.world, format!("worker.{}", self.workers));
        self.workers += 1;
        let approved = world.ask(&requester, "orders-db", "reader", 3_600).await.unwrap().id;
        world.answer("mara.voss", approved, Answer::Approve { granted: None }).await.unwrap();
        let pending = world.ask(&requester, "orders-db", "writer", 3_600).await.unwrap().id.0;
        let page = self.town.visitor("mara.voss").await.get(&format!("/requests/{pending}")).await;
        let (_, answer) = fields(&page, &format!("form[action='/requests/{pending}/approve']"), &[]);
        drop(self.town.visitor(&requester).await);
        let session = self.one("select s.id from session s join person p on p.id = s.person_id where p.user_name = $1", &requester).await;
        self.token(&requester).await;
        let token = self.one("select t.id from api_token t join person p on p.id = t.person_id where p.user_name = $1", &requester).await;
        let target = self.one("select t.id from target t join person p on p.id = t.person_id where p.user_name = $1", &requester).await;
        let policy = self.one("select id from access_policy where key = $1", "standard").await;
        let (role, other) = (world.role("warehouse", "analyst").await.0, world.role("support-console", "agent").await.0);
        let ctx = &world.ctx;
        let (by, colleague) = (world.by(&requester).await, world.person("ben.adler").await);
        let day = |days| Some(ctx.clock.now() + chrono::Duration::days(days));
        let later = Away { delegate: Some(colleague), from: day(100), until: day(101), reason: None };
        let delegation = delegate(ctx, &by, &later).await.unwrap();
        let mut tx = ctx.db.begin().await.unwrap();
        countersign::store::notice::tell(&mut tx, &[by.person], "nudge", None, "Look.", ctx.clock.now()).await.unwrap();
        tx.commit().await.unwrap();
        let notice = told::unseen(ctx, &by, 1).await.unwrap()[0].id;
        let colleague = colleague.0;
        // Proposed by nobody who comes here, and never the same twice.
        let careful = Changing { require_second_person: true, ..ctx.changing.clone() };
        let text = crate::world::catalog().replace("maximum = \"30d\"", &format!("maximum = \"{}d\"", 30 + self.workers));
        let submitted = submit(&Ctx { changing: careful, ..ctx.clone() }, (&text, "catalog.toml"), (Actor::System, Channel::Cli)).await.unwrap();
        let Outcome::Proposed(change) = submitted.outcome else { panic!("{submitted:?}") };
        Things {
            change,
            drift: target,
            until: (ctx.clock.now() + chrono::Duration::days(20)).to_rfc3339_opts(chrono::SecondsFormat::Secs, true),
            delegation,
            notice,
            colleague,
            role,
            other,
            pending,
            answer,
            approved,
            grant: world.grant(approved).await.0.0,
            session,
            token,
            policy,
            target,
            requester,
            schedule: Uuid::nil(),
        }
    }

    /// What `path` is tried with.
    async fn things_for(&mut self, path: &str) -> Things {
        let mut things = self.things().await;
        if path.contains("/schedules/") {
            let places = Places::default().with_folder(Path::new("/nowhere"));
            let ctx = Ctx { places: Arc::new(places), ..self.town.world.ctx.clone() };
            let written = Written {
                name: format!("For {}", things.requester),
                what: "grants".into(),
                period: "day".into(),
                every: "day".into(),
                at: "06:00".into(),
                place: "folder".into(),
                to: "table".into(),
                ..Written::default()
            };
            things.schedule = make::make(&ctx, &self.town.world.by("sofia.marin").await, &written, true).await.unwrap();
        }
        if path.contains("/drift") && !path.contains("/groups/") {
            let (world, stranger) = (&self.town.world, format!("worker.{}", self.workers));
            self.workers += 1;
            world.directory().add(&world.group("orders-db-readers").await, &world.reference(&stranger).await).await;
            countersign::service::sweep::sweep(&world.ctx, "main").await.unwrap();
            things.drift =
                self.one("select d.id from drift d join person p on p.id = d.person_id where p.user_name = $1 and d.resolved_at is null", &stranger).await;
        }
        things
    }

    async fn one(&self, sql: &'static str, about: &str) -> Uuid {
        sqlx::query_scalar(sql).bind(about).fetch_one(&self.town.world.root).await.unwrap()
    }

    async fn token(&self, user_name: &str) -> String {
        let ctx = &self.town.world.ctx;
        let new = NewToken {
            person: self.town.world.person(user_name).await,
            name: "for the table".into(),
            scopes: crate::api::ALL.map(String::from).into(),
            expires_at: ctx.clock.now() + chrono::Duration::days(1),
        };
        api_token::create(ctx, &Actor::System, Channel::Cli, &new).await.unwrap().secret
    }
}

/// Where a route is, filled in.
fn place(path: &str, things: &Things) -> String {
    let id = match path {
        path if path.starts_with("/roles/") || path.contains("/catalog/") => things.role,
        path if path.contains("/schedules/") => things.schedule,
        path if path.contains("/changes/") || path.contains("/policy-changes/") => things.change,
        path if path.contains("/drift") => things.drift,
        path if path.contains("/requests/") => things.pending,
        path if path.contains("/grants/") => things.grant,
        path if path.contains("/sessions/") => things.session,
        path if path.contains("/tokens/") => things.token,
        path if path.contains("/policies/") => things.policy,
        path if path.contains("/delegation") => things.delegation,
        path if path.contains("/notices/") => things.notice,
        _ => things.target,
    }
    .to_string();
    let mut parts: Vec<String> = path.split('/').map(str::to_owned).collect();
    for part in parts.iter_mut().filter(|part| part.starts_with('{')) {
        *part = match part.as_str() {
            "{file}" => "grants.csv".into(),
            "{name}" => "app.css".into(),
            "{id}" if path == "/log/{id}" => "1".into(),
            "{kind}" => "policy".into(),
            "{key}" if path.contains("/rules/") => "standard".into(),
            "{key}" => "main".into(),
            _ => id.clone(),
        };
    }
    let drawn = if path.contains("/sample") { "?population=grants&from=2026-01-01&to=2027-01-01&size=3&seed=table" } else { "" };
    parts.join("/") + drawn
}

/// What is sent along.
fn body(route: &str, things: &Things) -> Sent {
    let (role, other) = (things.role.to_string(), things.other.to_string());
    match route {
        "POST /requests" => form(&[("role", &role), ("key", &Uuid::now_v7().to_string()), ("duration", "86400"), ("justification", "Look into order 4711.")]),
        "POST /api/v1/requests" | "POST /api/v1/requests/preview" => {
            json_of(json!({"role": other, "duration_s": 86_400, "justification": "Look into order 4711."}))
        }
        "POST /requests/{id}/approve" | "POST /requests/{id}/deny" => {
            let mut sent = things.answer.clone();
            sent.push(("reason".into(), "Not now.".into()));
            Sent::Form(sent)
        }
        "POST /requests/{id}/question" => form(&[("question", "Why now?"), ("step", "1")]),
        "POST /requests/{id}/answer" => form(&[("answer", "It cannot wait.")]),
        "POST /requests/{id}/reassign" => form(&[("to", "ben.adler"), ("reason", "Busy.")]),
        "POST /api/v1/requests/{request}/question" => json_of(json!({"question": "Why now?"})),
        "POST /api/v1/requests/{request}/answer" => json_of(json!({"answer": "It cannot wait."})),
        "POST /api/v1/requests/{request}/reassign" => json_of(json!({"to": things.colleague, "reason": "Busy."})),
        "POST /delegation" => form(&[("delegate", "ben.adler"), ("from", "2200-01-01"), ("until", "2200-01-02")]),
        "POST /api/v1/delegations" => json_of(json!({"delegate": things.colleague, "starts_at": "2201-01-01T00:00:00Z", "ends_at": "2201-01-02T00:00:00Z"})),
        "POST /verify" => Sent::Raw("multipart/form-data; boundary=x", b"--x\r\nContent-Disposition: form-data; name=\"kept\"\r\n\r\n\r\n--x--\r\n".to_vec()),
        "POST /queue/decide" => {
            let answer = |name: &str| things.answer.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone()).unwrap_or_default();
            form(&[("pick", &format!("{}.{}.{}", things.pending, answer("step"), answer("digest"))), ("verdict", "approve")])
        }
        "POST /api/v1/approvals/bulk" => json_of(json!({"decision": "deny", "comment": "Not now.", "requests": [{"id": things.pending}]})),
        "POST /admin/holds" => form(&[("on", &things.pending.to_string()), ("reason", "A court asked.")]),
        "POST /admin/holds/{id}/lift" => form(&[("reason", "The court is done.")]),
        "POST /admin/holds/erase" => form(&[("person", &things.colleague.to_string()), ("name", "Ben Adler"), ("reason", "Asked for it.")]),
        "POST /grants/{id}/revoke" => form(&[("reason", "Not needed any more.")]),
        "POST /requests/{id}/review" => form(&[("verdict", "justified")]),
        "POST /requests/{id}/sign-off" => form(&[("given_by", "Dana Ruiz"), ("given_at", "2026-01-02T10:00"), ("reference", "call 17")]),
        "POST /grants/{id}/decline-extension" => form(&[("declined", "yes")]),
        "POST /api/v1/grants/{grant}/decline-extension" => json_of(json!({"declined": true})),
        "POST /api/v1/requests/{request}/review" => json_of(json!({"verdict": "justified"})),
        "POST /api/v1/requests/{request}/sign-off" => json_of(json!({"given_by": "Dana Ruiz", "given_at": "2026-01-02T10:00:00Z", "reference": "call 17"})),
        "POST /api/v1/policy-changes" => json_of(json!({"catalog": crate::world::catalog(), "check": true})),
        route if route.starts_with("POST /api/v1/policy-changes/") => json_of(json!({})),
        "POST /sign-in/back-channel-logout" => form(&[("logout_token", "e30.e30.AA")]),
        "POST /drift/{id}/ignore" => form(&[("reason", "It may stay."), ("until", &things.until[..10])]),
        "POST /directories/{key}/pause" => form(&[("reason", "It is being moved.")]),
        "POST /api/v1/drifts/{drift}/ignore" => json_of(json!({"reason": "It may stay.", "until": things.until})),
        route if route.starts_with("POST /api/v1/drifts/") || route.starts_with("POST /api/v1/directories/") && !route.ends_with("/pause") => {
            json_of(json!({}))
        }
        "POST /evidence/schedules/new" | "POST /evidence/schedules/{id}/edit" => {
            let name = format!("Table {}", Uuid::now_v7());
            form(&[("name", &name), ("what", "grants"), ("period", "day"), ("every", "day"), ("at", "06:00"), ("place", "folder"), ("to", "table")])
        }
        "POST /evidence/schedules/{id}/switch" => form(&[("on", "no")]),
        "POST /api/v1/schedules" | "POST /api/v1/schedules/{schedule}/change" => {
            let name = format!("Table {}", Uuid::now_v7());
            json_of(json!({"name": name, "what": "grants", "period": "day", "every": "day", "at": "06:00", "place": "folder", "to": "table"}))
        }
        "POST /api/v1/schedules/{schedule}/switch" => json_of(json!({"on": false})),
        "POST /api/v1/schedules/{schedule}/run" => json_of(json!({})),
        "POST /tokens" => form(&[("name", "mine"), ("scope", "catalog:read"), ("life", "86400")]),
        route
            if route.starts_with("POST /api/")
                && !["/approve", "/nudge", "/seen", "/end", "/again", "/confirm", "/test"].iter().any(|end| route.ends_with(end))
                && !route.contains("/tokens") =>
        {
            json_of(json!({"reason": "Not now."}))
        }
        route if route.starts_with("POST /api/") => json_of(json!({})),
        route if route.starts_with("POST ") => form(&[]),
        _ => Sent::Nothing,
    }
}

fn json_of(value: serde_json::Value) -> Sent {
    Sent::Raw("application/json", value.to_string().into_bytes())
}

/// Takes away what keeps an answer from being read or kept by others.
fn has_its_headers(route: &str, page: &Page) {
    let header = |name: &str| page.headers.get(name).map(|value| value.to_str().unwrap()).unwrap_or_default();
    assert!(header("content-security-policy").starts_with("default-src 'none'"), "{route}: {:?}", page.headers);
    assert_eq!((header("x-content-type-options"), header("referrer-policy")), ("nosniff", "no-referrer"), "{route}");
    assert_eq!(header("cross-origin-resource-policy"), "same-origin", "{route}");
    if !route.contains("/static/") && !route.contains("openapi") {
        assert!(header("cache-control").contains("no-store"), "{route}: {:?}", page.headers);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everybody_gets_what_the_table_says_and_nothing_else() {
    let share = tempfile::tempdir().unwrap();
    let mut street = Street {
        town: Town::of(crowd(420, &["mara.voss"]), Reach::Demo, &[("COUNTERSIGN_SCHEDULES__FOLDER", share.path().to_str().unwrap())]).await,
        workers: 0,
    };
    let mut tokens = BTreeMap::new();
    for name in NAMES.iter().filter(|name| !name.is_empty()) {
        tokens.insert(*name, street.token(name).await);
    }
    let mut faults = Vec::new();
    for (route, wanted) in TABLE {
        let (method, path) = route.split_once(' ').unwrap();
        let method: Method = method.parse().unwrap();
        let mut things = street.things_for(path).await;
        if path.ends_with("/retry") {
            // Something is owed, and not yet.
            eventually("the grant is delivered", || async { (street.town.world.grant(things.approved).await.1 == "active").then_some(()) }).await;
            let owe = "update target set next_at = countersign.clock() + interval '1 hour' where id = $1";
            sqlx::query(owe).bind(things.target).execute(&street.town.world.root).await.unwrap();
        }
        for (who, wanted) in wanted.iter().enumerate() {
            let mut client = Client::new(&street.town.server.url);
            let name = if WHO[who] == "requester" { things.requester.clone() } else { NAMES[who].to_owned() };
            let token = match tokens.get(name.as_str()) {
                Some(token) => token.clone(),
                None if name.is_empty() => String::new(),
                None => street.token(&name).await,
            };
            if path.starts_with("/api/v1") && !token.is_empty() {
                client.headers = vec![("authorization", format!("Bearer {token}"))];
            } else if !name.is_empty() && !path.starts_with("/api/v1") {
                client = street.town.visitor(&name).await;
            }
            let page = client.send(method.clone(), &place(path, &things), body(route, &things)).await;
            let got = if page.status == 303 && page.location().starts_with("/sign-in") { DOOR } else { page.status };
            if got != *wanted {
                faults.push(format!(
                    "{route}: {} gets {got}, not {wanted}: {} {}",
                    WHO[who],
                    page.location(),
                    page.text().chars().take(200).collect::<String>()
                ));
            }
            if got >= 400 {
                assert!(page.text().len() > 20, "{route}: {got} says what is wrong: {}", page.text());
            }
            has_its_headers(route, &page);
            if WHO[who] == "stranger" && method == Method::GET {
                for theirs in [things.pending.to_string(), things.grant.to_string(), things.name()] {
                    assert!(!page.body.contains(&theirs), "{route}: a stranger reads of {theirs}: {}", page.text());
                }
            }
            // Whoever acts uses up what there was.
            if method == Method::POST && matches!(got, 200..=399) {
                things = street.things_for(path).await;
            }
        }
    }
    assert!(faults.is_empty(), "{} of them\n{}", faults.len(), faults.join("\n"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_act_is_done_by_a_get_or_for_another_site() {
    let mut street = Street { town: Town::of(crowd(2, &["mara.voss"]), Reach::Demo, &[]).await, workers: 0 };
    let things = street.things().await;
    eventually("the worker is at rest", || async {
        let busy: i64 = street.town.world.one("select count(*) from access_grant where status <> 'active'").await;
        (busy == 0).then_some(())
    })
    .await;
    let count = async || -> Vec<i64> {
        let mut counts = Vec::new();
        for sql in [
            "select count(*) from audit_event where kind not in ('token.used', 'directory.synced', 'approval.viewed') and kind not like 'group.%'",
            "select count(*) from request where status = 'pending'",
            "select count(*) from access_grant where ended_at is null",
            "select count(*) from api_token where revoked_at is null",
            "select count(*) from session",
            "select count(*) from delegation where ended_at is null",
            "select count(*) from notice where seen_at is null",
        ] {
            counts.push(sqlx::query_scalar(sql).fetch_one(&street.town.world.root).await.unwrap());
        }
        counts
    };
    let mut people = Vec::new();
    for name in [things.requester.as_str(), "mara.voss", "arjun.mehta", "sofia.marin"] {
        people.push(street.town.visitor(name).await);
    }
    let before = count().await;
    let routes: BTreeSet<&str> = TABLE.iter().map(|(route, _)| *route).collect();
    let posts = TABLE.iter().filter_map(|(route, _)| Some((*route, route.strip_prefix("POST ")?)));
    for (route, path) in posts {
        let place = place(path, &things);
        for client in &people {
            for evil in [&[("sec-fetch-site", "cross-site"), ("origin", "https://evil.example")][..], &[("origin", "https://evil.example")], &[]] {
                let mut client = client.clone();
                client.headers = evil.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
                let page = client.send(Method::POST, &place, body(route, &things)).await;
                // The API knows no cookies: for it nobody has called. What the provider calls goes by what it signed. Nor do the hooks
                // know any, and there is none.
                let wanted = if path.starts_with("/api/v1") {
                    401
                } else if path.ends_with("/back-channel-logout") {
                    400
                } else if path.starts_with("/hooks/") {
                    404
                } else {
                    403
                };
                assert_eq!(page.status, wanted, "{route} {evil:?}: {}", page.text());
                has_its_headers(route, &page);
            }
            if !routes.contains(format!("GET {path}").as_str()) {
                for method in [Method::GET, Method::HEAD] {
                    let page = client.clone().send(method.clone(), &place, Sent::Nothing).await;
                    // An API route has no caller here, and nobody learns from it what there is.
                    let wanted = if path.starts_with("/api/") { [401, 405] } else { [405, 405] };
                    // `GET /requests/preview` and its like are the address of one thing, which is not there.
                    assert!(wanted.contains(&page.status) || page.status == 404, "{method} {path}: {} {}", page.status, page.text());
                }
            }
        }
    }
    assert_eq!(count().await, before, "nothing was done");
}
