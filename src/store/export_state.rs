//! Who has access, whether it adds up, who administered.
//!
//! Statements of [`super::export`] that look at a moment or at acts: $1 from, $2 to, $3 application, $4 role, $5 person.

/// Leases at `$at`: from when the directory took them until it no longer had them.
macro_rules! access_grants {
    ($at:literal) => {
        concat!(
            "from access_grant g
  where coalesce(g.granted_at, g.verified_at) <= ",
            $at,
            " and (g.end_verified_at is null or g.end_verified_at > ",
            $at,
            ") and g.status <> 'failed'
    and ($3::uuid is null or g.application_id = $3) and ($4::uuid is null or g.role_id = $4) and ($5::uuid is null or g.beneficiary_id = $5)"
        )
    };
}
/// Members at `$at` who were there before anybody looked.
macro_rules! access_members {
    ($at:literal) => {
        concat!(
            "from pre_existing_member b join role r on r.directory = b.directory and r.group_reference = b.group_reference and (r.retired_at is null or r.retired_at > ",
            $at,
            ")
  where b.noted_at <= ",
            $at,
            " and (b.gone_at is null or b.gone_at > ",
            $at,
            ") and ($3::uuid is null or r.application_id = $3) and ($4::uuid is null or r.id = $4) and ($5::uuid is null or b.person_id = $5)"
        )
    };
}
/// Members at `$at` whom no grant explains, somebody who answers for them or not.
macro_rules! access_drifts {
    ($at:literal) => {
        concat!(
            "from drift d join role r on r.directory = d.directory and r.group_reference = d.group_reference and (r.retired_at is null or r.retired_at > ",
            $at,
            ")
  where d.kind = 'unexpected_member' and d.detected_at <= ",
            $at,
            " and (d.resolved_at is null or d.resolved_at > ",
            $at,
            " or exists (select 1 from drift_exception o where o.drift_id = d.id and o.made_at <= ",
            $at,
            " and (o.ended_at is null or o.ended_at > ",
            $at,
            "))) and ($3::uuid is null or r.application_id = $3) and ($4::uuid is null or r.id = $4) and ($5::uuid is null or d.person_id = $5)"
        )
    };
}
/// What the people of `x` are like at `m.at`: from who left and what changed about them since.
macro_rules! access_then {
    () => {
        r#"left join person p on p.id = x.id
left join lateral (select w.status from leaver w where w.person_id = x.id and w.detected_at <= m.at and (w.returned_at is null or w.returned_at > m.at) order by w.detected_at desc limit 1) gone on true
left join lateral (select true as there from leaver w where w.person_id = x.id and w.detected_at > m.at limit 1) later on true
left join lateral (select true as there, v.old[1] as was from mover v where v.person_id = x.id and v.attribute = 'department' and v.changed_at > m.at order by v.changed_at limit 1) moved on true"#
    };
}
pub(super) use {access_drifts, access_grants, access_members, access_then};

