//! Reads the database for what must never be.
//!
//! Every statement returns rows of what is wrong, and none when all is well: an id and a sentence. They all take $1, the moment to
//! hold things against. They read whole tables, so they are for the night and for tests, never for a page.

use chrono::{DateTime, Utc};
use sqlx::{Executor, FromRow};
use uuid::Uuid;

use super::db::{Db, Tx};
use super::error::StoreError;

/// The most rows that one statement reports.
pub const MOST: i64 = 100;

/// Something that must never be, and how to find it.
#[derive(Clone, Copy, Debug)]
pub struct Rule {
    /// Number of the invariant, as the design counts them.
    pub invariant: u8,
    /// A word for it.
    pub name: &'static str,
    /// $1 is now; rows are (id, sentence).
    pub statement: &'static str,
}

/// A row of what is wrong.
#[derive(Clone, Debug, FromRow)]
pub struct Wrong {
    /// What it is about.
    pub id: String,
    /// What is wrong with it.
    pub sentence: String,
}

const fn rule(invariant: u8, name: &'static str, statement: &'static str) -> Rule {
    Rule { invariant, name, statement }
}

/// Everything that can be found in the database alone.
pub const RULES: [Rule; 19] = [
    rule(
        1,
        "grant cites its approval",
        "select g.id::text as id, case when e.id is null then 'cites an approval that is not in the log'
              when e.request_id is distinct from g.request_id then 'cites the approval of another request'
              when e.kind not in ('request.approved', 'request.auto_approved') then 'cites an event that approves nothing'
              when c.id is null or e.id >= c.id then 'was made before its approval'
              when r.status <> 'approved' then 'is of a request that is ' || r.status
              else 'is not what its request asks for' end as sentence
         from access_grant g join request r on r.id = g.request_id left join audit_event e on e.id = g.approval_event_id
         left join audit_event c on c.request_id = g.request_id and c.grant_id = g.id and c.kind = 'grant.created'
         where $1::timestamptz is not null and (e.id is null or e.request_id is distinct from g.request_id or e.kind not in ('request.approved', 'request.auto_approved')
           or c.id is null or e.id >= c.id or r.status <> 'approved'
           or (g.beneficiary_id, g.role_id, g.application_id) is distinct from (r.beneficiary_id, r.role_id, r.application_id)) limit 100",
    ),
    rule(
        1,
        "every slot approved",
        "select g.id::text as id, format('step %s slot %s needs %s approvals and has %s that count', p.step_no, p.slot_no, p.approvals, a.n) as sentence
         from access_grant g join request r on r.id = g.request_id join request_slot p on p.request_id = r.id
         cross join lateral (
           select count(distinct a.decided_by) as n from approval a where a.request_id = r.id and a.step_no = p.step_no and a.slot_no = p.slot_no and a.verdict = 'approve'
             and a.decided_by not in (r.requester_id, r.beneficiary_id) and a.ask_digest = r.ask_digest and a.decided_at <= g.approved_at) a
         where $1::timestamptz is not null and r.decision = 'needs_approval' and a.n < p.approvals
         union all
         select g.id::text, format('step %s slot %s of its procedure was never asked', p.step, p.position)
         from access_grant g join request r on r.id = g.request_id join access_policy_version v on v.id = r.policy_version_id
         join approval_procedure_slot p on p.procedure_version_id = case when r.extension_of is not null then coalesce(v.extension_procedure_version_id, v.procedure_version_id) else v.procedure_version_id end
         join approval_procedure_step t on (t.procedure_version_id, t.position) = (p.procedure_version_id, p.step) and not t.conditional
         where $1::timestamptz is not null and r.decision = 'needs_approval' and not exists (
           select 1 from request_step q join request_slot l on (l.request_id, l.step_no) = (q.request_id, q.step_no)
           where q.request_id = r.id and (q.procedure_version_id, q.procedure_step, l.procedure_slot, l.approvals) = (p.procedure_version_id, p.step, p.position, p.approvals)) limit 100",
    ),
    rule(
        1,
        "nobody denied",
        "select g.id::text as id, 'was granted although somebody denied' as sentence from access_grant g join approval a on a.request_id = g.request_id
         where $1::timestamptz is not null and a.verdict = 'deny' limit 100",
    ),
    rule(
        1,
        "one person counts once",
        "select g.id::text as id, format('%s decided %s times, and the procedure counts a person once', a.decided_by, count(*)) as sentence
         from access_grant g join request r on r.id = g.request_id join approval a on a.request_id = r.id
         where $1::timestamptz is not null and r.distinct_people group by g.id, a.decided_by having count(*) > 1 limit 100",
    ),
    rule(
        1,
        "the policy decides how",
        "select g.id::text as id, case r.decision when 'auto_approved' then 'was approved by a policy that asks people' else 'was approved under a policy without a procedure' end as sentence
         from access_grant g join request r on r.id = g.request_id join access_policy_version v on v.id = r.policy_version_id
         where $1::timestamptz is not null and (r.decision = 'refused'
           or r.decision = 'auto_approved' and v.procedure_version_id is not null and not (r.emergency_reason is not null and v.emergency_maximum_s is not null)
             and not exists (select 1 from access_policy_rule u where u.policy_version_id = v.id and u.verdict = 'approve')
           or r.decision = 'needs_approval' and not exists (select 1 from request_slot s where s.request_id = r.id)) limit 100",
    ),
    rule(
        1,
        "as long as approved",
        "select g.id::text as id, 'lasts longer than was asked for, approved, or the policy allows' as sentence
         from access_grant g join request r on r.id = g.request_id join access_policy_version v on v.id = r.policy_version_id
         where $1::timestamptz is not null and (g.duration_s is null and (not v.indefinite or r.duration_s is not null or r.granted_s is not null)
           or g.duration_s > v.maximum_s or g.duration_s > r.duration_s or g.duration_s > r.granted_s
           or g.ends_at > g.starts_at + make_interval(secs => g.duration_s)
           or least(g.provisioning_started_at, g.granted_at, g.verified_at) < g.approved_at - interval '5 seconds') limit 100",
    ),
    rule(
        2,
        "removal verified and on record",
        "select g.id::text as id, case when g.end_verified_at is null then 'ended, and nobody verified that the membership is gone'
              when g.end_verified_at < g.ended_at then 'its end was verified before it ended'
              else 'its removal was late, and the log does not say so' end as sentence
         from access_grant g left join audit_event e on e.request_id = g.request_id and e.grant_id = g.id and e.kind = 'grant.ended'
         where $1::timestamptz is not null and g.status = 'ended' and (g.end_verified_at is null or g.end_verified_at < g.ended_at
           or g.end_verified_at - g.ended_at > interval '2 minutes'
              and abs(coalesce((e.data ->> 'revoke_latency_ms')::numeric, -1) - extract(epoch from g.end_verified_at - g.ended_at) * 1000) > 1000) limit 100",
    ),
    rule(
        2,
        "removal owed until verified",
        "select g.id::text as id, 'ended, its removal is not verified, and nobody is due to look' as sentence
         from access_grant g join target t on t.id = g.target_id
         where $1::timestamptz is not null and g.status = 'revoking' and t.next_at is null and t.lease_until is null limit 100",
    ),
    rule(
        2,
        "no membership outlives its leases",
        "select t.id::text as id, 'the directory said last that the membership is there; no lease wants it, and nobody is due to look' as sentence
         from target t where t.member and not t.pre_existing and t.next_at is null and t.lease_until is null
           and not exists (select 1 from access_grant g where g.target_id = t.id and (g.status in ('provisioning', 'verifying', 'revoking')
             or g.status = 'active' and (g.ends_at is null or g.ends_at > $1::timestamptz - interval '2 minutes'))) limit 100",
    ),
    rule(
        3,
        "requests are what their events say",
        "with told as (
           select request_id, count(*) filter (where kind in ('request.submitted', 'request.refused', 'request.auto_approved')) as opened,
             max(kind) filter (where kind in ('request.submitted', 'request.refused', 'request.auto_approved')) as opening,
             count(*) filter (where kind in ('request.approved', 'request.denied', 'request.withdrawn', 'request.timed_out', 'request.closed', 'request.superseded')) as closed,
             max(kind) filter (where kind in ('request.approved', 'request.denied', 'request.withdrawn', 'request.timed_out', 'request.closed', 'request.superseded')) as closing,
             count(*) filter (where kind = 'request.step_opened') as steps, count(*) filter (where kind = 'approval.given') as given,
             count(*) filter (where kind = 'approval.denied') as denied,
             count(*) filter (where kind = 'request.auto_approved') as auto, count(*) filter (where kind = 'request.confirmed') as confirmed,
             count(*) filter (where kind = 'request.question_asked') - count(*) filter (where kind in ('request.question_answered', 'request.question_lapsed')) as waits
           from audit_event where request_id is not null group by request_id),
         decided as (
           select request_id, count(*) filter (where verdict = 'approve') as given, count(*) filter (where verdict = 'deny') as denied from approval group by request_id),
         replayed as (
           select t.*, case when opened <> 1 + least(auto, confirmed) or closed > 1 or (opening <> 'request.submitted' or auto > 0) and closed > 0 then '?'
             when opening = 'request.refused' then 'refused' when auto > 0 then 'approved' when closed = 0 and steps = 0 then 'submitted'
             when closed = 0 and waits > 0 then 'needs_info' when closed = 0 then 'pending'
             when closing in ('request.closed', 'request.superseded') then 'withdrawn' else substr(closing, 9) end as status from told t)
         select coalesce(r.id, t.request_id)::text as id, case when r.id is null then 'events tell of a request that is not there'
             when t.request_id is null then 'no event tells of it' when t.status = '?' then 'its events do not make a story'
             when t.status <> r.status then format('is %s; by its events it is %s', r.status, t.status)
             when r.step_no is distinct from nullif(t.steps, 0) and r.step_no is not null then format('is at step %s; by its events at step %s', r.step_no, t.steps)
             else 'its approvals and denials are not those of its events' end as sentence
         from request r full join replayed t on t.request_id = r.id left join decided d on d.request_id = coalesce(r.id, t.request_id)
         where $1::timestamptz is not null and (r.id is null or t.request_id is null or t.status <> r.status or r.step_no is not null and r.step_no is distinct from t.steps
           or coalesce(d.given, 0) <> t.given or coalesce(d.denied, 0) <> t.denied) limit 100",
    ),
    rule(
        3,
        "approvals are what their events say",
        "select a.id::text as id, 'no event tells of this answer by this person to this slot' as sentence from approval a
         where $1::timestamptz is not null and not exists (
           select 1 from audit_event e where e.request_id = a.request_id and e.kind = case a.verdict when 'approve' then 'approval.given' else 'approval.denied' end
             and e.actor_id = a.decided_by and (e.data ->> 'step_no')::int = a.step_no and (e.data ->> 'slot_no')::int = a.slot_no
             and e.data ->> 'ask_digest' = a.ask_digest) limit 100",
    ),
    rule(
        3,
        "grants are what their events say",
        "with told as (
           select grant_id, count(*) filter (where kind = 'grant.created') as created, count(*) filter (where kind = 'grant.activated') as activated,
             count(*) filter (where kind = 'grant.failed') as failed, count(*) filter (where kind = 'grant.ended') as ended,
             count(*) filter (where kind in ('grant.expired', 'grant.returned', 'grant.revoked', 'grant.offboarded', 'grant.eligibility_lost')) as ends,
             max(substr(kind, 7)) filter (where kind in ('grant.expired', 'grant.returned', 'grant.revoked', 'grant.offboarded', 'grant.eligibility_lost')) as reason
           from audit_event where grant_id is not null group by grant_id),
         replayed as (
           select t.*, case when created <> 1 or activated > 1 or failed > 1 or ends > 1 or ended > ends or failed > 0 and (activated > 0 or ends > 0) then '?'
             when ended = 1 then 'ended' when failed = 1 then 'failed' when ends = 1 then 'revoking' when activated = 1 then 'active' else 'begun' end as status from told t)
         select coalesce(g.id, t.grant_id)::text as id, case when g.id is null then 'events tell of a grant that is not there'
             when t.grant_id is null then 'no event tells of it' when t.status = '?' then 'its events do not make a story'
             when t.reason is distinct from g.end_reason then format('ended as %s; by its events as %s', coalesce(g.end_reason, 'nothing'), coalesce(t.reason, 'nothing'))
             when (t.activated = 1) <> (g.verified_at is not null) then 'its events and its row disagree on whether access began'
             else format('is %s; by its events it is %s', g.status, t.status) end as sentence
         from access_grant g full join replayed t on t.grant_id = g.id
         where $1::timestamptz is not null and (g.id is null or t.grant_id is null or t.reason is distinct from g.end_reason or (t.activated = 1) <> (g.verified_at is not null)
           or t.status <> case when g.status in ('scheduled', 'provisioning', 'verifying') then 'begun' else g.status end) limit 100",
    ),
    rule(
        3,
        "approved requests have their grant",
        "select r.id::text as id, 'is approved and has no grant' as sentence from request r
         where $1::timestamptz is not null and r.status = 'approved' and not exists (select 1 from access_grant g where g.request_id = r.id) limit 100",
    ),
    rule(
        3,
        "rules came with an event",
        "select v.id::text as id, 'this version was written without an event of its own transaction' as sentence
         from (select id, txid from access_policy_version union all select id, txid from access_profile_version union all select id, txid from approval_procedure_version) v
         where $1::timestamptz is not null and not exists (select 1 from audit_event e where e.txid = v.txid and e.request_id is null and e.kind like 'catalog.%') limit 100",
    ),
    rule(
        3,
        "tokens are what their events say",
        "with told as (
           select person_id, count(*) filter (where kind = 'token.created') as made, count(*) filter (where kind = 'token.revoked') as revoked
           from audit_event where kind in ('token.created', 'token.revoked') group by person_id),
         kept as (select person_id, count(*) as made, count(revoked_at) as revoked from api_token group by person_id)
         select coalesce(t.person_id, k.person_id)::text as id, format('has %s tokens, %s of them revoked; by the events %s and %s',
             coalesce(k.made, 0), coalesce(k.revoked, 0), coalesce(t.made, 0), coalesce(t.revoked, 0)) as sentence
         from told t full join kept k on k.person_id = t.person_id
         where $1::timestamptz is not null and (coalesce(t.made, 0), coalesce(t.revoked, 0)) is distinct from (coalesce(k.made, 0), coalesce(k.revoked, 0)) limit 100",
    ),
    rule(
        3,
        "drift is what its events say",
        "with told as (
           select data ->> 'directory' as directory, data ->> 'group' as grp, data ->> 'person' as person, data ->> 'drift' as drift,
             count(*) filter (where kind = 'drift.found') - count(*) filter (where kind = 'drift.resolved') as open
           from audit_event where kind in ('drift.found', 'drift.resolved') group by 1, 2, 3, 4),
         kept as (
           select directory, group_reference as grp, person_reference as person, kind as drift, count(*) filter (where resolved_at is null) as open from drift group by 1, 2, 3, 4)
         select concat_ws(' ', coalesce(k.grp, t.grp), coalesce(k.person, t.person)) as id,
           format('%s: %s open; by the events %s', coalesce(k.drift, t.drift), coalesce(k.open, 0), coalesce(t.open, 0)) as sentence
         from told t full join kept k on (k.directory, k.grp, k.person, k.drift) = (t.directory, t.grp, t.person, t.drift)
         where $1::timestamptz is not null and coalesce(k.open, 0) <> coalesce(t.open, 0) limit 100",
    ),
    rule(
        6,
        "no open request past its limit",
        "select r.id::text as id, case when r.step_due_at is null then 'waits at a step with a time limit and is never due' else 'should have timed out' end as sentence
         from request r join request_step s on s.request_id = r.id and s.step_no = r.step_no
         where r.status in ('pending', 'needs_info') and (r.step_due_at < $1::timestamptz - interval '2 minutes' or r.step_due_at is null and r.status = 'pending' and s.time_limit_s is not null and not r.escalated) limit 100",
    ),
    rule(
        6,
        "only open steps ask",
        "select a.request_id::text as id, format('%s is still asked at step %s, which is not open', a.person_id, a.step_no) as sentence
         from assignment a join request r on r.id = a.request_id
         where $1::timestamptz is not null and a.open and (r.status not in ('pending', 'needs_info') or r.step_no <> a.step_no) limit 100",
    ),
    rule(
        7,
        "nothing overdue",
        "select t.id::text as id, case when t.next_at is null then 'work is owed and nobody is due to do it'
              when t.lease_until is not null then 'was taken up and never given back' when t.next_at < $1::timestamptz - interval '2 minutes' then 'is due and nobody has come'
              else 'should have been removed and still is not: ' || coalesce(t.last_error, 'no answer') end as sentence
         from target t where t.gen > t.done_gen and t.next_at is null and t.lease_until is null
           or t.next_at < $1::timestamptz - interval '2 minutes' and (t.lease_until is null or t.lease_until < $1::timestamptz - interval '2 minutes')
           or not t.wanted and t.owed_since < $1::timestamptz - interval '2 minutes'
         union all
         select g.id::text, 'its time is up and it is still active' from access_grant g where g.status = 'active' and g.ends_at < $1::timestamptz - interval '2 minutes'
         union all
         select g.id::text, 'should have begun and is still scheduled' from access_grant g where g.status = 'scheduled' and g.starts_at < $1::timestamptz - interval '2 minutes' limit 100",
    ),
];

