//! How long pages take over a long log.

use std::time::Instant;

use chrono::{Datelike, Days, Months, NaiveDate};
use countersign::domain::event::Channel;
use countersign::domain::id::PersonId;
use countersign::service::ctx::{By, Ctx};
use countersign::service::look::log::{self, LogFilter};
use countersign::service::look::measures::{self, Asked};
use uuid::Uuid;

use crate::Outcome;
use crate::database::{self, MEASURED};

/// The bar of the measures' page, in milliseconds.
const BAR: f64 = 100.0;
/// How often each is asked.
const TIMES: usize = 30;

fn by() -> By {
    By { person: PersonId(Uuid::nil()), name: "Bench".into(), token: None, channel: Channel::Web, is_administrator: false, is_auditor: true }
}

/// Milliseconds of the median and of the slowest.
fn of(mut took: Vec<f64>) -> (f64, f64) {
    took.sort_by(f64::total_cmp);
    (took.get(took.len() / 2).copied().unwrap_or(f64::NAN), took.last().copied().unwrap_or(f64::NAN))
}

/// Times them, and tells.
pub async fn run(ctx: &Ctx) -> Outcome<()> {
    let mut root = database::connect(MEASURED).await?;
    let events: i64 = sqlx::query_scalar("select count(*) from audit_event").fetch_one(&mut root).await?;
    println!("\n### Pages over {events} events\n");
    let id = async |root: &mut sqlx::PgConnection, sql: &'static str| -> Outcome<Option<Uuid>> { Ok(sqlx::query_scalar(sql).fetch_optional(root).await?) };
    // Those with the most events, and those of one in the middle of the log.
    let busiest = id(&mut root, "select role_id from audit_event where role_id is not null group by 1 order by count(*) desc limit 1").await?;
    let application =
        id(&mut root, "select application_id from audit_event where application_id is not null group by 1 order by count(*) desc limit 1").await?;
    let role = id(&mut root, "select role_id from audit_event where role_id is not null order by id offset 1000 limit 1").await?;
    let person = id(&mut root, "select person_id from audit_event where person_id is not null group by 1 order by count(*) desc limit 1").await?;
    let actor = id(&mut root, "select actor_id from audit_event where actor_id is not null group by 1 order by count(*) desc limit 1").await?;
    let request = id(&mut root, "select request_id from audit_event where request_id is not null order by id offset 1000 limit 1").await?;
    let middle: NaiveDate =
        sqlx::query_scalar("select (min(occurred_at) + (max(occurred_at) - min(occurred_at)) / 2)::date from audit_event").fetch_one(&mut root).await?;
    let text = |id: Option<Uuid>| id.map(|id| id.to_string()).unwrap_or_default();
    let about = |q: String| LogFilter { q, ..LogFilter::default() };
    let mut searches = vec![
        ("the newest page".to_owned(), LogFilter::default()),
        ("a request".into(), about(text(request))),
        ("the person with the most".into(), about(text(person))),
        ("the actor with the most".into(), about(text(actor))),
        ("the role with the most".into(), LogFilter { role: busiest, ..LogFilter::default() }),
        ("a role, and another's application: nothing".into(), LogFilter { application, role: busiest, ..LogFilter::default() }),
        ("any role".into(), LogFilter { role, ..LogFilter::default() }),
        ("the application with the most".into(), LogFilter { application, ..LogFilter::default() }),
        ("one day in the middle".into(), LogFilter { from: Some(middle), to: Some(middle), ..LogFilter::default() }),
        (
            "a kind, in a week of the middle".into(),
            LogFilter { from: Some(middle), to: middle.checked_add_days(Days::new(6)), kind: "request.denied".into(), ..LogFilter::default() },
        ),
        ("a person and a role".into(), LogFilter { role, ..about(text(person)) }),
    ];
    for kind in ["request.submitted", "grant.failed", "log.key_rotated", "policy_change"] {
        searches.push((format!("the kind {kind}"), LogFilter { kind: kind.into(), ..LogFilter::default() }));
    }
    for (what, filter) in searches {
        let (mut took, mut found) = (Vec::new(), 0);
        for _ in 0..TIMES {
            let began = Instant::now();
            found = log::log(ctx, &by(), filter.clone(), None, None).await.map_err(|error| error.to_string())?.rows.len();
            took.push(began.elapsed().as_secs_f64() * 1_000.0);
        }
        let (half, all) = of(took);
        println!("- log, {what}: {half:.1} ms, {all:.1} at most ({found} rows)");
    }
    let to = ctx.clock.now().date_naive().with_day(1).unwrap_or_default();
    for (what, months, application, role) in [
        ("three years of everything", 35, None, None),
        ("a year of the busiest application", 11, application, None),
        ("three months of the busiest role", 2, application, busiest),
    ] {
        let asked = Asked { from: to.checked_sub_months(Months::new(months)).unwrap_or(to), to, application, role };
        let (mut took, mut rows) = (Vec::new(), 0);
        for _ in 0..TIMES {
            let began = Instant::now();
            rows = measures::measures(ctx, &by(), asked).await.map_err(|error| error.to_string())?.lasting.len();
            took.push(began.elapsed().as_secs_f64() * 1_000.0);
        }
        let (half, all) = of(took);
        println!(
            "- measures, {what}: {half:.1} ms, {all:.1} at most, {:.2} of the bar of {BAR:.0} ms ({}; {rows} lengths)",
            all / BAR,
            if all < BAR { "reached" } else { "**missed**" }
        );
    }
    Ok(())
}
