//! What is taken away: whole populations, streamed.
//!
//! The rows leave Postgres by `COPY … TO STDOUT`, the fastest way out, in one snapshot and in constant memory here and there.
//! `COPY` takes no parameters, so the parameters of these statements are written in as literals of our own making: times from
//! numbers, ids from 128 bits. Order: by the time the period is about, then by id.

use chrono::{DateTime, Utc};
use futures_util::TryStreamExt;
use tokio::sync::mpsc;
use tokio::time::{Duration, timeout};
use uuid::Uuid;

use super::db::Db;
use super::error::StoreError;
use super::export_state;
use super::snapshot::Snapshot;

/// How many bytes are gathered before they are handed on.
const PIECE: usize = 64 * 1024;
/// A reader that takes nothing for this long has gone.
const PATIENCE: Duration = Duration::from_secs(60);

/// Which rows, and in which columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Population {
    /// Requests by the time they were made.
    Requests,
    /// A row per person asked, for requests by the time they were made.
    Approvals,
    /// Grants by the time they were approved.
    Grants,
    /// Events by the time they occurred.
    Events,
    /// The same for whom they are about: without legal holds, of which they must not learn, unless placed or lifted by them.
    OwnEvents,
    /// Changes of the rules by the time they were made.
    PolicyChanges,
    /// What separation rules were run against, by the time it was found.
    SeparationOfDuties,
    /// Who left, by the time it was found out.
    Leavers,
    /// What changed about who held access, by the time it was found out.
    Movers,
    /// Tries by the time the directory was told.
    Provisioning,
    /// Differences by the time they were found.
    Drift,
    /// Who had access at the end of the period.
    Access,
    /// Items of campaigns.
    Reviews,
    /// Acts of administrators and auditors, by when they were done.
    AdminActivity,
    /// Whether each role adds up over the period.
    ControlTotals,
}

/// Narrows a population; `None` leaves it as wide as it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Narrow {
    /// From this time on.
    pub from: Option<DateTime<Utc>>,
    /// Before this time.
    pub to: Option<DateTime<Utc>>,
    /// Only of this application.
    pub application: Option<Uuid>,
    /// Only of this role.
    pub role: Option<Uuid>,
    /// Only where this person is requester, beneficiary or actor.
    pub person: Option<Uuid>,
}

/// Rows on their way, as the CSV that Postgres writes: no header, records end in LF. Dropping it stops the query.
#[derive(Debug)]
pub struct Rows {
    pieces: mpsc::Receiver<Result<Vec<u8>, StoreError>>,
}

impl Rows {
    /// The next piece; records may be cut anywhere. `None` at the end. After an error nothing follows, and what came before is
    /// not the whole.
    pub async fn next(&mut self) -> Option<Result<Vec<u8>, StoreError>> {
        self.pieces.recv().await
    }
}

impl Population {
    /// The statement: $1 from, $2 to, $3 application, $4 role, $5 person.
    pub fn statement(self) -> &'static str {
        match self {
            Self::Requests => REQUESTS,
            Self::Approvals => APPROVALS,
            Self::Grants => GRANTS,
            Self::Events => EVENTS,
            Self::OwnEvents => OWN_EVENTS,
            Self::PolicyChanges => POLICY_CHANGES,
            Self::SeparationOfDuties => SEPARATION,
            Self::Leavers => LEAVERS,
            Self::Movers => MOVERS,
            Self::Provisioning => PROVISIONING,
            Self::Drift => DRIFT,
            Self::Access => export_state::ACCESS,
            Self::Reviews => export_state::REVIEWS,
            Self::AdminActivity => export_state::ADMIN_ACTIVITY,
            Self::ControlTotals => export_state::CONTROL_TOTALS,
        }
    }

    /// The statement with what it is narrowed to written in: what anybody can run to see the same.
    pub fn query(self, narrow: Narrow) -> String {
        written_in(self.statement(), narrow).trim().to_owned()
    }

    /// The same as a `COPY`.
    pub(super) fn copy(self, narrow: Narrow) -> String {
        format!("copy ({}) to stdout (format csv)", self.query(narrow))
    }
}