/// One moment of the database for all statements, however long they take.
///
/// # Errors
/// When the database fails.
pub async fn snapshot(db: &Db) -> Result<Tx, StoreError> {
    let mut tx = db.begin().await?;
    tx.execute("set transaction isolation level repeatable read, read only").await?;
    sqlx::query("select set_config('statement_timeout', '0', true), set_config('idle_in_transaction_session_timeout', '0', true)").execute(&mut *tx).await?;
    Ok(tx)
}

/// What is wrong by `rule`, at most [`MOST`] rows.
///
/// # Errors
/// When the database fails.
pub async fn wrong(tx: &mut Tx, rule: &Rule, now: DateTime<Utc>) -> Result<Vec<Wrong>, StoreError> {
    Ok(sqlx::query_as(rule.statement).bind(now).fetch_all(&mut **tx).await?)
}

/// A membership as it should be.
#[derive(Clone, Debug, FromRow)]
pub struct Should {
    /// Key of the directory.
    pub directory: String,
    /// The group's reference there.
    pub group_reference: String,
    /// The person's reference there.
    pub person_reference: String,
    /// A lease wants it now.
    pub wanted: bool,
    /// It may be otherwise for a reason that is on record: it was there before, a drift is open, or work on it is owed.
    pub excused: bool,
}

