//! Sample data and the laws every page keeps, for tests.
#![cfg(test)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::collections::HashSet;

use askama::Template;
use chrono::{DateTime, Duration, TimeZone, Utc};
use scraper::{ElementRef, Html, Selector};
use uuid::Uuid;

use super::view::{Flash, Frame, Viewer};
use crate::service::look::shared::{
    AccessRow, CanGrant, EventRow, Person, PlannedApprover, PlannedSlot, PlannedStep, PolicyName, RequestRow, RoleCard, RoleName, Standing,
};
use crate::service::look::trace::{TraceEffect, TraceLine, TraceRule};

/// Where the texts of a sample come from: as people write, or as somebody means harm.
#[derive(Clone, Copy, PartialEq)]
pub enum Says {
    Plain,
    Hostile,
}

/// Markup, an attribute's end, a script address, text that runs backwards, a word without a break.
pub const HARM: &str = "</textarea><script>alert(1)</script>\"'><img src=x onerror=alert(2)> javascript:alert(3) \u{202e}desrever\u{202c} {{ 7*7 }} aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

impl Says {
    pub fn of(self, text: &str) -> String {
        match self {
            Says::Plain => text.to_owned(),
            Says::Hostile => format!("{text} {HARM}"),
        }
    }
}

pub fn now() -> DateTime<Utc> {
    Utc.with_ymd_and_hms(2026, 11, 21, 9, 24, 0).single().unwrap()
}

pub fn ago(minutes: i64) -> DateTime<Utc> {
    now() - Duration::minutes(minutes)
}

pub fn ahead(minutes: i64) -> DateTime<Utc> {
    now() + Duration::minutes(minutes)
}

pub fn id(n: u128) -> Uuid {
    Uuid::from_u128(0x0193_4f2a_7c11_7000_8000_0000_0000_0000 + n * 0x1357_9bdf)
}

pub enum As {
    Employee,
    Approver,
    Auditor,
    Administrator,
}

pub fn frame(says: Says, who: As, place: &'static str) -> Frame {
    let (name, is_administrator, is_approver, queue_count) = match who {
        As::Employee => ("Bo Lind", false, false, 0),
        As::Approver => ("Dana Ruiz", false, true, 3),
        As::Auditor => ("Wei Zhang", false, false, 0),
        As::Administrator => ("Ines Moreau", true, true, 0),
    };
    let is_auditor = matches!(who, As::Auditor);
    let viewer = Viewer { name: says.of(name), person_id: id(1), is_administrator, is_auditor, is_approver, queue_count, reviews: 0, notices: 0, demo: true };
    Frame { viewer: Some(viewer), place, flash: None, demo: true, now: now() }
}

pub fn flash(tone: &'static str, text: String) -> Option<Flash> {
    Some(Flash { tone, text })
}

pub fn role(says: Says, n: u128, application: &str, role: &str, risk: &str) -> RoleName {
    RoleName { id: id(n), application: says.of(application), role: says.of(role), risk: risk.into() }
}

pub fn person(says: Says, n: u128, name: &str, department: &str) -> Person {
    Person { id: id(n), name: says.of(name), title: Some(says.of("Analyst")), department: Some(says.of(department)) }
}

pub fn policy(says: Says) -> PolicyName {
    PolicyName { id: id(90), name: says.of("Production data, short"), version: 3 }
}

pub fn card(says: Says, role: RoleName, about: &str, standing: Standing) -> RoleCard {
    let decided_by = Some(says.of("your manager, then the owner"));
    RoleCard { role, about: says.of(about), usual_s: Some(4 * 3600), decided_by, standing }
}

