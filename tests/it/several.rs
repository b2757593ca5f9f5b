//! Several directories: people, rights and roles stay apart.

use std::collections::BTreeMap;
use std::sync::Arc;

use countersign::clock::Clock;
use countersign::demo::company::Company;
use countersign::demo::serve::{self, Running};
use countersign::directory::http;
use countersign::directory::port::Directory;
use countersign::directory::scim::Scim;
use countersign::domain::refusal::Refusal;
use countersign::domain::request::RequestStatus;
use countersign::service::ctx::{Access, Ctx, Directories};
use countersign::service::error::ServiceError;
use countersign::service::import::choose::{self, Wish};
use countersign::service::import::list;
use countersign::service::rights::Rights;
use countersign::service::{catalog_export, plan, sweep, sync};

use crate::world::{Reach, SCIM_TOKEN, World, catalog};

/// A second company whose people have other logins, but whose ids and groups are those of the first: ids mean something in their own
/// directory only.
async fn second() -> Running {
    let mut company = Company::embedded().unwrap();
    for person in &mut company.people {
        person.user_name = format!("second.{}", person.user_name);
        person.email = format!("second.{}", person.email);
    }
    let settings = serve::Settings {
        listen: "127.0.0.1:0".parse().unwrap(),
        company,
        state: None,
        client_id: "countersign".into(),
        client_secret: "client-secret-of-the-tests".into(),
        redirect_uris: vec!["http://127.0.0.1:9/sign-in/callback".into()],
        post_logout_redirect_uris: vec![],
        scim_token: SCIM_TOKEN.into(),
    };
    serve::start(settings, Clock::system()).await.unwrap()
}

/// A role in the second directory, in a catalog whose other roles are in the first.
fn with_role() -> String {
    format!(
        "{}\n[[role]]\napplication = \"warehouse\"\nkey = \"copy\"\nname = \"Copy\"\ndescription = \"The other warehouse.\"\nrisk = \"low\"\ndirectory = \"second\"\ngroup = \"warehouse-analysts\"\n",
        catalog()
    )
}

