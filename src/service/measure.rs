//! Counts the log day by day, for the measures.
//!
//! Every hour the day that is under way is counted anew, and each day once more when it is over. A day is counted in one transaction from the
//! log alone, so that counting it again changes nothing, and whatever was missed while no worker ran is made up for.

use chrono::{DateTime, Datelike, Days, Duration, Months, NaiveDate, NaiveTime, Utc};

use crate::clock::new_id;
use crate::store::measure;

use super::commit;
use super::ctx::Ctx;
use super::error::ServiceError;
use super::heartbeat;

/// Its entry in the timetable.
const ENTRY: &str = "measures";
/// How often it is counted.
const EVERY: Duration = Duration::hours(1);
/// How long counting may take before another worker begins anew.
const HOLD: Duration = Duration::hours(6);
/// A transaction that began on a day is over by so much of the next.
const LATE: Duration = Duration::minutes(10);
/// Days of so many months, besides the one under way, are kept as days.
const KEPT: Months = Months::new(3);

/// Counts when it is time. Returns how many days were counted.
///
/// # Errors
/// When the database fails.
pub async fn due(ctx: &Ctx) -> Result<usize, ServiceError> {
    let token = new_id();
    if !heartbeat::claim(ctx, ENTRY, token, HOLD).await? {
        return Ok(0);
    }
    let counted = count(ctx).await;
    let said = counted.as_ref().map(|days| format!("{days} days counted")).map_err(ToString::to_string);
    heartbeat::done(ctx, ENTRY, token, EVERY, said.as_ref().map(String::as_str).map_err(ToString::to_string)).await?;
    counted
}

async fn count(ctx: &Ctx) -> Result<usize, ServiceError> {
    let now = ctx.clock.now();
    let today = now.date_naive();
    let reach = measure::reach(&ctx.db).await?;
    let mut from = match (reach.last, reach.over) {
        (Some(day), Some(true)) => begins(after(day)),
        (Some(day), _) => begins(day),
        (None, _) => DateTime::UNIX_EPOCH,
    };
    let mut days = 0;
    loop {
        let day = measure::day_from(&ctx.db, from).await?.map_or(today, |day| day.min(today));
        let ends = begins(after(day));
        let mut tx = ctx.db.begin().await?;
        measure::count_day(&mut tx, day, (begins(day), ends), now >= ends + LATE, now).await?;
        commit::commit(tx).await?;
        days += 1;
        if day >= today {
            break;
        }
        from = ends;
    }
    let month = first_of(today).checked_sub_months(KEPT).unwrap_or(today);
    let mut tx = ctx.db.begin().await?;
    measure::fold(&mut tx, month).await?;
    commit::commit(tx).await?;
    Ok(days)
}

fn begins(day: NaiveDate) -> DateTime<Utc> {
    day.and_time(NaiveTime::MIN).and_utc()
}

fn after(day: NaiveDate) -> NaiveDate {
    day.checked_add_days(Days::new(1)).unwrap_or(day)
}

/// The first day of a day's month.
pub fn first_of(day: NaiveDate) -> NaiveDate {
    day.with_day(1).unwrap_or(day)
}