pub fn steps(says: Says) -> Vec<PlannedStep> {
    let approver = |name: &str, note: Option<&str>| PlannedApprover { name: says.of(name), note: note.map(|n| says.of(n)) };
    vec![
        PlannedStep {
            no: 1,
            name: says.of("Manager"),
            slots: vec![PlannedSlot { needed: 1, source: says.of("Your manager"), people: vec![approver("Dana Ruiz", None)], more: 0 }],
            limit_s: Some(86400),
            after_limit: Some("the request times out".into()),
            usual_s: Some(1500),
            details: vec![],
        },
        PlannedStep {
            no: 2,
            name: says.of("Data owners"),
            slots: vec![
                PlannedSlot {
                    needed: 2,
                    source: says.of("Members of DBAs"),
                    people: vec![approver("Cy Okafor", None), approver("Mina Sato", Some("away until 3 Dec")), approver("Jo Haddad", None)],
                    more: 2,
                },
                PlannedSlot { needed: 1, source: says.of("Members of Security"), people: vec![approver("Lea Brandt", None)], more: 0 },
            ],
            limit_s: Some(2 * 86400),
            after_limit: Some("the request times out".into()),
            usual_s: Some(3 * 3600),
            details: vec![],
        },
    ]
}

pub fn trace(says: Says, may: bool) -> Vec<TraceRule> {
    let line = |passed: bool, sentence: &str, seen: Option<&str>| TraceLine {
        passed,
        sentence: says.of(sentence),
        seen: seen.map(|s| says.of(s)),
        source: Some("demo".into()),
        seen_at: Some(ago(2)),
    };
    let rule = |name: &str, effect, passed, decided, lines| TraceRule { name: says.of(name), effect, passed, decided, lines };
    vec![
        rule("person is active", TraceEffect::Check, true, false, vec![line(true, "Your account must be active in the directory", Some("true"))]),
        rule(
            "profile data-people v3: allow rule 1",
            TraceEffect::Allow,
            may,
            may,
            vec![
                line(may, "You must be in department Data or Engineering", Some(if may { "Data" } else { "Marketing" })),
                line(true, "You must have a manager", Some("Dana Ruiz")),
                line(may, "You must have a cost centre", may.then_some("4711")),
            ],
        ),
        rule(
            "profile data-people v3: deny rule 2",
            TraceEffect::Deny,
            may,
            !may,
            vec![line(may, "You must not be a contractor", Some(if may { "employee" } else { "contractor" }))],
        ),
    ]
}

pub fn lease(says: Says, n: u128, role: RoleName, status: &str, since: i64, left: Option<i64>) -> AccessRow {
    let holds = status == "active";
    AccessRow {
        id: id(n + 500),
        request: id(n),
        role,
        status: status.into(),
        starts_at: ago(since),
        ends_at: left.map(ahead),
        ended_at: (status == "ended").then(|| ago(since - 240)),
        end_reason: (status == "ended").then(|| says.of("expired").split(' ').next().unwrap().to_owned()),
        confirmed: None,
        emergency: false,
        can: CanGrant { give_back: holds, extend: holds && left.is_some(), revoke: false, confirm: false },
    }
}

pub fn ask_row(says: Says, n: u128, role: RoleName, status: &str, waits: Option<&str>) -> RequestRow {
    RequestRow {
        id: id(n),
        role,
        beneficiary: says.of("Bo Lind"),
        status: status.into(),
        delivery: (status == "approved").then(|| "provisioning".into()),
        requested_at: ago(75),
        requested_s: Some(4 * 3600),
        waits_for: waits.map(|w| says.of(w)),
        waits_since: waits.map(|_| ago(70)),
        emergency: false,
    }
}

pub fn event(says: Says, n: u128, minutes: i64, kind: &str, actor: &str, sentence: &str) -> EventRow {
    EventRow {
        id: n as i64,
        at: ago(minutes),
        kind: kind.into(),
        actor: says.of(actor),
        acting_for: None,
        channel: if actor == "Countersign" { "system" } else { "web" }.into(),
        sentence: says.of(sentence),
        request: Some(id(10)),
        person: Some(says.of("Bo Lind")),
        application: Some(says.of("Orders DB")),
        role: Some(says.of("read-only")),
        emergency: false,
    }
}

/// A rendered page, checked against the laws every page keeps.
pub struct Rendered {
    pub html: Html,
}

impl Rendered {
    /// Renders, checks, and writes the page to the folder `COUNTERSIGN_PAGES` names, when it names one.
    pub fn of(name: &str, page: &impl Template) -> Self {
        let text = page.render().expect("the template renders");
        if let Some(folder) = std::env::var_os("COUNTERSIGN_PAGES") {
            std::fs::write(std::path::Path::new(&folder).join(format!("{name}.html")), &text).expect("page written");
        }
        let page = Self { html: Html::parse_document(&text) };
        page.laws(name);
        page
    }

