//! The rules, changed by forms and over the API.

use axum::http::StatusCode;
use countersign::service::change::submit::Outcome;
use countersign::service::rule_form::change::{self, Kept};
use countersign::service::rule_form::list;
use countersign::service::rule_form::shape::Kind;
use countersign::service::rule_form::sheet::Form;
use serde_json::json;

use crate::api::{ALL, Site};
use crate::changing::{careful, longer};
use crate::desk::{Desk, Page};
use crate::world::{World, catalog};

/// Two administrators, and what they save applies at once.
async fn quick() -> World {
    let mut world = careful().await;
    world.ctx.changing.require_second_person = false;
    world
}

const STANDARD: &str = "/admin/rules/policy/standard/edit";

async fn show(desk: &mut Desk, page: &Page, typed: &[(&str, &str)]) -> Page {
    let typed: Vec<_> = typed.iter().copied().chain([("do", "show")]).collect();
    desk.submit(page, "form.ruleform", &typed).await.fine()
}

async fn changes(world: &World) -> i64 {
    world.one("select count(*) from countersign.policy_change").await
}

/// The longest that the policy in force lets one have, in seconds.
async fn maximum(world: &World) -> i64 {
    world
        .one("select v.maximum_s from countersign.access_policy_version v join countersign.access_policy p on p.id = v.policy_id where p.key = 'standard' order by v.version desc limit 1")
        .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_role_made_with_a_form_is_in_the_catalog() {
    let world = quick().await;
    let mut sofia = Desk::of(&world, "sofia.marin").await;
    let list = sofia.get("/admin/rules/role?q=orders-db").await.fine();
    assert_eq!(list.count("tbody tr"), 3);
    let page = sofia.get("/admin/rules/role/new").await.fine();
    let role = [
        ("application", "orders-db"),
        ("key", "inspector"),
        ("name", "Inspect orders"),
        ("description", "Look at every order.\nChange none."),
        ("risk", "elevated"),
        ("group", "orders-db-readers"),
    ];
    let seen = show(&mut sofia, &page, &role).await;
    assert!(seen.main().contains("role orders-db/inspector Inspect orders"), "{}", seen.main());
    assert_eq!((seen.count(".refused"), seen.attr("#f-key", "value").as_str()), (0, "inspector"));
    assert_eq!(world.one::<i64>("select count(*) from countersign.role where key = 'inspector'").await, 0, "looked at is not saved");
    let done = sofia.submit(&seen, "form.ruleform", &[("do", "save")]).await.fine();
    assert!(done.flash().contains("Applied"), "{}", done.flash());
    assert!(done.main().contains("the form of role inspector"), "{}", done.main());
    let mut bo = Desk::of(&world, "bo.lind").await;
    assert!(bo.get("/catalog?q=Inspect").await.fine().main().contains("Inspect orders"));
    // What is there already is said so, at its key.
    let again = show(&mut sofia, &page, &role).await;
    assert!(again.one("#f-key-fault").contains("is already described"), "{}", again.main());

    let edit = sofia.get("/admin/rules/role/orders-db.inspector/edit").await.fine();
    let seen = sofia.submit(&edit, "form[action$='/retire']", &[]).await.fine();
    assert!(seen.main().contains("no longer offered"), "{}", seen.main());
    let done = sofia.submit(&seen, "form[action$='/retire']", &[("do", "save")]).await.fine();
    assert!(done.flash().contains("Applied"));
    // The catalog is looked up anew every few seconds.
    world.advance(chrono::Duration::minutes(1)).await;
    let left = bo.get("/catalog?q=Inspect").await.fine().main();
    assert!(!left.contains("Look at every order"), "{left}");
    assert_eq!(sofia.get("/admin/rules/role/orders-db.inspector/edit").await.status, StatusCode::NOT_FOUND);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_policy_changed_with_a_form_is_in_force_when_another_administrator_approved() {
    let world = careful().await;
    let before = maximum(&world).await;
    let mut sofia = Desk::of(&world, "sofia.marin").await;
    let page = sofia.get(STANDARD).await.fine();
    assert!(page.main().contains("another administrator has to approve"));
    let seen = show(&mut sofia, &page, &[("durations.maximum", "60d")]).await;
    assert!(seen.one(".diff").contains("maximum: 30 days -> 60 days") && seen.one(".said").contains("60 days"), "{}", seen.main());
    assert_eq!(seen.one("button[value=save]"), "Propose it");
    let done = sofia.submit(&seen, "form.ruleform", &[("do", "save")]).await.fine();
    assert!(done.flash().contains("Proposed") && done.count("form[action$='/approve']") == 0, "nobody approves their own");
    assert_eq!(maximum(&world).await, before);
    let id = world.one::<uuid::Uuid>("select id from countersign.policy_change where status = 'proposed'").await;
    let mut grace = Desk::of(&world, "grace.mbeki").await;
    let page = grace.get(&format!("/admin/changes/{id}")).await.fine();
    grace.submit(&page, "form[action$='/approve']", &[]).await.fine();
    assert_eq!(maximum(&world).await, 60 * 86_400);
    assert_eq!(sofia.get(STANDARD).await.fine().attr("#f-durations-maximum", "value"), "60d");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn faults_stand_at_their_fields_and_what_was_typed_stays() {
    let world = quick().await;
    let before = changes(&world).await;
    let mut sofia = Desk::of(&world, "sofia.marin").await;
    let page = sofia.get(STANDARD).await.fine();
    let typed = [("name", "A new name"), ("durations.maximum", "soon"), ("profile", "nobody-s"), ("justification.pattern", "(")];
    let seen = show(&mut sofia, &page, &typed).await;
    assert!(seen.one("#f-durations-maximum-fault").contains("is not a duration"));
    assert!(seen.one("#f-profile-fault").contains("There is no profile"));
    assert!(seen.one("#f-justification-pattern-fault").contains("no regular expression"));
    assert_eq!((seen.attr("#f-name", "value").as_str(), seen.attr("#f-durations-maximum", "value").as_str()), ("A new name", "soon"));
    assert_eq!(seen.count("button[value=save]"), 0);
    // A row more, and all of it is still there; nothing was looked up for it.
    let more = sofia.submit(&seen, "form.ruleform", &[("do", "add.field")]).await.fine();
    let more = sofia.submit(&more, "form.ruleform", &[("do", "add.for"), ("field.0.label", "Why <now>?")]).await.fine();
    assert_eq!((more.attr("#f-name", "value").as_str(), more.attr("#f-field-0-label", "value").as_str()), ("A new name", "Why <now>?"));
    let less = sofia.submit(&more, "form.ruleform", &[("do", "remove.field.0")]).await.fine();
    assert_eq!((less.count("#f-field-0"), less.count("#f-for-0")), (0, 1));
    // An empty condition is a fault, never everybody.
    let seen = show(&mut sofia, &less, &[]).await;
    assert!(seen.one("#f-for-0").contains("must not be empty"), "{}", seen.main());
    // Sent again as if nothing were wrong.
    let refused = sofia.submit(&seen, "form.ruleform", &[("do", "save")]).await.fine();
    assert!(refused.main().contains("nothing was saved"));
    assert_eq!(changes(&world).await, before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_another_administrator_changed_meanwhile_is_shown_and_not_lost() {
    let world = quick().await;
    let (mut sofia, mut grace) = (Desk::of(&world, "sofia.marin").await, Desk::of(&world, "grace.mbeki").await);
    let (hers, other) = (sofia.get(STANDARD).await.fine(), grace.get(STANDARD).await.fine());
    let elsewhere = grace.get("/admin/rules/profile/everybody/edit").await.fine();
    let elsewhere = show(&mut grace, &elsewhere, &[("name", "Everyone")]).await;
    let seen_by_grace = show(&mut grace, &other, &[("durations.maximum", "45d")]).await;
    let seen = show(&mut sofia, &hers, &[("durations.maximum", "60d")]).await;
    sofia.submit(&seen, "form.ruleform", &[("do", "save")]).await.fine();
    let (saved, count) = (maximum(&world).await, changes(&world).await);

    let late = grace.submit(&seen_by_grace, "form.ruleform", &[("do", "save")]).await.fine();
    assert!(late.main().contains("nothing was saved") && late.main().contains("was changed by somebody since you opened it"), "{}", late.main());
    assert!(late.one(".diff").contains("maximum: 60 days -> 45 days"), "{}", late.one(".diff"));
    assert_eq!((late.attr("#f-durations-maximum", "value").as_str(), maximum(&world).await), ("45d", saved));
    assert_eq!(changes(&world).await, count);
    // Of another entry: hers stays, and Grace sees once more what hers does.
    let again = grace.submit(&elsewhere, "form.ruleform", &[("do", "save")]).await.fine();
    assert!(again.main().contains("nothing was saved") && !again.main().contains("since you opened it") && !again.one(".diff").contains("60 days"));
    grace.submit(&again, "form.ruleform", &[("do", "save")]).await.fine();
    assert_eq!((maximum(&world).await, changes(&world).await), (saved, count + 1));
    // Having seen it, she may take it back.
    let late = show(&mut grace, &late, &[]).await;
    grace.submit(&late, "form.ruleform", &[("do", "save")]).await.fine();
    assert_eq!(maximum(&world).await, 45 * 86_400);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_two_who_save_at_the_same_moment_neither_takes_back_what_the_other_did() {
    let world = quick().await;
    let (sofia, grace) = (world.by("sofia.marin").await, world.by("grace.mbeki").await);
    for round in 0..4 {
        let mut forms: Vec<Form> = Vec::new();
        for (kind, key) in [(Kind::Application, "orders-db"), (Kind::Profile, "everybody")] {
            let mut form = change::open(&world.ctx, &sofia, kind, key).await.unwrap().form;
            form.set("name", &format!("Round {round} of {key}"));
            forms.push(form);
        }
        let marks = [
            change::look(&world.ctx, &sofia, (Some("orders-db"), &forms[0]), "").await.unwrap().review.mark,
            change::look(&world.ctx, &grace, (Some("everybody"), &forms[1]), "").await.unwrap().review.mark,
        ];
        let (a, b) = tokio::join!(
            change::save(&world.ctx, &sofia, (Some("orders-db"), &forms[0]), ("", &marks[0])),
            change::save(&world.ctx, &grace, (Some("everybody"), &forms[1]), ("", &marks[1])),
        );
        let mut done = 0;
        for (kept, key, form, by) in [(a.unwrap(), "orders-db", &forms[0], &sofia), (b.unwrap(), "everybody", &forms[1], &grace)] {
            match kept {
                Kept::Done(Outcome::Applied { .. }) => done += 1,
                Kept::Look(looked) => {
                    // Shown anew against what the other did, and saved then.
                    let kept = change::save(&world.ctx, by, (Some(key), form), ("", &looked.review.mark)).await.unwrap();
                    assert!(matches!(kept, Kept::Done(Outcome::Applied { .. })), "{kept:?}");
                }
                other => panic!("{other:?}"),
            }
        }
        assert!(done >= 1);
        for (kind, form, key) in [(Kind::Application, &forms[0], "orders-db"), (Kind::Profile, &forms[1], "everybody")] {
            let now = change::open(&world.ctx, &sofia, kind, key).await.unwrap().form;
            assert_eq!(now.text("name"), form.text("name"), "round {round}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_entry_that_nobody_touched_comes_through_its_form_unchanged() {
    let world = quick().await;
    let by = world.by("sofia.marin").await;
    let mut seen = 0;
    for (kind, ..) in Kind::ALL {
        for row in list::list(&world.ctx, &by, kind, "", "").await.unwrap().rows {
            let opened = change::open(&world.ctx, &by, kind, &row.key).await.unwrap();
            let looked = change::look(&world.ctx, &by, (Some(&row.key), &opened.form), &opened.base).await.unwrap();
            assert_eq!((looked.review.lines, looked.review.faults, looked.overtaken), (vec![], vec![], false), "{} {}", kind.word(), row.key);
            assert_eq!((looked.words.is_empty(), &looked.words), (false, &opened.words), "{} {}", kind.word(), row.key);
            seen += 1;
        }
    }
    assert!(seen > 30, "{seen}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_is_sent_to_a_form_has_an_answer_and_changes_nothing() {
    let world = quick().await;
    let before = changes(&world).await;
    let mut sofia = Desk::of(&world, "sofia.marin").await;
    let hostile = ["\"\n[[policy]]\nkey = \"x\"", "</textarea><script>", "\u{202e}", "a\0b", "🦀", "-1", "99999999999999999999", &"x".repeat(5_000)];
    for (kind, word, ..) in Kind::ALL {
        let (new, edit) = (format!("/admin/rules/{word}/new"), format!("/admin/rules/{word}/standard/edit"));
        let empty = sofia.post(&new, &[]).await.fine();
        assert!(empty.count(".fault, .faults") > 0, "{word}");
        for text in hostile {
            let names = [
                "key",
                "name",
                "description",
                "owner",
                "application",
                "group",
                "risk",
                "profile",
                "procedure",
                "a",
                "b",
                "durations.maximum",
                "durations.choices",
            ];
            let rows = [
                "policies.0.policy",
                "policies.0.priority",
                "rules.0.effect",
                "rules.0.all.0.values",
                "step.0.slots.0.from.0.called",
                "for.0.attribute",
                "field.0.choices",
            ];
            let all: Vec<(&str, &str)> =
                names.into_iter().chain(rows).map(|name| (name, text)).chain([("base", text), ("mark", text), ("do", "save")]).collect();
            for path in [&new, &edit] {
                let page = sofia.post(path, &all).await.fine();
                assert_eq!((page.count("script:not([src])"), page.count("button[value=save]")), (0, 0), "{path} {text:?}");
            }
        }
        for button in ["add.nothing", "remove.step.99", "up.x.0", "", "save", "\0"] {
            sofia.post(&new, &[("do", button)]).await.fine();
        }
        let deep = format!("{}=x&do=show", "step.0.slots.0.from.".repeat(500));
        sofia.post_raw(&new, deep).await.fine();
        assert_eq!(sofia.post_raw(&new, format!("name={}", "x".repeat(1 << 20))).await.status, StatusCode::PAYLOAD_TOO_LARGE);
        assert_eq!(sofia.post_raw(&new, "name=%FF".into()).await.status, StatusCode::BAD_REQUEST);
        assert_eq!(sofia.get(&format!("/admin/rules/{word}/%00/edit")).await.status, StatusCode::NOT_FOUND);
        assert_eq!(sofia.post(&format!("/admin/rules/{word}/no-such/retire"), &[]).await.status, StatusCode::NOT_FOUND, "{kind:?}");
        sofia.get(&format!("/admin/rules/{word}?q=%00%3Cb%3E&after=%F0%9F%A6%80")).await.fine();
    }
    for path in ["/admin/rules/x", "/admin/rules/x/new", "/admin/rules/x/y/edit", "/admin/rules/policy/nobody/edit"] {
        assert_eq!(sofia.get(path).await.status, StatusCode::NOT_FOUND, "{path}");
    }
    assert_eq!(changes(&world).await, before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn auditors_read_the_entries_and_nobody_else_finds_them() {
    let world = quick().await;
    let mut auditor = Desk::of(&world, "wei.zhang").await;
    for path in ["/admin/rules/policy", STANDARD, "/admin/rules/role/orders-db.reader/edit"] {
        let page = auditor.get(path).await.fine();
        assert_eq!(page.count("main form[method=post]"), 0, "{path}");
    }
    assert!(auditor.get(STANDARD).await.fine().one(".said").contains("30 days"));
    assert_eq!(auditor.get("/admin/rules/policy/new").await.status, StatusCode::NOT_FOUND);
    for path in ["/admin/rules/policy/new", STANDARD, "/admin/rules/policy/standard/retire"] {
        assert_eq!(auditor.post(path, &[]).await.status, StatusCode::NOT_FOUND, "{path}");
    }
    let mut owner = Desk::of(&world, "arjun.mehta").await;
    assert_eq!(owner.get(STANDARD).await.status, StatusCode::NOT_FOUND);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_still_needed_cannot_be_retired_and_the_page_says_by_what() {
    let world = quick().await;
    let mut sofia = Desk::of(&world, "sofia.marin").await;
    let page = sofia.post("/admin/rules/profile/everybody/retire", &[]).await.fine();
    assert!(page.one(".refused").contains("There is no profile “everybody”") && page.count("button[value=save]") == 0, "{}", page.main());
    assert!(page.count(".refused a[href^='/admin/rules/policy/']") > 0);
    // As if it had been offered.
    let before = changes(&world).await;
    sofia.post("/admin/rules/profile/everybody/retire", &[("do", "save"), ("mark", "x")]).await.fine();
    assert_eq!(changes(&world).await, before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_is_proposed_read_and_approved_over_the_api_and_never_by_its_author() {
    let world = careful().await;
    let site = Site::over(&world);
    let (sofia, grace) = (site.token(&world, "sofia.marin", &ALL).await, site.token(&world, "grace.mbeki", &ALL).await);
    let path = "/api/v1/policy-changes";
    let checked = site.post(&sofia, path, json!({"catalog": longer(), "check": true})).await;
    assert_eq!((checked.status, checked.json()["status"].as_str()), (StatusCode::OK, Some("checked")), "{}", checked.text);
    let same = site.post(&sofia, path, json!({"catalog": catalog()})).await;
    assert_eq!((same.status, same.json()["status"].as_str()), (StatusCode::OK, Some("unchanged")), "{}", same.text);
    let made = site.post_once(&sofia, path, json!({"catalog": longer()}), "k1").await;
    assert_eq!((made.status, made.json()["status"].as_str()), (StatusCode::CREATED, Some("proposed")), "{}", made.text);
    assert_eq!(site.post_once(&sofia, path, json!({"catalog": longer()}), "k1").await.json()["id"], made.json()["id"]);
    let one = format!("{path}/{}", made.json()["id"].as_str().unwrap());
    world.turn().await;
    let read = site.get(&grace, &one).await.json();
    assert_eq!((read["may_approve"].as_bool(), read["differences"][0]["mark"].as_str()), (Some(true), Some("changed")), "{read}");
    assert!(read["what_if"]["becomes"].is_array() && read["what_if"]["error"].is_null(), "{read}");
    assert_eq!(site.get(&sofia, &one).await.json()["may_approve"], false);

    let own = site.post(&sofia, &format!("{one}/approve"), json!({})).await;
    assert!(own.status.is_client_error() && own.text.contains("own-change"), "{} {}", own.status, own.text);
    let before = maximum(&world).await;
    let late = site.post(&grace, &format!("{one}/approve"), json!({"at": "2001-01-01T00:00:00Z"})).await;
    assert_eq!((late.status, maximum(&world).await), (StatusCode::UNPROCESSABLE_ENTITY, before));
    let approved = site.post(&grace, &format!("{one}/approve"), json!({"comment": "Agreed."})).await;
    assert_eq!((approved.status, approved.json()["status"].as_str()), (StatusCode::OK, Some("applied")), "{}", approved.text);
    assert_eq!(maximum(&world).await, 60 * 86_400);
    assert_eq!(site.post(&grace, &format!("{one}/reject"), json!({})).await.status, StatusCode::CONFLICT);

    let back = site.post(&sofia, path, json!({"catalog": catalog()})).await.json();
    let back = format!("{path}/{}", back["id"].as_str().unwrap());
    assert!(site.post(&grace, &format!("{back}/withdraw"), json!({})).await.status.is_client_error());
    assert_eq!(site.post(&sofia, &format!("{back}/withdraw"), json!({"comment": "No."})).await.json()["status"], "withdrawn");
    // In pages of one.
    let page = site.get(&grace, &format!("{path}?limit=1")).await.json();
    let next = site.get(&grace, &format!("{path}?limit=1&after={}", page["next"].as_str().unwrap())).await.json();
    assert_eq!((page["items"][0]["status"].as_str(), next["items"][0]["status"].as_str()), (Some("withdrawn"), Some("applied")));
    assert_eq!(site.get(&grace, &format!("{path}?status=withdrawn")).await.json()["items"].as_array().unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_proposal_over_the_api_that_is_faulty_or_out_of_scope_changes_nothing() {
    let world = careful().await;
    let site = Site::over(&world);
    let sofia = site.token(&world, "sofia.marin", &ALL).await;
    let before = changes(&world).await;
    let path = "/api/v1/policy-changes";
    let faulty = site.post(&sofia, path, json!({"catalog": catalog().replace("risk = \"low\"", "risk = \"none\"")})).await;
    assert_eq!(faulty.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(faulty.text.contains("is no risk") && faulty.text.contains("line "), "{}", faulty.text);
    for body in [json!({}), json!({"catalog": 7}), json!({"catalog": "a\0"}), json!({"catalog": ""}), json!({"catalog": "x = 1", "more": 1}), json!([])] {
        assert!(site.post(&sofia, path, body.clone()).await.status.is_client_error(), "{body}");
    }
    let huge = site.post(&sofia, path, json!({"catalog": "#".repeat(2 << 20)})).await;
    assert_eq!(huge.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", huge.text);
    assert_eq!(site.post(&sofia, path, json!({"catalog": "#".repeat(4 << 20)})).await.status, StatusCode::PAYLOAD_TOO_LARGE);
    let reader = site.token(&world, "sofia.marin", &["rules:read"]).await;
    assert_eq!(site.post(&reader, path, json!({"catalog": longer()})).await.status, StatusCode::FORBIDDEN);
    assert_eq!(site.get(&reader, path).await.status, StatusCode::OK);
    for (who, status) in [("wei.zhang", StatusCode::OK), ("bo.lind", StatusCode::NOT_FOUND)] {
        let token = site.token(&world, who, &ALL).await;
        assert_eq!(site.get(&token, path).await.status, status, "{who}");
        assert_eq!(site.post(&token, path, json!({"catalog": longer()})).await.status, StatusCode::NOT_FOUND, "{who}");
    }
    assert_eq!(changes(&world).await, before);
}