/// Every membership that a lease, an open drift, a declaration or the past speaks of, in `directory`; of one group and person, or of all.
///
/// # Errors
/// When the database fails.
pub async fn memberships(tx: &mut Tx, directory: &str, group: Option<&str>, person: Option<&str>, now: DateTime<Utc>) -> Result<Vec<Should>, StoreError> {
    Ok(sqlx::query_as(
        "select t.directory, t.group_reference, t.person_reference,
           exists (select 1 from access_grant g where g.target_id = t.id and g.starts_at <= $4
             and (g.status in ('scheduled', 'provisioning', 'verifying') or g.status = 'active' and (g.ends_at is null or g.ends_at > $4))) as wanted,
           t.pre_existing or t.gen > t.done_gen or t.next_at is not null or t.lease_until is not null
             or exists (select 1 from drift d where d.directory = t.directory and d.group_reference = t.group_reference and d.person_reference = t.person_reference and d.resolved_at is null)
             or exists (select 1 from pre_existing_member m where m.directory = t.directory and m.group_reference = t.group_reference and m.person_reference = t.person_reference and m.gone_at is null)
             or exists (select 1 from drift_exception x where x.directory = t.directory and x.group_reference = t.group_reference and x.person_reference = t.person_reference and x.ended_at is null) as excused
         from target t where t.directory = $1 and ($2::text is null or t.group_reference = $2) and ($3::text is null or t.person_reference = $3)
         union all
         select d.directory, d.group_reference, d.person_reference, false, true from drift d
         where d.resolved_at is null and d.directory = $1 and ($2::text is null or d.group_reference = $2) and ($3::text is null or d.person_reference = $3)
           and not exists (select 1 from target t where t.directory = d.directory and t.group_reference = d.group_reference and t.person_reference = d.person_reference)
         union all
         select m.directory, m.group_reference, m.person_reference, false, true from pre_existing_member m
         where m.gone_at is null and m.directory = $1 and ($2::text is null or m.group_reference = $2) and ($3::text is null or m.person_reference = $3)
           and not exists (select 1 from target t where t.directory = m.directory and t.group_reference = m.group_reference and t.person_reference = m.person_reference)
         union all
         select x.directory, x.group_reference, x.person_reference, false, true from drift_exception x
         where x.ended_at is null and x.directory = $1 and ($2::text is null or x.group_reference = $2) and ($3::text is null or x.person_reference = $3)
           and not exists (select 1 from target t where t.directory = x.directory and t.group_reference = x.group_reference and t.person_reference = x.person_reference)",
    )
    .bind(directory)
    .bind(group)
    .bind(person)
    .bind(now)
    .fetch_all(&mut **tx)
    .await?)
}