/// Starts streaming `population`, narrowed.
///
/// # Errors
/// When no connection can be had, or Postgres does not take the query; later failures come with the rows.
pub async fn stream(db: &Db, population: Population, narrow: Narrow) -> Result<Rows, StoreError> {
    stream_statement(db, population.copy(narrow)).await
}

/// Starts streaming what a `COPY` of our own making gives.
pub(super) async fn stream_statement(db: &Db, statement: String) -> Result<Rows, StoreError> {
    let mut connection = Snapshot::open(db).await?.connection;
    let (out, pieces) = mpsc::channel(4);
    // Postgres checks the statement before the first row, so that a fault of ours is told before anything is promised.
    let (started, start) = tokio::sync::oneshot::channel();
    tokio::spawn(async move {
        let mut rows = match connection.copy_out_raw(&statement).await {
            Ok(rows) => rows,
            Err(error) => {
                let _ = started.send(Err(StoreError::from(error)));
                return;
            }
        };
        let _ = started.send(Ok(()));
        let mut piece = Vec::with_capacity(PIECE + 4096);
        loop {
            let next = rows.try_next().await;
            let done = match next {
                Ok(Some(row)) => {
                    piece.extend_from_slice(&row);
                    false
                }
                Ok(None) => true,
                Err(error) => {
                    let _ = timeout(PATIENCE, out.send(Err(error.into()))).await;
                    return;
                }
            };
            if piece.len() >= PIECE || done && !piece.is_empty() {
                let full = std::mem::replace(&mut piece, Vec::with_capacity(PIECE + 4096));
                match timeout(PATIENCE, out.send(Ok(full))).await {
                    Ok(Ok(())) => {}
                    _ => return,
                }
            }
            if done {
                return;
            }
        }
    });
    start.await.map_err(|_| StoreError::Broken("the export stopped before it began".into()))??;
    Ok(Rows { pieces })
}

/// Whether what `narrow` names is there, and whether `person` owns the role, or the application, that it narrows to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct Reach {
    /// Application, role and person that are named are there.
    pub known: bool,
    /// `person` owns the role (or its application), or the application.
    pub owned: bool,
}

/// What `narrow` reaches, seen from `person`.
///
/// # Errors
/// When the database fails.
pub async fn reach(db: &Db, narrow: Narrow, person: Option<Uuid>) -> Result<Reach, StoreError> {
    Ok(sqlx::query_as(
        "select ($1::uuid is null or exists (select 1 from application where id = $1)) and ($2::uuid is null or exists (select 1 from role where id = $2))
             and ($3::uuid is null or exists (select 1 from person where id = $3)) as known,
           exists (select 1 from application where id = $1 and owner_id = $4)
             or exists (select 1 from role r join application a on a.id = r.application_id where r.id = $2 and (r.owner_id = $4 or a.owner_id = $4)) as owned",
    )
    .bind(narrow.application)
    .bind(narrow.role)
    .bind(narrow.person)
    .bind(person)
    .fetch_one(&db.pool)
    .await?)
}

/// `statement` with its parameters as literals.
fn written_in(statement: &str, narrow: Narrow) -> String {
    let time = |at: Option<DateTime<Utc>>, open: &str| match at {
        // Microseconds since 1970, so that no calendar of ours can be misread.
        Some(at) => format!("(timestamptz 'epoch' + {} * interval '1 microsecond')", at.timestamp_micros()),
        None => format!("timestamptz '{open}'"),
    };
    let id = |id: Option<Uuid>| id.map_or_else(|| "null::uuid".into(), |id| format!("uuid '{}'", id.hyphenated()));
    let values = [time(narrow.from, "-infinity"), time(narrow.to, "infinity"), id(narrow.application), id(narrow.role), id(narrow.person)];
    let mut parts = statement.split('$');
    let mut out = parts.next().unwrap_or_default().to_string();
    for part in parts {
        let (digit, rest) = part.split_at(1);
        let value = digit.parse::<usize>().ok().and_then(|n| values.get(n.wrapping_sub(1)));
        out.push_str(value.map_or("null", String::as_str));
        out.push_str(rest);
    }
    out
}