/// Who had access at $2, or has it now: `id` is a person known here, `reference` tells others apart, `row` tells rows apart. What people are like then comes from who left and what changed about them.
pub const ACCESS: &str = concat!(
    r#"
with moment as materialized (select least($2::timestamptz, clock()) as at, $1::timestamptz as unused),
imported as materialized (select e.data ->> 'directory' as directory, e.data ->> 'group' as group_reference, max(e.id) as id from audit_event e where e.kind = 'group.imported' group by 1, 2)
select to_char(m.at, 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as as_of, x.person_id, p.email,
  coalesce(gone.status, case when later.there then 'active' else p.status end) as person_status,
  case when moved.there then moved.was else p.department end as department,
  (select o.email from person o where o.directory = p.directory and o.reference = p.manager_reference) as manager_email,
  a.name as application, r.id as role_id, r.name as role, coalesce(t.directory || ': group ' || t.group_reference, x.directory || ': group ' || x.group_reference) as target, r.risk,
  to_char(x.since, 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as since, to_char(x.until, 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as until,
  x.source, x.grant_id, x.request_id,
  (select string_agg(o.id, ';' order by o.id) from (select distinct ap.decided_by::text as id from approval ap where ap.request_id = x.request_id and ap.verdict = 'approve') o) as approvers,
  (select k.key || ' v' || v.version from request q join access_policy_version v on v.id = q.policy_version_id join access_policy k on k.id = v.policy_id where q.id = x.request_id) as policy_version,
  null::text as last_reviewed_at,
  coalesce(l.first, x.first, i.id) as event_seq_first, coalesce(l.last, x.last, i.id) as event_seq_last
from moment m
cross join lateral ("#,
    r#"
  select g.beneficiary_id::text as person_id, g.beneficiary_id as id, '' collate "C" as reference, g.role_id, g.target_id, null::text as directory, null::text as group_reference,
    coalesce(g.granted_at, g.verified_at) as since, g.ends_at as until, 'request' collate "C" as source, g.id as grant_id, g.request_id, null::bigint as first, null::bigint as last,
    g.id as row
  "#,
    access_grants!("m.at"),
    r#"
  union all
  select coalesce(b.person_id::text, b.person_reference), b.person_id, (case when b.person_id is null then b.person_reference else '' end) collate "C", r.id, null, b.directory,
    b.group_reference, b.noted_at, null, 'pre_existing', null, null, null, null, b.id
  "#,
    access_members!("m.at"),
    r#"
  union all
  select coalesce(d.person_id::text, d.person_reference), d.person_id, (case when d.person_id is null then d.person_reference else '' end) collate "C", r.id, null, d.directory,
    d.group_reference, d.detected_at, null, 'out_of_band', null, null, d.event_first, d.event_last, d.id
  "#,
    access_drifts!("m.at"),
    r#") x
join role r on r.id = x.role_id
join application a on a.id = r.application_id
left join target t on t.id = x.target_id
left join imported i on x.source = 'pre_existing' and i.directory = x.directory and i.group_reference = x.group_reference
"#,
    access_then!(),
    r#"
left join lateral (select min(e.id) as first, max(e.id) as last from audit_event e where e.request_id = x.request_id and e.grant_id = x.grant_id and e.occurred_at <= m.at) l on true
order by x.id, x.reference, x.role_id, x.source, x.since, x.row"#
);

/// Nothing yet: no campaign has been.
pub const REVIEWS: &str = r#"
select null::uuid as campaign_id, null::text as population_frozen_at, null::uuid as item_id, null::uuid as person, null::uuid as role, null::uuid as reviewer,
  null::uuid as original_reviewer, null::text as recommendation, null::text as decision, null::text as rationale, null::text as decided_at, null::text as removed_at,
  null::text as verified_at, null::bigint as event_seq_first, null::bigint as event_seq_last
where false"#;

/// What changed rules or the installation, and what was read and taken away.
pub const ADMIN_ACTIVITY: &str = r#"
select to_char(e.occurred_at, 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as at,
  coalesce(e.actor_id::text, case e.channel when 'cli' then 'operator' else 'system' end) as actor,
  e.kind as action,
  coalesce(
    case when e.kind like 'evidence.schedule%' then e.data ->> 'name' end,
    case when e.kind like 'evidence.%' then coalesce(e.data ->> 'file', (e.data ->> 'page') || coalesce(' ' || (e.data ->> 'object'), ''), e.data ->> 'key', e.data ->> 'population') end,
    case when e.kind like 'drift.%' or e.kind like 'group.%' then concat_ws(' ', e.data ->> 'directory', e.data ->> 'group', e.data ->> 'person') end,
    case when e.kind like 'directory.%' then e.data ->> 'directory' end,
    case when e.kind like 'token.%' then e.token_id::text || ' ' || (e.data ->> 'name') end,
    e.data ->> 'change', e.data ->> 'source', e.grant_id::text, e.request_id::text, e.person_id::text) as object,
  case when c.id is not null then c.old when e.kind = 'evidence.schedule_changed' then e.data ->> 'old' when e.kind = 'directory.paused' then 'running' when e.kind = 'directory.resumed' then 'paused' end as before,
  case when c.id is not null and c.new is not null then c.new else e.data::text end as after,
  e.channel,
  e.id as event_seq_first, e.id as event_seq_last
from audit_event e
left join lateral (
  select w.id, string_agg(v.policy_key || ' v' || v.version_from, '; ' order by v.policy_key) as old, string_agg(v.policy_key || ' v' || v.version_to, '; ' order by v.policy_key) as new
  from policy_change w left join policy_change_version v on v.change_id = w.id
  where (e.kind like 'policy_change.%' or e.kind = 'catalog.applied') and w.id::text = e.data ->> 'change' group by w.id) c on true
where e.occurred_at >= $1 and e.occurred_at < $2
  and (e.kind like 'evidence.%' or e.kind like 'policy_change.%' or e.kind = 'catalog.applied'
    or e.kind like 'hold.%' or e.kind like 'retention.%' or e.kind like 'log.%'
    or e.kind in ('directory.paused', 'directory.resumed', 'directory.believed', 'token.created', 'token.revoked', 'grant.revoked', 'emergency.reviewed', 'person.erasure_ordered', 'person.erased')
    or e.actor_id is not null and (e.kind like 'drift.%' or e.kind like 'group.%'))
  and ($3::uuid is null or e.application_id = $3) and ($4::uuid is null or e.role_id = $4) and ($5::uuid is null or e.person_id = $5 or e.actor_id = $5)
order by e.occurred_at, e.id"#;

/// A role's own row, and one for each member that its leases at the end do not explain, or the reverse. Leases count from when the directory
/// confirmed them until it confirmed their end, so that they can be held against its members.
pub const CONTROL_TOTALS: &str = r#"
with bound as materialized (select $1::timestamptz as opens, least($2::timestamptz, clock()) as closes),
chosen as materialized (
  select r.id, r.directory, r.group_reference, g.read_at, case when $5::uuid is null then g.members end as members
  from role r left join managed_group g on g.directory = r.directory and g.group_reference = r.group_reference
  where ($3::uuid is null or r.application_id = $3) and ($4::uuid is null or r.id = $4)
    and (r.retired_at is null and $5::uuid is null or exists (select 1 from access_grant a where a.role_id = r.id and ($5::uuid is null or a.beneficiary_id = $5)))),
lease as materialized (
  select g.id, g.role_id, g.beneficiary_id, g.end_reason, g.verified_at as began, coalesce(g.end_verified_at, 'infinity') as ended,
    t.directory, t.group_reference, t.person_reference, g.approval_event_id as event
  from access_grant g join target t on t.id = g.target_id
  where g.verified_at is not null and ($5::uuid is null or g.beneficiary_id = $5)
    and (g.role_id in (select id from chosen) or (t.directory, t.group_reference) in (select directory, group_reference from chosen))),
total as materialized (
  select c.id as role_id, c.directory, c.group_reference, c.read_at, c.members,
    count(*) filter (where l.began < b.opens and l.ended >= b.opens) as opening,
    count(*) filter (where l.began >= b.opens and l.began < b.closes) as granted,
    count(*) filter (where l.ended >= b.opens and l.ended < b.closes) as ended,
    count(*) filter (where l.ended >= b.opens and l.ended < b.closes and l.end_reason = 'expired') as expired,
    count(*) filter (where l.ended >= b.opens and l.ended < b.closes and l.end_reason = 'returned') as returned,
    count(*) filter (where l.ended >= b.opens and l.ended < b.closes and l.end_reason = 'revoked') as revoked,
    count(*) filter (where l.ended >= b.opens and l.ended < b.closes and l.end_reason = 'offboarded') as offboarded,
    count(*) filter (where l.ended >= b.opens and l.ended < b.closes and l.end_reason = 'eligibility_lost') as eligibility_lost,
    count(*) filter (where l.ended >= b.opens and l.ended < b.closes and l.end_reason = 'review') as review,
    count(*) filter (where l.ended >= b.opens and l.ended < b.closes and l.end_reason = 'emergency_closed') as emergency_closed,
    count(*) filter (where l.ended >= b.opens and l.ended < b.closes and l.end_reason = 'superseded') as superseded,
    count(*) filter (where l.began < b.closes and l.ended >= b.closes) as closing,
    min(l.event) filter (where l.began < b.closes and l.ended >= b.opens) as first, max(l.event) filter (where l.began < b.closes and l.ended >= b.opens) as last
  from chosen c cross join bound b left join lease l on l.role_id = c.id
  group by c.id, c.directory, c.group_reference, c.read_at, c.members),
-- Leases that held when the group was read, and each membership once.
held as materialized (
  select l.*, row_number() over (partition by l.role_id, l.person_reference order by l.began, l.id) as nth
  from lease l join managed_group g on g.directory = l.directory and g.group_reference = l.group_reference
  where l.began <= g.read_at and l.ended > g.read_at),
part as materialized (
  select t.role_id, case when l.began <= t.read_at and l.ended > t.read_at then 1 else -1 end as difference,
    case when l.began <= t.read_at and l.ended > t.read_at then case when l.began >= b.closes then 'granted_after_period' else 'ended_since_reading' end
         else case when l.began > t.read_at then 'granted_since_reading' else 'ended_after_period' end end as reason,
    l.beneficiary_id::text as person_id, l.event as first, l.event as last
  from total t cross join bound b join lease l on l.role_id = t.role_id
  where t.members is not null and (l.began <= t.read_at and l.ended > t.read_at) <> (l.began < b.closes and l.ended >= b.closes)
  union all
  select t.role_id, -1, 'same_membership', h.beneficiary_id::text, h.event, h.event from total t join held h on h.role_id = t.role_id where t.members is not null and h.nth > 1
  union all
  select t.role_id, 1, 'other_role', (array_agg(h.beneficiary_id::text))[1], min(h.event), max(h.event)
  from total t join held h on h.directory = t.directory and h.group_reference = t.group_reference and h.role_id <> t.role_id
  where t.members is not null and not exists (select 1 from held o where o.role_id = t.role_id and o.person_reference = h.person_reference)
  group by t.role_id, h.person_reference
  union all
  select t.role_id, 1, 'pre_existing', coalesce(m.person_id::text, m.person_reference), null, null
  from total t join pre_existing_member m on m.directory = t.directory and m.group_reference = t.group_reference
  where t.members is not null and m.through is null and m.noted_at <= t.read_at and (m.gone_at is null or m.gone_at > t.read_at)
    and not exists (select 1 from held h where h.directory = m.directory and h.group_reference = m.group_reference and h.person_reference = m.person_reference)
  union all
  select t.role_id, case d.kind when 'missing_member' then -1 else 1 end, case d.kind when 'missing_member' then 'missing_member' else 'out_of_band' end,
    coalesce(d.person_id::text, d.person_reference), d.event_first, d.event_last
  from total t join drift d on d.directory = t.directory and d.group_reference = t.group_reference
  where t.members is not null and d.kind in ('unexpected_member', 'missing_member') and d.through is null and d.detected_at <= t.read_at
    and (d.resolved_at is null or d.resolved_at > t.read_at
      or d.kind = 'unexpected_member' and exists (select 1 from drift_exception o where o.drift_id = d.id and o.made_at <= t.read_at and (o.ended_at is null or o.ended_at > t.read_at)))
    -- Of a lease that is missed only the role whose lease it is lacks a member.
    and (d.kind = 'unexpected_member' or exists (select 1 from held h where h.role_id = t.role_id and h.person_reference = d.person_reference)))
select x.role_id, x.opening_active, x.granted, x.ended_expired, x.ended_returned, x.ended_revoked, x.ended_offboarded, x.ended_eligibility_lost, x.ended_review,
  x.ended_emergency_closed, x.ended_superseded, x.closing_active, x.directory_members_now, x.difference, x.reason, x.person_id, x.event_seq_first, x.event_seq_last
from (
  select 0 as place, t.role_id, t.opening as opening_active, t.granted, t.expired as ended_expired, t.returned as ended_returned, t.revoked as ended_revoked,
    t.offboarded as ended_offboarded, t.eligibility_lost as ended_eligibility_lost, t.review as ended_review, t.emergency_closed as ended_emergency_closed,
    t.superseded as ended_superseded, t.closing as closing_active, t.members as directory_members_now, t.members - t.closing as difference,
    null::text as reason, null::text as person_id, t.first as event_seq_first, t.last as event_seq_last
  from total t
  union all
  select 1, t.role_id, null, null, null, null, null, null, null, null, null, null, null, null, t.opening + t.granted - t.ended - t.closing, 'does_not_add_up', null, null, null
  from total t where t.opening + t.granted - t.ended <> t.closing
  union all
  select 2, p.role_id, null, null, null, null, null, null, null, null, null, null, null, null, p.difference, p.reason, p.person_id, p.first, p.last from part p
  union all
  select 3, t.role_id, null, null, null, null, null, null, null, null, null, null, null, null, t.members - t.closing - coalesce(s.told, 0), 'unexplained', null, null, null
  from total t left join (select role_id, sum(difference) as told from part group by role_id) s on s.role_id = t.role_id
  where t.members is not null and t.members - t.closing <> coalesce(s.told, 0)
) x
order by x.role_id, x.place, x.reason, x.person_id, x.event_seq_first"#;