/// What the server says of itself.
#[derive(Clone, Debug, FromRow)]
pub struct Server {
    /// `15.8`, say.
    pub version: String,
    /// Whom we are signed in as.
    pub role: String,
    /// The newest migration.
    pub migration: i64,
    /// What is committed survives a power cut.
    pub durable: bool,
    /// Bytes of the database.
    pub bytes: i64,
}

/// What the server says of itself.
///
/// # Errors
/// When the database fails.
pub async fn server(db: &Db) -> Result<Server, StoreError> {
    Ok(sqlx::query_as(
        "select split_part(current_setting('server_version'), ' ', 1) as version, current_user::text as role, (select max(version) from _sqlx_migrations where success) as migration,
           current_setting('fsync') = 'on' and current_setting('full_page_writes') = 'on' and current_setting('synchronous_commit') <> 'off' as durable,
           pg_database_size(current_database()) as bytes",
    )
    .fetch_one(&db.pool)
    .await?)
}

/// A trigger of the schema.
#[derive(Clone, Debug, FromRow)]
pub struct Trigger {
    /// Its table.
    pub table_name: String,
    /// Its name.
    pub trigger_name: String,
    /// Its function.
    pub function_name: String,
    /// Fires whatever the session says.
    pub always: bool,
    /// Who owns the function.
    pub function_owner: String,
    /// The function's text.
    pub body: String,
}

