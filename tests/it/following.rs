//! Changes of a directory are followed without reading everybody.

use chrono::Duration;
use countersign::demo::company::Company;
use countersign::domain::approval::Answer;
use countersign::service::error::ServiceError;
use countersign::service::sync::sync;
use countersign::service::sync_changes::{Followed, follow};
use serde_json::json;
use uuid::Uuid;

use crate::graph::{Graph, user_id};
use crate::vendor::{Running, Said, Trick};
use crate::vendor_day::{CATALOG, settle};
use crate::world::{Reach, World};

/// A tenant in which Ann owns the shop, Bo works there and Cy is new; it was read whole once.
struct Tenant {
    world: World,
    running: Running<Graph>,
    group: String,
    bo: String,
}

impl Tenant {
    async fn new() -> Self {
        let running = Graph::held().await;
        let graph = &running.vendor;
        let ann = graph.user(1, "ann", json!({"department": "Platform"}));
        let bo = graph.user(2, "bo", json!({"department": "Platform"}));
        graph.manager(&bo, &ann);
        graph.user(3, "cy", json!({"department": "Platform"}));
        let group = graph.group(1, "readers", json!({}));
        let world = World::with(Company::embedded().unwrap(), Reach::By(crate::entra::connect(&running.url))).await;
        world.turn().await;
        world.apply(&CATALOG.replace("ANN", "ann@contoso.example")).await;
        sync(&world.ctx, "main").await.unwrap();
        let tenant = Self { world, running, group, bo };
        assert!(tenant.token().await.is_some(), "changes count from the reading on");
        tenant
    }

    async fn token(&self) -> Option<String> {
        self.world.one("select token from countersign.directory_sync where directory = 'main'").await
    }

    /// Gives Bo the role for eight hours; the request.
    async fn given(&self) -> Uuid {
        let asked = self.world.ask("bo@contoso.example", "shop", "reader", 8 * 3_600).await.unwrap();
        self.world.answer("ann@contoso.example", asked.id, Answer::Approve { granted: None }).await.unwrap();
        settle(&self.world).await;
        assert!(self.running.vendor.has(&self.group, &self.bo));
        // Their own changes come back as news, once.
        self.follow().await;
        asked.id.into()
    }

    async fn follow(&self) -> Option<Followed> {
        follow(&self.world.ctx, "main").await.unwrap()
    }

    /// Whether everybody was listed since the desk forgot.
    fn listed_everybody(&self) -> bool {
        self.running.vendor.desk.calls().iter().any(|call| call.path.trim_end_matches('/').ends_with("/users"))
    }

    async fn is_due(&self, name: &'static str) -> bool {
        sqlx::query_scalar("select next_at <= countersign.clock() from countersign.timetable where name = $1")
            .bind(name)
            .fetch_one(&self.world.root)
            .await
            .unwrap()
    }

    async fn status(&self, login: &str) -> String {
        sqlx::query_scalar("select status from countersign.person where user_name = $1").bind(login).fetch_one(&self.world.root).await.unwrap()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_named_as_changed_is_asked_about_alone_and_loses_what_they_had() {
    let tenant = Tenant::new().await;
    let request = tenant.given().await;
    assert_eq!(tenant.follow().await, Some(Followed::default()), "no news");
    let before = tenant.token().await;
    tenant.running.vendor.desk.forget();
    tenant.running.vendor.set(&tenant.bo, "accountEnabled", false.into());
    assert_eq!(tenant.follow().await, Some(Followed { people: 1, groups: 0 }));
    assert!(!tenant.listed_everybody());
    assert_ne!(tenant.token().await, before);
    assert_eq!(tenant.status("bo@contoso.example").await, "disabled");
    settle(&tenant.world).await;
    assert!(!tenant.running.vendor.has(&tenant.group, &tenant.bo), "and the membership is gone");
    let reason: String =
        sqlx::query_scalar("select end_reason from countersign.access_grant where request_id = $1").bind(request).fetch_one(&tenant.world.root).await.unwrap();
    assert_eq!(reason, "offboarded");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_group_that_is_named_as_changed_is_compared_at_once() {
    let tenant = Tenant::new().await;
    tenant.world.turn().await;
    assert!(!tenant.is_due("sweep:main").await);
    let cy = user_id(3);
    tenant.running.vendor.put(&tenant.group, &cy);
    tenant.running.vendor.group(2, "elsewhere", json!({}));
    let followed = tenant.follow().await.unwrap();
    assert_eq!((followed.people, followed.groups), (1, 1), "the group that gives no role is nobody's business");
    assert!(tenant.is_due("sweep:main").await);
    settle(&tenant.world).await;
    let drift: (String, String) =
        sqlx::query_as("select d.kind, d.person_reference from countersign.drift d where d.resolved_at is null").fetch_one(&tenant.world.root).await.unwrap();
    assert_eq!(drift, ("unexpected_member".into(), cy));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_changes_were_forgotten_everybody_is_read_again_and_nobody_is_missed() {
    let tenant = Tenant::new().await;
    tenant.given().await;
    tenant.world.turn().await;
    tenant.running.vendor.set(&tenant.bo, "accountEnabled", false.into());
    tenant.running.vendor.forget_changes();
    tenant.running.vendor.desk.forget();
    assert_eq!(tenant.follow().await, None);
    assert_eq!(tenant.token().await, None, "what is too old is not asked for again");
    assert!(tenant.is_due("sync:main").await);
    assert_eq!(tenant.status("bo@contoso.example").await, "active", "nothing was told of him yet");
    tenant.world.turn().await;
    assert!(tenant.listed_everybody() && tenant.token().await.is_some());
    assert_eq!(tenant.status("bo@contoso.example").await, "disabled");
    settle(&tenant.world).await;
    assert!(!tenant.running.vendor.has(&tenant.group, &tenant.bo));
    assert!(tenant.follow().await.is_some(), "and counting goes on");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_list_of_changes_that_breaks_off_goes_on_from_where_it_was() {
    let tenant = Tenant::new().await;
    tenant.given().await;
    let graph = &tenant.running.vendor;
    let before = tenant.token().await;
    graph.set(&tenant.bo, "accountEnabled", false.into());
    graph.desk.trick("GET", "/users/delta", Trick::Say(Said::html(503)), 100);
    assert!(matches!(follow(&tenant.world.ctx, "main").await, Err(ServiceError::Unavailable(_))));
    assert_eq!(tenant.token().await, before, "nothing was followed");
    assert_eq!(tenant.status("bo@contoso.example").await, "active");
    graph.desk.no_tricks();
    tenant.world.advance(Duration::minutes(10)).await;
    assert_eq!(tenant.follow().await, Some(Followed { people: 1, groups: 0 }));
    assert_eq!(tenant.status("bo@contoso.example").await, "disabled");
}