async fn side_by_side() -> (World, Running) {
    let mut world = World::empty().await;
    let running = second().await;
    let scim = Scim::new(&http::Settings::new(&running.scim_base(), SCIM_TOKEN), world.ctx.clock.clone()).unwrap();
    let mut all: BTreeMap<String, Directory> = (**world.ctx.directories).clone();
    all.insert("second".into(), Directory::Scim(scim));
    world.ctx.directories = Arc::new(Directories::new(all, "main"));
    world.turn().await;
    (world, running)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_finds_each_group_in_the_directory_of_its_role_and_reads_back() {
    let (world, running) = side_by_side().await;
    world.apply(&with_role()).await;
    let (directory, group): (String, String) =
        sqlx::query_as("select directory, group_reference from countersign.role where key = 'copy'").fetch_one(&world.root).await.unwrap();
    assert_eq!((directory.as_str(), group.as_str()), ("second", world.group("warehouse-analysts").await.as_str()));
    let owner: String =
        world.one("select p.directory from countersign.application a join countersign.person p on p.id = a.owner_id where a.key = 'warehouse'").await;
    assert_eq!(owner, "main", "people are of the directory that people sign in with");

    let exported = catalog_export::toml(&world.ctx.db, &world.ctx.directories).await.unwrap();
    assert!(exported.contains("directory = \"second\"\ngroup = \"warehouse-analysts\"\n"), "{exported}");
    let again = plan::run(&world.ctx.db, &world.ctx.directories, &exported).await.unwrap();
    assert_eq!((again.faults, again.changes), (vec![], vec![]), "{exported}");

    let wrong = with_role().replace("directory = \"second\"", "directory = \"third\"");
    let planned = plan::run(&world.ctx.db, &world.ctx.directories, &wrong).await.unwrap();
    assert_eq!(planned.faults.len(), 1, "{:?}", planned.faults);
    assert!(planned.faults[0].sentence.contains("There is no directory “third”; those that are connected are “main”, “second”."), "{:?}", planned.faults);
    let nowhere = with_role().replace("directory = \"second\"\ngroup = \"warehouse-analysts\"", "directory = \"second\"\ngroup = \"no-such-group\"");
    let planned = plan::run(&world.ctx.db, &world.ctx.directories, &nowhere).await.unwrap();
    assert!(planned.faults.iter().any(|fault| fault.sentence.contains("There is no group “no-such-group” in directory second.")), "{:?}", planned.faults);

    // A directory that is away says nothing about the names in it.
    running.stop().await;
    let planned = plan::run(&world.ctx.db, &world.ctx.directories, &with_role()).await;
    assert!(matches!(planned, Err(ServiceError::Unavailable(_))), "{planned:?}");
    let planned = plan::run(&world.ctx.db, &world.ctx.directories, &catalog()).await;
    assert!(planned.is_ok(), "and hinders nothing that does not name it: {planned:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_is_given_a_role_of_a_directory_that_they_are_not_in() {
    let (world, running) = side_by_side().await;
    world.apply(&with_role()).await;
    let refused = world.ask("bo.lind", "warehouse", "copy", 3_600).await.unwrap_err();
    assert!(matches!(&refused, ServiceError::Refused(Refusal::OtherDirectory(who, directory)) if who == "Bo Lind" && directory == "second"), "{refused}");
    assert_eq!(world.one::<i64>("select count(*) from countersign.request").await, 0);
    // Their namesake there may: the id is the same, the person is another.
    assert_eq!(world.reference("bo.lind").await, world.reference("second.bo.lind").await);
    let asked = world.ask("second.bo.lind", "warehouse", "copy", 3_600).await;
    assert!(asked.is_ok(), "{asked:?}");
    let refused = world.ask("second.bo.lind", "warehouse", "analyst", 3_600).await.unwrap_err();
    assert!(matches!(refused, ServiceError::Refused(Refusal::OtherDirectory(..))), "{refused}");
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_group_called_like_the_id_that_gives_rights_gives_none() {
    let mut company = Company::embedded().unwrap();
    let meant = company.groups.iter().find(|group| group.name == "countersign-admins").unwrap().id.to_string();
    let last = company.groups.last_mut().unwrap();
    last.name = meant.clone();
    let namesake = last.id.to_string();
    let mut world = World::with(company, Reach::Demo).await;
    world.ctx.access = Arc::new(BTreeMap::from([("main".to_owned(), Access { administrators_group: meant.clone(), auditors_group: String::new() })]));
    assert_eq!(world.directory().find_group(&meant).await.unwrap().unwrap().reference, namesake, "by name it would be found");
    assert_eq!(Rights::default().groups(&world.ctx).await.administrators, [("main".to_owned(), meant)]);
}

/// [`with_role`], for members of `group` alone.
fn for_members_of(group: &str) -> String {
    let durations = "durations = { recommended = \"1h\", minimum = \"15m\", maximum = \"1d\" }";
    format!(
        "{}policies = [\"there\"]\n[[profile]]\nkey = \"there\"\nname = \"There\"\n[[profile.allow]]\nall = [\"groups include {group}\"]\n\
         [[policy]]\nkey = \"there\"\nname = \"There\"\nprofile = \"there\"\nauto_approve = true\n{durations}\n",
        with_role()
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_condition_means_a_group_of_one_directory_although_another_has_one_with_the_same_id() {
    let (world, running) = side_by_side().await;
    // Both companies have a group dba, with the same id and the same members.
    let member: String = sqlx::query_scalar("select user_name from countersign.person where directory = 'second' and $1 = any(groups) order by 1 limit 1")
        .bind(world.group("dba").await)
        .fetch_one(&world.root)
        .await
        .unwrap();
    world.apply(&for_members_of("dba")).await;
    let asked = world.ask(&member, "warehouse", "copy", 3_600).await.unwrap();
    assert_eq!(asked.status, RequestStatus::Refused, "dba of the home directory is not the group they are in");
    let changed = for_members_of("second:dba");
    world.apply(&changed).await;
    let asked = world.ask(&member, "warehouse", "copy", 3_600).await.unwrap();
    assert_eq!(asked.status, RequestStatus::Approved, "{}", asked.deciding_rule);
    let exported = catalog_export::toml(&world.ctx.db, &world.ctx.directories).await.unwrap();
    assert!(exported.contains("\"groups include second:dba\""), "{exported}");
    let again = plan::run(&world.ctx.db, &world.ctx.directories, &exported).await.unwrap();
    assert_eq!((again.faults, again.changes), (vec![], vec![]), "{exported}");
    let wrong = plan::run(&world.ctx.db, &world.ctx.directories, &for_members_of("second:nobody")).await.unwrap();
    assert!(wrong.faults.iter().any(|fault| fault.sentence.contains("There is no group “nobody” in directory second.")), "{:?}", wrong.faults);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn groups_of_any_directory_become_roles_there() {
    let (world, running) = side_by_side().await;
    world.apply(&catalog()).await;
    list::list_groups(&world.ctx, "second").await.unwrap();
    let wish = Wish { groups: vec![world.group("dba").await], application: "far".into(), name: "Far away".into(), owner: "mara.voss".into() };
    let (preview, drafted) = choose::preview_by_operator(&world.ctx, "second", &wish).await.unwrap();
    let drafted = drafted.unwrap_or_else(|| panic!("{:?}", preview.faults));
    assert!(drafted.added.contains("directory = \"second\"\n"), "{}", drafted.added);
    assert!(drafted.added.contains("groups include second:dba"), "{}", drafted.added);
    world.apply(&drafted.whole).await;
    let directory: String = world.one("select directory from countersign.role where key = 'dba' and group_name = 'dba' and directory = 'second'").await;
    assert_eq!(directory, "second");
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_group_gives_rights_to_people_of_its_own_directory_only() {
    let (world, running) = side_by_side().await;
    let rights = |ctx: &Ctx| {
        let ctx = ctx.clone();
        async move { Rights::default().groups(&ctx).await }
    };
    let groups = rights(&world.ctx).await;
    let admins = [world.group("countersign-admins").await];
    assert_eq!(groups.of("main", &admins), (true, false));
    assert_eq!(groups.of("second", &admins), (false, false), "the same id elsewhere is another group");
    let mut access = (*world.ctx.access).clone();
    access.insert("second".into(), Access { auditors_group: "countersign-admins".into(), ..Access::default() });
    let both = Ctx { access: Arc::new(access), ..world.ctx.clone() };
    let groups = rights(&both).await;
    assert_eq!((groups.of("main", &admins), groups.of("second", &admins)), ((true, false), (false, true)));
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_directory_that_is_away_does_not_keep_the_other_from_being_read() {
    let (world, running) = side_by_side().await;
    let count = |directory: &'static str| sqlx::query_scalar::<_, i64>("select count(*) from countersign.person where directory = $1").bind(directory);
    let both = (count("main").fetch_one(&world.root).await.unwrap(), count("second").fetch_one(&world.root).await.unwrap());
    assert!(both.0 > 20 && both.0 == both.1, "{both:?}");
    running.stop().await;
    assert!(sync::sync(&world.ctx, "second").await.is_err());
    assert!(sync::sync(&world.ctx, "main").await.is_ok());
    assert!(sweep::sweep(&world.ctx, "main").await.is_ok());
    assert_eq!(count("second").fetch_one(&world.root).await.unwrap(), both.1, "and nobody of it counts as gone");
}