/// Every trigger that the schema's functions serve.
///
/// # Errors
/// When the database fails.
pub async fn triggers(db: &Db) -> Result<Vec<Trigger>, StoreError> {
    Ok(sqlx::query_as(
        "select c.relname::text as table_name, t.tgname::text as trigger_name, p.proname::text as function_name, t.tgenabled = 'A' as always,
           pg_get_userbyid(p.proowner)::text as function_owner, p.prosrc as body
         from pg_trigger t join pg_class c on c.oid = t.tgrelid join pg_namespace n on n.oid = c.relnamespace join pg_proc p on p.oid = t.tgfoid
         where n.nspname = 'countersign' and not t.tgisinternal order by 1, 2",
    )
    .fetch_all(&db.pool)
    .await?)
}

/// Of `tables`, those that are not owned by whom the migrations gave them to, and rights that the application must not have, each a
/// sentence. `only_grow` are the tables that only grow.
///
/// # Errors
/// When the database fails.
pub async fn rights(db: &Db, tables: &[String], only_grow: &[String]) -> Result<Vec<String>, StoreError> {
    Ok(sqlx::query_scalar(
        "select format('%s is owned by %s', c.relname, pg_get_userbyid(c.relowner)) from pg_class c join pg_namespace n on n.oid = c.relnamespace
         where n.nspname = 'countersign' and c.relkind = 'r' and c.relname = any($2)
           and pg_get_userbyid(c.relowner) <> case when c.relname = any($1) then 'countersign_audit' else 'countersign_owner' end
         union all
         select format('%s may be changed by %s', t, current_user) from unnest($1::text[]) t
         where has_table_privilege('countersign.' || t, 'update, delete, truncate, trigger') or has_any_column_privilege('countersign.' || t, 'update')
         union all
         select format('%s of an event may be chosen by %s', c, current_user) from unnest(array['id', 'occurred_at', 'txid']) c
         where has_column_privilege('countersign.audit_event', c, 'insert')
         union all
         select format('%s may make functions or tables in the schema', current_user) where has_schema_privilege('countersign', 'create')
         order by 1",
    )
    .bind(only_grow)
    .bind(tables)
    .fetch_all(&db.pool)
    .await?)
}

