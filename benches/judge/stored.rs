//! A hundred thousand decisions as asking stores them.

use std::collections::{BTreeMap, HashMap};

use countersign::clock::new_id;
use countersign::domain::decide::{Ask, Outcome as Decided, Standing};
use countersign::domain::id::PersonId;
use countersign::domain::person::{GroupRef, PersonSnapshot};
use countersign::domain::span::Seconds;
use countersign::evidence::canonical::{canonical, digest};
use countersign::service::ask::{Cited, Inputs};
use countersign::service::ctx::Ctx;
use countersign::service::rule_book;
use sqlx::types::Json;
use sqlx::{Connection, Executor};
use uuid::Uuid;

use crate::company::{Names, connect};
use crate::{Outcome, REQUESTS};

const BATCH: usize = 1_000;

#[derive(sqlx::FromRow)]
struct Row {
    id: Uuid,
    reference: String,
    user_name: String,
    display_name: String,
    email: Option<String>,
    manager_reference: Option<String>,
    attributes: Json<BTreeMap<String, Vec<String>>>,
    groups: Vec<String>,
}

/// Decides and writes them, spread over the last 80 days; the guards that look at the present rest meanwhile.
pub async fn store(ctx: &Ctx, names: &Names) -> Outcome<()> {
    let mut connection = connect().await?;
    let rows: Vec<Row> =
        sqlx::query_as("select id, reference, user_name, display_name, email, manager_reference, attributes, groups from person order by user_name")
            .fetch_all(&mut connection)
            .await?;
    let people: Vec<PersonSnapshot> = rows.into_iter().map(|row| snapshot(row, names, ctx)).collect();
    let book = rule_book::current(ctx).await.map_err(|error| error.to_string())?;
    let begin = ctx.clock.now() - chrono::Duration::days(80);
    connection.execute("alter table request disable trigger user").await?;
    for batch in 0..REQUESTS / BATCH {
        let mut columns: HashMap<&str, Vec<String>> = HashMap::new();
        let mut ids: [Vec<Uuid>; 4] = Default::default();
        let (mut policies, mut steps, mut times) = (Vec::new(), Vec::new(), Vec::new());
        for number in batch * BATCH..(batch + 1) * BATCH {
            let (person, rules) = (&people[number * 7_919 % people.len()], &book.roles[number * 104_729 % book.roles.len()]);
            let now = begin + chrono::Duration::seconds(number as i64 * 60);
            let ask = Ask {
                requester: person.person,
                beneficiary: person.person,
                role: rules.role.id,
                risk: rules.role.risk,
                duration: Some(Seconds([3_600, 28_800, 86_400, 3_888_000][number % 4])),
                starts_at: None,
                extension: false,
                emergency: false,
                review_owed: false,
                standing: Standing::default(),
                held: vec![],
            };
            let person = PersonSnapshot { fetched_at: now, ..person.clone() };
            let decision = rules.decide(&person, &ask, now);
            let cited = rules.policies.iter().map(|p| Cited { id: p.id.0, key: p.key.clone(), version: p.version, digest: p.digest.clone() }).collect();
            let inputs =
                canonical(&Inputs { v: 2, decided_at: now, policies: cited, separation: vec![], person, ask, role: Some(rules.role.clone()), dead_end: None })?;
            let status = match decision.outcome {
                Decided::Refused => "refused",
                Decided::AutoApproved => "approved",
                Decided::NeedsApproval => "denied",
            };
            for (list, id) in ids.iter_mut().zip([new_id(), people[number * 7_919 % people.len()].person.0, rules.role.id.0, rules.role.application.0]) {
                list.push(id);
            }
            policies.push(decision.policy.map(|id| id.0));
            steps.push(i32::try_from(decision.steps.len())?);
            times.push(now);
            for (name, value) in [
                ("status", status.to_owned()),
                ("decision", decision.outcome.word().to_owned()),
                ("rule", decision.deciding_rule),
                ("digest", digest(&inputs)),
                ("trace", canonical(&decision.trace)?),
                ("inputs", inputs),
            ] {
                columns.entry(name).or_default().push(value);
            }
        }
        let [id, person, role, application] = ids;
        sqlx::query(
            "insert into request (id, requester_id, beneficiary_id, role_id, application_id, status, steps, distinct_people, decision, deciding_rule, policy_version_id,
               inputs, inputs_digest, trace, ask_digest, channel, created_at, closed_at)
             select id, person, person, role, application, status, steps, true, decision, rule, policy, inputs, digest, trace, digest, 'web', at, at
             from unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::uuid[], $5::text[], $6::int[], $7::text[], $8::text[], $9::uuid[], $10::text[], $11::text[], $12::text[], $13::timestamptz[])
               as r (id, person, role, application, status, steps, decision, rule, policy, inputs, digest, trace, at)",
        )
        .bind(id)
        .bind(person)
        .bind(role)
        .bind(application)
        .bind(columns.remove("status"))
        .bind(steps)
        .bind(columns.remove("decision"))
        .bind(columns.remove("rule"))
        .bind(policies)
        .bind(columns.remove("inputs"))
        .bind(columns.remove("digest"))
        .bind(columns.remove("trace"))
        .bind(times)
        .execute(&mut connection)
        .await?;
    }
    connection.execute("vacuum analyze").await?;
    connection.close().await?;
    Ok(())
}

fn snapshot(row: Row, names: &Names, ctx: &Ctx) -> PersonSnapshot {
    PersonSnapshot {
        person: PersonId(row.id),
        directory: "main".into(),
        reference: row.reference,
        user_name: row.user_name,
        display_name: row.display_name,
        email: row.email,
        active: true,
        manager: row.manager_reference,
        attributes: row.attributes.0,
        groups: row.groups.into_iter().map(|reference| GroupRef { name: names.get(&reference).cloned().unwrap_or_default(), reference }).collect(),
        line: vec![],
        fetched_at: ctx.clock.now(),
    }
}
