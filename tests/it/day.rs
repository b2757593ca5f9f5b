//! A busy company's day, then every book against every other.

use std::collections::{BTreeMap, BTreeSet};

use chrono::Duration;
use countersign::domain::approval::Answer;
use countersign::domain::id::{GrantId, RequestId};
use countersign::domain::span::Seconds;
use countersign::evidence::columns::File;
use countersign::evidence::csv::Mode;
use countersign::service::end::end;
use countersign::service::error::ServiceError;
use countersign::service::export::{Taking, export_by_operator};
use countersign::service::withdraw::withdraw;
use uuid::Uuid;

use crate::world::World;

/// Small, seeded, and ours: the same day every time.
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: usize) -> usize {
        // xorshift64*
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) as usize % n
    }

    fn of<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len())]
    }
}

const ROLES: [(&str, &str, i64, i64); 6] = [
    ("orders-db", "reader", 60, 28_800),
    ("orders-db", "writer", 900, 14_400),
    ("warehouse", "analyst", 3_600, 86_400),
    ("production", "deployer", 900, 28_800),
    ("support-console", "agent", 900, 86_400),
    ("ledger", "accountant", 86_400, 172_800),
];

/// Refusals and conflicts are part of a day; anything broken is not.
fn lived<T>(outcome: Result<T, ServiceError>) -> Option<T> {
    match outcome {
        Ok(done) => Some(done),
        Err(ServiceError::Refused(_) | ServiceError::Missing) => None,
        Err(other) => panic!("{other:?}"),
    }
}

async fn members(world: &World) -> BTreeMap<String, BTreeSet<String>> {
    let mut all = BTreeMap::new();
    let groups: Vec<(String, String)> =
        sqlx::query_as("select distinct group_name, group_reference from countersign.role").fetch_all(&world.root).await.unwrap();
    for (name, reference) in groups {
        all.insert(name, world.directory().members(&reference).await.unwrap().unwrap().into_iter().collect());
    }
    all
}

/// A file as its rows, by column name.
pub async fn rows(world: &World, file: File) -> Vec<BTreeMap<String, String>> {
    let taking = Taking { file, mode: Mode::Raw, from: None, to: None, application: None, role: None, person: None };
    let mut download = export_by_operator(&world.ctx, &taking).await.unwrap();
    let mut bytes = Vec::new();
    while let Some(piece) = download.next().await {
        bytes.extend(piece.unwrap());
    }
    let mut reader = csv::Reader::from_reader(bytes.as_slice());
    let header = reader.headers().unwrap().clone();
    reader.records().map(|record| header.iter().map(String::from).zip(record.unwrap().iter().map(String::from)).collect()).collect()
}

async fn act(world: &World, dice: &mut Dice, people: &[String]) {
    match dice.below(100) {
        0..=34 => {
            let (application, role, least, most) = *dice.of(&ROLES);
            let seconds = least + dice.below((most - least) as usize) as i64;
            lived(world.ask(dice.of::<String>(people), application, role, seconds).await);
        }
        35..=74 => {
            let open: Vec<(Uuid, String)> = sqlx::query_as(
                "select a.request_id, p.user_name from countersign.assignment a join countersign.person p on p.id = a.person_id where a.open order by 1, 2",
            )
            .fetch_all(&world.root)
            .await
            .unwrap();
            if open.is_empty() {
                return;
            }
            let (request, who) = dice.of(&open).clone();
            let what = match dice.below(10) {
                0 => Answer::Deny,
                1 => Answer::Approve { granted: Some(Seconds(86_400)) },
                2 => Answer::Approve { granted: Some(Seconds(900)) },
                _ => Answer::Approve { granted: None },
            };
            lived(world.answer(&who, RequestId(request), what).await);
        }
        75..=79 => {
            let open: Vec<(Uuid, String)> = sqlx::query_as(
                "select r.id, p.user_name from countersign.request r join countersign.person p on p.id = r.requester_id where r.status = 'pending' order by 1",
            )
            .fetch_all(&world.root)
            .await
            .unwrap();
            if !open.is_empty() {
                let (request, who) = dice.of(&open).clone();
                lived(withdraw(&world.ctx, &world.by(&who).await, RequestId(request), None).await);
            }
        }
        80..=86 => {
            let held: Vec<(Uuid, String)> = sqlx::query_as(
                "select g.id, p.user_name from countersign.access_grant g join countersign.person p on p.id = g.beneficiary_id where g.status not in ('ended', 'failed', 'revoking') order by 1",
            )
            .fetch_all(&world.root)
            .await
            .unwrap();
            if !held.is_empty() {
                let (grant, who) = dice.of(&held).clone();
                let revoke = dice.below(3) == 0;
                let by = if revoke { world.by("sofia.marin").await } else { world.by(&who).await };
                lived(end(&world.ctx, &by, GrantId(grant), revoke, None).await);
            }
        }
        _ => {
            world.advance(Duration::seconds(30 + dice.below(1_200) as i64)).await;
            world.turn().await;
        }
    }
}