/// An entry of the timetable.
#[derive(Clone, Debug, FromRow)]
pub struct Entry {
    /// `sync:main`, say.
    pub name: String,
    /// When it is due.
    pub next_at: DateTime<Utc>,
    /// When it last ran.
    pub last_at: Option<DateTime<Utc>>,
    /// When it last went well.
    pub last_ok_at: Option<DateTime<Utc>>,
    /// What went wrong the last time.
    pub last_error: Option<String>,
    /// What it said when it last went well.
    pub detail: Option<String>,
    /// Somebody is at it.
    pub running: bool,
}

/// The timetable, by name.
///
/// # Errors
/// When the database fails.
pub async fn timetable(db: &Db, now: DateTime<Utc>) -> Result<Vec<Entry>, StoreError> {
    Ok(sqlx::query_as(
        "select name, next_at, last_at, last_ok_at, last_error, detail, coalesce(lease_until > $1, false) as running from timetable order by name",
    )
    .bind(now)
    .fetch_all(&db.pool)
    .await?)
}

/// A worker and when it was last heard of.
#[derive(Clone, Debug, FromRow)]
pub struct Worker {
    /// Its id.
    pub id: Uuid,
    /// When it began.
    pub started_at: DateTime<Utc>,
    /// When it was last heard of.
    pub beat_at: DateTime<Utc>,
}

/// The workers, latest beat first.
///
/// # Errors
/// When the database fails.
pub async fn workers(db: &Db) -> Result<Vec<Worker>, StoreError> {
    Ok(sqlx::query_as("select id, started_at, beat_at from worker order by beat_at desc, id limit 100").fetch_all(&db.pool).await?)
}

/// Whether the event triggers of `config/harden.sql` are there and on.
///
/// # Errors
/// When the database fails.
pub async fn is_hardened(db: &Db) -> Result<bool, StoreError> {
    Ok(sqlx::query_scalar(
        "select count(*) = 2 from pg_event_trigger where evtname in ('countersign_refuse_definition', 'countersign_refuse_drop') and evtenabled in ('O', 'A')",
    )
    .fetch_one(&db.pool)
    .await?)
}