    pub fn all(&self, selector: &str) -> Vec<ElementRef<'_>> {
        self.html.select(&Selector::parse(selector).expect("a selector")).collect()
    }

    pub fn one(&self, selector: &str) -> ElementRef<'_> {
        let found = self.all(selector);
        assert_eq!(found.len(), 1, "{selector} is there {} times", found.len());
        found[0]
    }

    pub fn text(&self, selector: &str) -> String {
        words(self.one(selector))
    }

    pub fn says(&self, text: &str) -> bool {
        words(self.html.root_element()).contains(text)
    }

    pub fn posts_to(&self, action: &str) -> bool {
        !self.all(&format!("form[method=post][action='{action}']")).is_empty()
    }

    fn laws(&self, name: &str) {
        assert_eq!(self.html.errors.len(), 0, "{name}: {:?}", self.html.errors);
        assert_eq!(self.all("h1").len(), 1, "{name}: one h1");
        assert_eq!(self.all("main#main").len(), 1, "{name}: one main");
        assert!(!self.text("head > title").trim().is_empty());
        assert_eq!(self.all("style, [style], iframe, object, embed, base").len(), 0, "{name}: nothing inline");
        let scripts = self.all("script");
        assert!(scripts.len() == 1 && scripts[0].attr("src").is_some_and(|s| s.starts_with("/static/app.js?v=")));
        let mut ids = HashSet::new();
        for node in self.all("*") {
            for (attribute, value) in node.value().attrs() {
                assert!(!attribute.starts_with("on"), "{name}: {attribute}");
                assert!(!matches!(attribute, "href" | "src" | "action") || value.starts_with(['/', '#']), "{name}: {attribute}={value}");
            }
            if let Some(id) = node.attr("id") {
                assert!(ids.insert(id.to_owned()), "{name}: id {id} twice");
            }
        }
        for node in self.all("[aria-labelledby], [aria-describedby], label[for]") {
            for attribute in ["aria-labelledby", "aria-describedby", "for"] {
                for target in node.attr(attribute).into_iter().flat_map(str::split_whitespace) {
                    assert!(ids.contains(target), "{name}: {attribute}={target} leads nowhere");
                }
            }
        }
        for field in self.all("input:not([type=hidden]), textarea, select") {
            let labelled = field.ancestors().filter_map(ElementRef::wrap).any(|a| a.value().name() == "label")
                || field.attr("id").is_some_and(|id| !self.all(&format!("label[for='{id}']")).is_empty());
            assert!(labelled, "{name}: a field without a label: {}", field.html());
        }
        for form in self.all("form") {
            let method = form.attr("method");
            assert!(matches!(method, Some("get" | "post")), "{name}: a form says its method");
            let acts = form.select(&Selector::parse("button").unwrap()).count();
            assert!(acts > 0, "{name}: a form has a button");
        }
        for act in self.all("a[href], button, summary") {
            assert!(!words(act).trim().is_empty(), "{name}: {} has a name", act.html());
        }
        for th in self.all("thead th") {
            assert_eq!(th.attr("scope"), Some("col"), "{name}: headings say what they head");
        }
        for time in self.all("time") {
            assert!(time.attr("datetime").is_some_and(|d| d.parse::<DateTime<Utc>>().is_ok()), "{name}");
        }
    }
}

/// The text of a node as a reader sees it: white space made single, inline elements joined, blocks apart.
pub fn words(node: ElementRef<'_>) -> String {
    let mut text = String::new();
    read(node, &mut text);
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn read(node: ElementRef<'_>, into: &mut String) {
    const INLINE: [&str; 14] = ["a", "b", "bdi", "code", "del", "em", "ins", "kbd", "label", "q", "small", "span", "strong", "time"];
    for child in node.children() {
        if let Some(text) = child.value().as_text() {
            into.push_str(text);
        } else if let Some(element) = ElementRef::wrap(child) {
            let block = !INLINE.contains(&element.value().name());
            into.push_str(if block { " " } else { "" });
            read(element, into);
            into.push_str(if block { " " } else { "" });
        }
    }
}
