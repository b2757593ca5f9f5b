//! Groups that are there become roles.

use std::time::Instant;

use axum::http::StatusCode;
use countersign::demo::company::{Company, Group};
use countersign::service::change::review::Saved;
use countersign::service::change::submit::Outcome;
use countersign::service::import::choose::{self, Wish};
use countersign::service::import::list;
use uuid::Uuid;

use crate::changing::company;
use crate::desk::Desk;
use crate::world::{Reach, World, catalog};

/// The embedded company with groups of its own that give nothing yet.
fn with_groups(mut company: Company, groups: &[(&str, &[usize])]) -> Company {
    for (name, members) in groups {
        company.groups.push(Group { id: Uuid::now_v7(), name: (*name).into(), about: format!("About {name}"), members: members.to_vec() });
    }
    company
}

async fn world(groups: &[(&str, &[usize])]) -> World {
    let world = World::with(with_groups(company(), groups), Reach::Demo).await;
    world.turn().await;
    world.apply(&catalog()).await;
    list::list_groups(&world.ctx, "main").await.unwrap();
    world
}

async fn wish(world: &World, names: &[&str]) -> Wish {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let groups = choose::named(&world.ctx, "main", &names).await.unwrap().unwrap();
    Wish { groups, application: "legacy".into(), name: "Legacy".into(), owner: "mara.voss".into() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn groups_become_roles_with_cautious_rules_and_who_is_in_them_stays() {
    let world = world(&[("legacy-readers", &[0, 1, 2]), ("legacy writers <b>", &[3])]).await;
    let sofia = world.by("sofia.marin").await;
    let wish = wish(&world, &["legacy-readers", "legacy writers <b>"]).await;
    let preview = choose::preview(&world.ctx, &sofia, "main", &wish).await.unwrap();
    assert!(preview.is_good(), "{preview:?}");
    let mut members: Vec<usize> = preview.groups.iter().map(|group| group.members).collect();
    members.sort_unstable();
    assert_eq!(members, [1, 3]);
    assert!(preview.groups.iter().flat_map(|group| &group.shown).all(|member| member.person.is_some()), "it says who they are");
    assert!(preview.added.contains("drift = \"alert\"") && preview.added.contains("groups include"), "{}", preview.added);
    // With another mark than was shown nothing is done.
    let moved = choose::import(&world.ctx, &sofia, "main", &wish, "x").await.unwrap();
    assert!(moved.is_err());
    assert_eq!(world.one::<i64>("select count(*) from countersign.application where key = 'legacy'").await, 0);
    let done = choose::import(&world.ctx, &sofia, "main", &wish, &preview.review.mark).await.unwrap();
    assert!(matches!(done, Ok(Saved::Done(Outcome::Applied { .. }))), "{done:?}");
    world.turn().await;
    let declared: i64 = world.one("select count(*) from countersign.pre_existing_member m join countersign.role r on r.group_reference = m.group_reference join countersign.application a on a.id = r.application_id where a.key = 'legacy'").await;
    assert_eq!(declared, 4);
    assert_eq!(world.one::<i64>("select count(*) from countersign.drift where resolved_at is null").await, 0);
    // Only who is in one of them already may ask.
    let outsider = world.ask("liam.byrne", "legacy", "legacy-readers", 3_600).await.unwrap();
    assert_eq!(outsider.status, countersign::domain::request::RequestStatus::Refused);
    // A second import into the same application adds to it; what gives a role already cannot be chosen again.
    let again = choose::preview(&world.ctx, &sofia, "main", &wish).await.unwrap();
    assert!(!again.is_good() && again.groups[0].why_not.as_ref().is_some_and(|why| why.contains("already")), "{again:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_four_eyes_are_on_an_import_is_proposed() {
    let mut world = world(&[("legacy-readers", &[0])]).await;
    world.ctx.changing.require_second_person = true;
    let sofia = world.by("sofia.marin").await;
    let wish = wish(&world, &["legacy-readers"]).await;
    let preview = choose::preview(&world.ctx, &sofia, "main", &wish).await.unwrap();
    let done = choose::import(&world.ctx, &sofia, "main", &wish, &preview.review.mark).await.unwrap();
    assert!(matches!(done, Ok(Saved::Done(Outcome::Proposed(_)))), "{done:?}");
    assert_eq!(world.one::<i64>("select count(*) from countersign.application where key = 'legacy'").await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_page_leads_from_the_list_to_the_rules() {
    let world = world(&[("legacy-readers", &[0, 1]), ("<img src=x onerror=alert(1)>", &[]), ("=cmd|' /C calc'!A0", &[])]).await;
    let mut auditor = Desk::of(&world, "wei.zhang").await;
    let page = auditor.get("/directories/main/import").await.fine();
    assert_eq!(page.count("input[type=checkbox]"), 0, "who only reads chooses nothing");
    assert_eq!(auditor.post("/directories/main/import", &[]).await.status, StatusCode::NOT_FOUND);
    let mut administrator = Desk::of(&world, "sofia.marin").await;
    let page = administrator.get("/directories/main/import?q=LEGACY").await.fine();
    assert_eq!(page.count("input[name=group]"), 1);
    let group = page.attr("input[name=group]", "value");
    let form = |act: &str, mark: &str| {
        let fields = [("group", group.as_str()), ("application", "legacy"), ("name", "Legacy"), ("owner", "mara.voss"), ("do", act), ("mark", mark)];
        fields.map(|(name, value)| (name.to_owned(), value.to_owned()))
    };
    async fn post(desk: &mut Desk, fields: [(String, String); 6]) -> crate::desk::Page {
        let fields: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        desk.post("/directories/main/import", &fields).await
    }
    let shown = post(&mut administrator, form("preview", "")).await.fine();
    assert!(shown.text.contains("What it changes in the rules") && shown.text.contains("legacy/legacy-readers"), "{}", shown.main());
    let mark = shown.attr("input[name=mark]", "value");
    let done = post(&mut administrator, form("save", &mark)).await;
    assert_eq!(done.status, StatusCode::SEE_OTHER, "{}", done.text);
    world.role("legacy", "legacy-readers").await;
    world.turn().await;
    let page = administrator.get("/directories/main/import?q=legacy").await.fine();
    assert!(page.text.contains("Cannot be chosen") && page.text.contains("already"), "{}", page.main());
    // What is wrong is said beside its field.
    let faulty = administrator.post("/directories/main/import", &[("do", "preview"), ("application", "Not A Key")]).await.fine();
    assert!(faulty.text.contains("Choose at least one group.") && faulty.text.contains("a key of lower-case letters"), "{}", faulty.main());
    // Hostile names are text.
    let page = administrator.get("/directories/main/import?q=onerror").await.fine();
    assert!(page.count("main img") == 0 && page.count("input[name=group]") == 1, "{}", page.main());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_name_that_several_groups_have_names_none_and_is_written_by_reference() {
    let world = world(&[("twin", &[0]), ("twin", &[1])]).await;
    let faults = choose::named(&world.ctx, "main", &["twin".into(), "nobody".into()]).await.unwrap().unwrap_err();
    assert_eq!(faults.len(), 2, "{faults:?}");
    let reference: String = world.one("select reference from countersign.directory_group where name = 'twin' order by reference limit 1").await;
    let wish = Wish { groups: vec![reference.clone()], application: "legacy".into(), name: "Legacy".into(), owner: "mara.voss".into() };
    let preview = choose::preview(&world.ctx, &world.by("sofia.marin").await, "main", &wish).await.unwrap();
    assert!(preview.is_good() && preview.added.contains(&format!("group = \"{reference}\"")), "{preview:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twenty_thousand_groups_are_listed_and_a_large_one_is_chosen() {
    let mut company = crate::server::crowd(5_000, &["mara.voss"]);
    let workers: Vec<usize> = company.people.iter().enumerate().filter(|(_, person)| person.user_name.starts_with("worker.")).map(|(n, _)| n).collect();
    company.groups.extend((0..20_000).map(|n| Group { id: Uuid::now_v7(), name: format!("team {n:05}"), about: String::new(), members: vec![] }));
    company.groups.push(Group { id: Uuid::now_v7(), name: "everybody".into(), about: String::new(), members: workers });
    let world = World::with(company, Reach::Demo).await;
    countersign::service::sync::sync(&world.ctx, "main").await.unwrap();
    let begun = Instant::now();
    assert!(list::list_groups(&world.ctx, "main").await.unwrap() > 20_000);
    eprintln!("20,000 groups were listed in {:?}", begun.elapsed());
    let sofia = world.by("sofia.marin").await;
    let first = list::groups(&world.ctx, &sofia, "main", "team 1999", None).await.unwrap();
    assert_eq!((first.rows.len(), first.more), (10, false));
    let page = list::groups(&world.ctx, &sofia, "main", "", None).await.unwrap();
    let last = page.rows.last().unwrap();
    let next = list::groups(&world.ctx, &sofia, "main", "", Some((&last.name, &last.reference))).await.unwrap();
    assert!(page.more && next.rows.iter().all(|row| row.name >= last.name && row.reference != last.reference));
    let wish = wish(&world, &["everybody"]).await;
    let begun = Instant::now();
    let preview = choose::preview(&world.ctx, &sofia, "main", &wish).await.unwrap();
    eprintln!("a group of 5,000 was looked at in {:?}", begun.elapsed());
    assert_eq!((preview.groups[0].members, preview.groups[0].shown.len()), (5_000, 50));
    let done = choose::import(&world.ctx, &sofia, "main", &wish, &preview.review.mark).await.unwrap();
    assert!(matches!(done, Ok(Saved::Done(Outcome::Applied { .. }))), "{done:?}");
    let begun = Instant::now();
    countersign::service::sweep::sweep(&world.ctx, "main").await.unwrap();
    eprintln!("5,000 members were declared in {:?}", begun.elapsed());
    assert_eq!(world.one::<i64>("select count(*) from countersign.pre_existing_member").await, 5_000);
}