/// The end of a day: nothing owed is left, and every book says the same.
async fn compare(world: &World, before: &BTreeMap<String, BTreeSet<String>>) {
    world.turn().await;
    world.advance(Duration::minutes(2)).await;
    world.turn().await;
    let owed: i64 = world.one("select count(*) from countersign.target where done_gen < gen").await;
    assert_eq!(owed, 0, "nothing is owed at the end of the day");

    // Directory against leases, to the last member.
    let active: Vec<(String, String)> = sqlx::query_as(
        "select t.group_reference, t.person_reference from countersign.access_grant g join countersign.target t on t.id = g.target_id where g.status = 'active'",
    )
    .fetch_all(&world.root)
    .await
    .unwrap();
    for (name, now) in members(world).await {
        let group = world.group(&name).await;
        let mut expected = before[&name].clone();
        expected.extend(active.iter().filter(|(g, _)| *g == group).map(|(_, person)| person.clone()));
        assert_eq!(now, expected, "members of {name}");
    }

    // Tables against CSV.
    let requests = rows(world, File::Requests).await;
    let statuses: Vec<(Uuid, String, String)> = sqlx::query_as("select id, status, decision from countersign.request").fetch_all(&world.root).await.unwrap();
    assert_eq!(requests.len(), statuses.len());
    let by_id: BTreeMap<&str, &BTreeMap<String, String>> = requests.iter().map(|row| (row["request_id"].as_str(), row)).collect();
    for (id, status, decision) in &statuses {
        let row = by_id[id.to_string().as_str()];
        assert_eq!((&row["status"], &row["decision"]), (status, decision));
    }
    let grants = rows(world, File::Grants).await;
    let table: Vec<(Uuid, String, Option<String>)> =
        sqlx::query_as("select id, status, end_reason from countersign.access_grant").fetch_all(&world.root).await.unwrap();
    assert_eq!(grants.len(), table.len());
    let by_id: BTreeMap<&str, &BTreeMap<String, String>> = grants.iter().map(|row| (row["grant_id"].as_str(), row)).collect();
    for (id, status, reason) in &table {
        let row = by_id[id.to_string().as_str()];
        assert_eq!((&row["status"], &row["end_reason"]), (status, &reason.clone().unwrap_or_default()));
        let given = !row["granted_at"].is_empty();
        assert_eq!(row["approval_before_grant"], if given { "true" } else { "" }, "{row:?}");
        assert!(row["granted_at"].is_empty() || row["approved_at"] <= row["granted_at"]);
    }
    let approvals = rows(world, File::Approvals).await;
    let decided: i64 = world.one("select count(*) from countersign.approval").await;
    assert_eq!(approvals.iter().filter(|row| matches!(row["decision"].as_str(), "approve" | "deny")).count() as i64, decided);

    // Events against both.
    let (count, last): (i64, i64) = sqlx::query_as("select count(*), max(id) from countersign.audit_event").fetch_one(&world.root).await.unwrap();
    let events = rows(world, File::Events).await;
    // The export of this file is itself an event; whether it sees itself is a matter of its snapshot.
    assert!((count..=count + 1).contains(&(events.len() as i64)), "{} {count} {last}", events.len());
    let mut last_kind: BTreeMap<&str, &str> = BTreeMap::new();
    for event in &events {
        if !event["request_id"].is_empty() && event["kind"].starts_with("request.") {
            last_kind.insert(&event["request_id"], &event["kind"]);
        }
    }
    for (id, status, _) in &statuses {
        let kind = last_kind[id.to_string().as_str()];
        let told = match kind {
            "request.submitted" | "request.step_opened" | "request.reminded" | "request.escalated" => "pending",
            "request.auto_approved" => "approved",
            "request.closed" => "withdrawn",
            other => other.strip_prefix("request.").unwrap(),
        };
        assert_eq!(told, status, "the log of {id} tells its status");
    }
    let of_kind = |kind: &str| events.iter().filter(|event| event["kind"] == kind).count();
    let in_state = |states: &[&str]| table.iter().filter(|(_, status, _)| states.contains(&status.as_str())).count();
    assert_eq!(of_kind("grant.created"), table.len());
    assert_eq!(of_kind("grant.ended"), in_state(&["ended"]));
    for (reason, kind) in [("expired", "grant.expired"), ("returned", "grant.returned"), ("revoked", "grant.revoked"), ("offboarded", "grant.offboarded")] {
        assert_eq!(of_kind(kind), table.iter().filter(|(_, _, r)| r.as_deref() == Some(reason)).count(), "{kind}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_busy_day_log_tables_csv_and_directory_agree_to_the_last_one() {
    let world = World::new().await;
    let people: Vec<String> =
        sqlx::query_scalar("select user_name from countersign.person where status = 'active' order by 1").fetch_all(&world.root).await.unwrap();
    let before = members(&world).await;
    let mut dice = Dice(0x5EED_0001);
    for moment in 0..900 {
        act(&world, &mut dice, &people).await;
        if moment == 450 {
            world.set_active("thandi.dube", false).await;
        }
    }
    let requests: i64 = world.one("select count(*) from countersign.request").await;
    let kinds: i64 = world.one("select count(distinct kind) from countersign.audit_event where request_id is not null").await;
    assert!(requests >= 200, "a busy day has hundreds of requests, this one {requests}");
    assert!(kinds >= 17, "and everything happens in it: {kinds} kinds of events");
    compare(&world, &before).await;

    // Two days later every lease has ended, and the directory is as it was.
    world.advance(Duration::days(3)).await;
    world.turn().await;
    compare(&world, &before).await;
    let live: i64 = world.one("select count(*) from countersign.access_grant where status not in ('ended', 'failed')").await;
    assert_eq!(live, 0);
    assert_eq!(members(&world).await, before);
}