const REQUESTS: &str = r#"
select r.id as request_id,
  to_char(r.created_at, 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as requested_at,
  r.requester_id,
  f.data #>> '{requester,email}' as requester_email,
  f.data #>> '{requester,name}' as requester_name,
  r.beneficiary_id,
  f.data #>> '{beneficiary,email}' as beneficiary_email,
  f.data #>> '{beneficiary,name}' as beneficiary_name,
  case when r.requester_id <> r.beneficiary_id then 'true' else 'false' end as on_behalf,
  r.channel,
  f.data ->> 'application' as application,
  r.role_id,
  f.data ->> 'role' as role,
  f.data ->> 'risk' as risk,
  r.justification,
  r.ticket_reference as ticket_ref,
  r.duration_s as requested_duration_s,
  to_char(r.wanted_start, 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as requested_start,
  (select ap.key || ' v' || apv.version from access_profile_version apv join access_profile ap on ap.id = apv.profile_id where apv.id = v.profile_version_id) as profile,
  (select p.key from access_policy p where p.id = v.policy_id) as policy,
  v.version as policy_version,
  v.digest as policy_digest,
  r.decision,
  r.deciding_rule,
  (select jsonb_object_agg(u.attribute, u.seen)::text from (select l ->> 'attribute' as attribute, coalesce(jsonb_agg(distinct v.value) filter (where v.value is not null), '[]') as seen
    from jsonb_array_elements(replace(r.trace, '\u0000', '\ufffd')::jsonb) l left join lateral jsonb_array_elements(l -> 'seen') v(value) on true
    where l ->> 'attribute' is not null group by 1) u) as attributes_used,
  (select ap.key || ' v' || apv.version from approval_procedure_version apv join approval_procedure ap on ap.id = apv.procedure_id where apv.id = case when r.extension_of is null then v.procedure_version_id else coalesce(v.extension_procedure_version_id, v.procedure_version_id) end) as procedure,
  r.steps as steps_required,
  r.status,
  to_char(r.closed_at, 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as decided_at,
  round(extract(epoch from r.closed_at - r.created_at), 3) as time_to_decision_s,
  r.close_category,
  case when r.emergency_reason is not null or f.data ->> 'emergency' = 'true' then 'true' else 'false' end as emergency,
  f.id as event_seq_first,
  (select max(e.id) from audit_event e where e.request_id = r.id and (e.kind like 'request.%' or e.kind like 'approval.%')) as event_seq_last
from request r
left join access_policy_version v on v.id = r.policy_version_id
left join lateral (select e.id, e.data from audit_event e
  where e.request_id = r.id and e.kind in ('request.submitted', 'request.refused', 'request.auto_approved') order by e.id limit 1) f on true
where r.created_at >= $1 and r.created_at < $2
  and ($3::uuid is null or r.application_id = $3) and ($4::uuid is null or r.role_id = $4)
  and ($5::uuid is null or r.beneficiary_id = $5 or r.requester_id = $5)
order by r.created_at, r.id"#;

const APPROVALS: &str = r#"
select r.id as request_id, x.step_no, x.step, x.slot_source, x.slot_count, x.assigned_to_id, x.assigned_to_email,
  to_char(x.assigned_at, 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as assigned_at,
  null::text as notified_at,
  to_char(x.first_viewed_at, 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as first_viewed_at,
  x.decided_by_id, x.decided_by_email, x.acting_as, x.decision,
  to_char(x.decided_at, 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as decided_at,
  x.comment, x.granted_duration_s, x.channel, x.event_seq_first, coalesce(x.event_seq_last, x.event_seq_first) as event_seq_last
from request r
cross join lateral (
  select s.step_no, s.slot_no, t.name as step, s.source as slot_source, s.approvals as slot_count,
    a.person_id as assigned_to_id, o.email as assigned_to_email, a.assigned_at, a.first_viewed_at,
    p.decided_by as decided_by_id, case when p.id is not null then o.email end as decided_by_email, p.acting_as,
    d.decision,
    case d.decision when 'timed_out' then r.closed_at when 'superseded' then coalesce(t.done_at, r.closed_at) else p.decided_at end as decided_at,
    p.comment, p.granted_s as granted_duration_s,
    coalesce(p.channel, case when d.decision = 'timed_out' then 'system' end) as channel,
    o.id as event_seq_first,
    case when d.decision in ('approve', 'deny', 'timed_out') then
      (select max(e.id) from audit_event e where e.request_id = r.id and (
        e.kind = 'request.timed_out' and d.decision = 'timed_out'
        or e.kind in ('approval.given', 'approval.denied') and e.actor_id = p.decided_by and e.data ->> 'step_no' = s.step_no::text)) end as event_seq_last
  from request_slot s
  join request_step t on t.request_id = s.request_id and t.step_no = s.step_no
  left join assignment a on a.request_id = s.request_id and a.step_no = s.step_no and a.slot_no = s.slot_no
  left join approval p on p.request_id = s.request_id and p.step_no = s.step_no and p.slot_no = s.slot_no and p.decided_by = a.person_id
  cross join lateral (select coalesce(p.verdict, case when a.assigned_at is null or a.open then null
    when r.status = 'timed_out' and s.step_no = (select max(u.step_no) from request_step u where u.request_id = r.id and u.opened_at is not null)
      and s.approvals > (select count(*) from approval u where u.request_id = r.id and u.step_no = s.step_no and u.slot_no = s.slot_no) then 'timed_out'
    else 'superseded' end) as decision) d
  left join lateral (select e.id, n.email from audit_event e
    cross join lateral jsonb_to_recordset(case when e.kind in ('approval.delegated', 'approval.reassigned') then jsonb_build_array(e.data -> 'to') else e.data -> 'asked' end) as n (id uuid, email text)
    where e.request_id = r.id and e.kind in ('request.step_opened', 'request.escalated', 'request.fallback_asked', 'approval.delegated', 'approval.reassigned') and e.data ->> 'step_no' = s.step_no::text and n.id = a.person_id
    order by e.id limit 1) o on true
  where s.request_id = r.id
  union all
  select null, null, null, null, null, null, null, null, null, null, null, null, 'auto_approve', r.closed_at, null, null, 'system', e.id, e.id
  from audit_event e where r.decision = 'auto_approved' and e.request_id = r.id and e.kind = 'request.auto_approved'
) x
where r.created_at >= $1 and r.created_at < $2
  and ($3::uuid is null or r.application_id = $3) and ($4::uuid is null or r.role_id = $4)
  and ($5::uuid is null or r.beneficiary_id = $5 or r.requester_id = $5 or x.assigned_to_id = $5)
order by r.created_at, r.id, x.step_no, x.slot_no, x.assigned_to_id"#;

const GRANTS: &str = r#"
select g.id as grant_id, g.request_id, g.beneficiary_id,
  f.data #>> '{beneficiary,email}' as beneficiary_email,
  f.data ->> 'application' as application,
  g.role_id,
  f.data ->> 'role' as role,
  coalesce(l.target, t.group_reference) as target,
  'idp_group' as provisioning_method,
  to_char(g.approved_at, 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as approved_at,
  to_char(g.provisioning_started_at, 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as provisioning_started_at,
  to_char(g.granted_at, 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as granted_at,
  to_char(g.verified_at, 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as verified_at,
  case when coalesce(g.granted_at, g.verified_at) is null then null
    when a.id is not null and g.approved_at <= coalesce(g.granted_at, g.verified_at) and a.id < l.begun then 'true' else 'false' end as approval_before_grant,
  to_char(g.starts_at, 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as starts_at,
  to_char(g.ends_at, 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as ends_at,
  g.status,
  to_char(g.ended_at, 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as ended_at,
  to_char(g.end_verified_at, 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as end_verified_at,
  g.end_reason,
  g.ended_by,
  round(l.revoke_latency_ms / 1000.0, 3) as revoke_latency_s,
  g.extension_of,
  g.attempts,
  g.last_error,
  g.confirmed,
  to_char(g.confirmed_at, 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as confirmed_at,
  l.first as event_seq_first,
  l.last as event_seq_last
from access_grant g
left join target t on t.id = g.target_id
left join audit_event a on a.id = g.approval_event_id and a.request_id = g.request_id and a.kind in ('request.approved', 'request.auto_approved')
left join lateral (select e.data from audit_event e
  where e.request_id = g.request_id and e.kind in ('request.submitted', 'request.auto_approved') order by e.id limit 1) f on true
left join lateral (select min(e.id) as first, max(e.id) as last,
    min(e.id) filter (where e.kind in ('grant.provisioning_started', 'grant.provisioned', 'grant.activated')) as begun,
    max(e.data ->> 'target') filter (where e.kind = 'grant.provisioning_started') as target,
    max((e.data ->> 'revoke_latency_ms')::bigint) filter (where e.kind = 'grant.ended') as revoke_latency_ms
  from audit_event e where e.request_id = g.request_id and e.grant_id = g.id) l on true
where g.approved_at >= $1 and g.approved_at < $2
  and ($3::uuid is null or g.application_id = $3) and ($4::uuid is null or g.role_id = $4) and ($5::uuid is null or g.beneficiary_id = $5)
order by g.approved_at, g.id"#;

// Of an exception a row per approver of its steps; of what nobody approved one.
const SEPARATION: &str = r#"
select x.rule, x.set_a, x.set_b, x.request_id, to_char(x.found_at, 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as found_at, x.outcome, x.approver,
  to_char(x.exception_until, 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as exception_until, x.event_seq_first, x.event_seq_last
from (
  select s.key || ' v' || v.version as rule,
    (select string_agg(a.name || ' ' || o.name, '; ' order by a.name, o.name) from separation_rule_role n join role o on o.id = n.role_id join application a on a.id = o.application_id
      where n.rule_version_id = v.id and n.side = 'a') as set_a,
    (select string_agg(a.name || ' ' || o.name, '; ' order by a.name, o.name) from separation_rule_role n join role o on o.id = n.role_id join application a on a.id = o.application_id
      where n.rule_version_id = v.id and n.side = 'b') as set_b,
    f.request_id, f.found_at, f.outcome, f.approver, f.exception_until, f.first as event_seq_first, f.last as event_seq_last, f.id, f.application_id, f.role_id, f.person_id, f.other_id
  from (
    select c.rule, r.id as request_id, r.created_at as found_at,
      case when r.status = 'approved' then 'approved_with_exception' when r.closed_at is not null then 'blocked' end as outcome,
      p.decided_by as approver, case when r.status = 'approved' then g.ends_at end as exception_until,
      (select min(e.id) from audit_event e where e.request_id = r.id) as first,
      (select max(e.id) from audit_event e where e.request_id = r.id and (e.kind like 'request.%' or e.kind like 'approval.%')) as last,
      r.id, r.application_id, r.role_id, r.beneficiary_id as person_id, r.requester_id as other_id, null::uuid as version_id
    from request r cross join lateral unnest(r.conflicts) c(rule)
    left join access_grant g on g.request_id = r.id
    left join lateral (select a.decided_by from approval a join request_step t on t.request_id = a.request_id and t.step_no = a.step_no
      join separation_rule_version w on w.procedure_version_id = t.procedure_version_id join separation_rule u on u.id = w.rule_id
      where a.request_id = r.id and a.verdict = 'approve' and r.status = 'approved' and u.key || ' v' || w.version = c.rule) p on true
    union all
    select null, i.request_id, i.found_at, i.outcome, null, null,
      (select min(e.id) from audit_event e where e.kind = 'separation.found' and e.person_id = i.person_id and e.data ->> 'grant_a' = i.grant_a::text and e.data ->> 'grant_b' = i.grant_b::text),
      (select max(e.id) from audit_event e where e.kind like 'separation.%' and e.person_id = i.person_id and e.data ->> 'grant_a' = i.grant_a::text and e.data ->> 'grant_b' = i.grant_b::text),
      i.id, q.application_id, q.role_id, i.person_id, i.person_id, i.rule_version_id
    from separation_finding i join access_grant q on q.id = i.grant_a where i.outcome = 'found'
  ) f
  join separation_rule_version v on v.id = f.version_id or f.version_id is null
  join separation_rule s on s.id = v.rule_id and (f.version_id is not null or s.key || ' v' || v.version = f.rule)
) x
where x.found_at >= $1 and x.found_at < $2
  and ($3::uuid is null or x.application_id = $3) and ($4::uuid is null or x.role_id = $4) and ($5::uuid is null or x.person_id = $5 or x.other_id = $5)
order by x.found_at, x.id, x.rule, x.approver"#;

macro_rules! events {
    ($where:literal) => {
        concat!(
            r#"
select e.id as event_id, to_char(e.occurred_at, 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as occurred_at, e.kind, e.actor_kind, e.actor_id, e.actor_name,
  e.acting_for, e.token_id, e.channel, e.request_id, e.grant_id, e.person_id, e.role_id, e.application_id, e.policy_version_id, e.data::text as data,
  e.id as event_seq_first, e.id as event_seq_last
from audit_event e
where e.occurred_at >= $1 and e.occurred_at < $2
  and ($3::uuid is null or e.application_id = $3) and ($4::uuid is null or e.role_id = $4) and ($5::uuid is null or e.person_id = $5 or e.actor_id = $5)
"#,
            $where,
            "order by e.occurred_at, e.id"
        )
    };
}
const EVENTS: &str = events!("");
const OWN_EVENTS: &str = events!("and (not starts_with(e.kind, 'hold.') or e.actor_id = $5) ");

const POLICY_CHANGES: &str = r#"
select c.id as change_id, v.policy_key as policy, v.version_from, v.version_to, c.author_id as author,
  case when c.status in ('approved', 'applied', 'failed') then c.approver_id end as approver,
  to_char(c.submitted_at, 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as submitted_at,
  case when c.status in ('approved', 'applied', 'failed') then to_char(c.decided_at, 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') end as approved_at,
  to_char(c.effective_at, 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as effective_at,
  to_json(c.changes)::text as diff_json,
  (c.whatif::json -> 'counts')::text as whatif_summary,
  c.digest, c.status, e.first as event_seq_first, e.last as event_seq_last
from policy_change c
left join policy_change_version v on v.change_id = c.id
left join lateral (select min(e.id) as first, max(e.id) as last from audit_event e
  where e.kind in ('policy_change.proposed', 'policy_change.approved', 'policy_change.rejected', 'policy_change.failed', 'catalog.applied')
    and e.data ->> 'change' = c.id::text) e on true
where c.submitted_at >= $1 and c.submitted_at < $2
  and ($3::uuid is null or v.policy_key in (select p.key from policy_binding b join access_policy p on p.id = b.policy_id
    where b.application_id = $3 or b.role_id in (select r.id from role r where r.application_id = $3) or (b.role_id is null and b.application_id is null)))
  and ($4::uuid is null or v.policy_key in (select p.key from policy_binding b join access_policy p on p.id = b.policy_id
    where b.role_id = $4 or b.application_id = (select r.application_id from role r where r.id = $4) or (b.role_id is null and b.application_id is null)))
  and ($5::uuid is null or c.author_id = $5 or c.approver_id = $5)
order by c.submitted_at, c.id, v.policy_key"#;

// What ended for it: the offboarded grants from when it was found out until the next time that the person left.
const LEAVERS: &str = r#"
select l.person_id, p.email,
  to_char(l.deactivated_at, 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as deactivated_at,
  to_char(l.detected_at, 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as detected_at,
  l.grants_at_detection,
  to_char(g.first_revoked, 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as first_revoked_at,
  to_char(g.last_revoked, 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as last_revoked_at,
  to_char(case when g.open = 0 then g.last_verified end, 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as last_verified_at,
  case when g.open = 0 then round(extract(epoch from g.last_verified - b.began) / 3600, 3) end as hours_to_last_revocation,
  l.sla_hours,
  case when l.settled_at is not null and g.open = 0 then case when coalesce(g.last_verified, l.detected_at) <= b.began + make_interval(hours => l.sla_hours) then 'true' else 'false' end
       when clock() > b.began + make_interval(hours => l.sla_hours) then 'false' end as within_sla,
  l.requests_closed,
  l.event_id as event_seq_first,
  greatest(l.event_id, (select max(e.id) from audit_event e where e.person_id = l.person_id and e.id >= l.event_id and (n.event_id is null or e.id < n.event_id)
    and e.kind in ('grant.offboarded', 'grant.ended', 'request.closed', 'session.ended', 'token.revoked', 'delegation.ended'))) as event_seq_last
from leaver l
join person p on p.id = l.person_id
cross join lateral (select coalesce(l.deactivated_at, l.detected_at) as began) b
left join lateral (select o.detected_at, o.event_id from leaver o where o.person_id = l.person_id and (o.detected_at, o.id) > (l.detected_at, l.id) order by o.detected_at, o.id limit 1) n on true
cross join lateral (select min(a.ended_at) as first_revoked, max(a.ended_at) as last_revoked, max(a.end_verified_at) as last_verified, count(*) filter (where a.end_verified_at is null) as open
  from access_grant a where a.beneficiary_id = l.person_id and a.end_reason = 'offboarded' and a.ended_at >= l.detected_at and (n.detected_at is null or a.ended_at < n.detected_at)) g
where l.detected_at >= $1 and l.detected_at < $2
  and ($3::uuid is null or exists (select 1 from access_grant a where a.beneficiary_id = l.person_id and a.application_id = $3 and a.end_reason = 'offboarded' and a.ended_at >= l.detected_at))
  and ($4::uuid is null or exists (select 1 from access_grant a where a.beneficiary_id = l.person_id and a.role_id = $4 and a.end_reason = 'offboarded' and a.ended_at >= l.detected_at))
  and ($5::uuid is null or l.person_id = $5)
order by l.detected_at, l.id"#;

const MOVERS: &str = r#"
select m.person_id, m.attribute, to_json(m.old)::text as old, to_json(m.new)::text as new,
  to_char(m.changed_at, 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as changed_at,
  x.losing as grants_losing_eligibility,
  to_char(case when x.open = 0 then x.removed end, 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as removed_at,
  x.kept_by,
  m.event_id as event_seq_first,
  greatest(m.event_id, (select max(e.id) from eligibility_loss l join audit_event e on e.request_id = l.request_id
    where l.mover_id = m.id and e.grant_id = l.grant_id and (e.kind like 'grant.eligibility%' or e.kind = 'grant.ended') and e.id >= m.event_id)) as event_seq_last
from mover m
cross join lateral (
  select count(*) as losing, max(g.end_verified_at) filter (where l.resolution = 'revoked') as removed,
    count(*) filter (where l.resolution = 'revoked' and g.end_verified_at is null) as open,
    string_agg(distinct case when l.due_at is null then k.key || ' v' || v.version end, ';') as kept_by
  from eligibility_loss l join access_grant g on g.id = l.grant_id join access_policy_version v on v.id = l.policy_version_id join access_policy k on k.id = v.policy_id
  where l.mover_id = m.id) x
where m.changed_at >= $1 and m.changed_at < $2
  and ($3::uuid is null or exists (select 1 from eligibility_loss l join access_grant g on g.id = l.grant_id where l.mover_id = m.id and g.application_id = $3))
  and ($4::uuid is null or exists (select 1 from eligibility_loss l join access_grant g on g.id = l.grant_id where l.mover_id = m.id and g.role_id = $4))
  and ($5::uuid is null or m.person_id = $5)
order by m.changed_at, m.id"#;

// An event that tells of a try is not written for each: of one that was as the last, the newest before it is cited.
const PROVISIONING: &str = r#"
select a.id as attempt_id, a.grant_id, a.action, a.method, t.directory || ': group ' || t.group_reference || ', member ' || t.person_reference as target, a.idempotency_key,
  to_char(a.started_at, 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as started_at,
  to_char(a.finished_at, 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as finished_at,
  a.result, nullif(a.detail, '') as detail,
  to_char(a.verified_at, 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as verified_at,
  coalesce(a.event_first, e.id) as event_seq_first, coalesce(a.event_last, e.id) as event_seq_last
from provisioning_attempt a
join target t on t.id = a.target_id
left join access_grant g on g.id = a.grant_id
left join lateral (select max(v.id) as id from audit_event v where a.event_first is null and v.request_id = g.request_id and v.grant_id = g.id and v.occurred_at <= a.finished_at) e on true
where a.started_at >= $1 and a.started_at < $2
  and ($3::uuid is null or g.application_id = $3 or g.id is null and exists (select 1 from role r where r.application_id = $3 and r.directory = t.directory and r.group_reference = t.group_reference))
  and ($4::uuid is null or g.role_id = $4 or g.id is null and exists (select 1 from role r where r.id = $4 and r.directory = t.directory and r.group_reference = t.group_reference))
  and ($5::uuid is null or t.person_id = $5)
order by a.started_at, a.id"#;

const DRIFT: &str = r#"
select to_char(d.detected_at, 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as detected_at, d.directory, d.group_reference as target,
  coalesce(d.person_id::text, nullif(d.person_reference, '')) as person_id, d.kind, d.sweep_id as first_seen_sync_id, d.action,
  to_char(d.resolved_at, 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as resolved_at, d.resolved_by, d.request_id as request_id_if_adopted,
  d.event_first as event_seq_first, d.event_last as event_seq_last
from drift d
where d.detected_at >= $1 and d.detected_at < $2
  and ($3::uuid is null or exists (select 1 from role r where r.application_id = $3 and r.directory = d.directory and r.group_reference = d.group_reference))
  and ($4::uuid is null or exists (select 1 from role r where r.id = $4 and r.directory = d.directory and r.group_reference = d.group_reference))
  and ($5::uuid is null or d.person_id = $5 or d.resolved_by = $5)
order by d.detected_at, d.id"#;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literals_are_of_our_own_making() {
        let id = Uuid::from_u128(7);
        let narrow = Narrow { from: DateTime::from_timestamp_micros(-1), to: None, application: Some(id), role: None, person: None };
        assert_eq!(
            written_in("a >= $1 and a < $2 and b = $3 and c = $4 or $5 is null", narrow),
            "a >= (timestamptz 'epoch' + -1 * interval '1 microsecond') and a < timestamptz 'infinity' and b = uuid '00000000-0000-0000-0000-000000000007' \
             and c = null::uuid or null::uuid is null"
        );
        for population in [
            Population::Requests,
            Population::Approvals,
            Population::Grants,
            Population::Events,
            Population::OwnEvents,
            Population::PolicyChanges,
            Population::SeparationOfDuties,
            Population::Leavers,
            Population::Movers,
            Population::Provisioning,
            Population::Drift,
            Population::Access,
            Population::Reviews,
            Population::AdminActivity,
            Population::ControlTotals,
        ] {
            assert!(!written_in(population.statement(), narrow).contains('$'));
        }
    }
}
