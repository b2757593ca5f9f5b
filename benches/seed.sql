-- A company's two years with Countersign: 300 roles, 130,000 requests, about a million events. Written by a superuser in one
-- transaction. Before this runs, the people are there (read from the demo directory by the service itself), and two temporary
-- tables: wanted_group (n, reference, name), one row per role, and setting (directory, at).
--
-- History cannot pass the guards that look at the present (an approval needs an open step), so those few triggers rest meanwhile
-- and are put back exactly as the migrations made them.

set search_path = countersign, pg_temp;
set session_replication_role = replica;
set maintenance_work_mem = '512MB';
set work_mem = '256MB';

alter table approval disable trigger of_open_step, disable trigger with_event;
alter table request disable trigger with_event, disable trigger as_governed;
alter table request_step disable trigger with_request;
alter table request_slot disable trigger with_request;
alter table access_grant disable trigger with_event, disable trigger after_approval;

-- An id of version 7 (RFC 9562) for a moment, distinct by k.
create function pg_temp.at7(t timestamptz, k text) returns uuid language sql immutable as $$
  select (lpad(to_hex((extract(epoch from t) * 1000)::bigint), 12, '0') || '7' || substr(md5(k), 1, 3) || '8' || substr(md5(k), 4, 15))::uuid $$;
create function pg_temp.digest(k text) returns text language sql immutable as $$ select encode(sha256(k::bytea), 'hex') $$;

create temp table someone as
  select (row_number() over (order by p.user_name) - 1)::int as n, p.id, p.reference, p.display_name, p.email, p.department, m.id as manager_id
  from person p left join person m on m.directory = p.directory and m.reference = p.manager_reference;
create unique index on someone (n);
create unique index on someone (id);
alter table someone add named jsonb;
update someone set named = jsonb_build_object('id', id, 'name', display_name, 'email', email);
analyze someone;

-- The catalog's own guard is met: its change has its event.
insert into audit_event (occurred_at, kind, actor_kind, channel, data)
  select at - interval '740 days', 'catalog.applied', 'system', 'cli', jsonb_build_object('source', 'seed.sql', 'digest', pg_temp.digest('catalog'), 'changes', '[]'::jsonb) from setting;

-- The catalog -------------------------------------------------------------------------------------------------------

insert into application (id, key, name, description, owner_id)
  select pg_temp.at7(s.at - interval '740 days', 'application' || a), 'application-' || lpad(a::text, 2, '0'),
    (array['Orders', 'Ledger', 'Warehouse', 'Payroll', 'Support', 'Billing', 'Search', 'Fleet', 'Claims', 'Archive'])[a % 10 + 1]
      || (array[' Database', ' Console', ' Reports'])[a / 10 + 1],
    'What the teams work with every day, and what auditors ask about.', p.id
  from generate_series(0, 29) a, setting s, someone p where p.n = 1 + a;

create temp table chosen_role as
  select n - 1 as n, pg_temp.at7(s.at - interval '740 days', 'role' || n) as id,
    (select id from application where key = 'application-' || lpad(((n - 1) / 10)::text, 2, '0')) as application_id,
    (array['Read-only', 'Read and write', 'Administration', 'Export', 'Approve payments', 'On call', 'Break glass', 'Deployment', 'Reports', 'Training'])[(n - 1) % 10 + 1] as name,
    case when n % 10 in (3, 7) then 'critical' when n % 10 in (2, 4, 5, 8) then 'elevated' else 'low' end as risk,
    case (n - 1) % 10 when 0 then 'by-itself' when 2 then 'two-steps' when 6 then 'two-steps' else 'manager' end as policy,
    (select id from someone where someone.n = 900 + g.n % 90) as owner_id, s.directory, g.reference, g.name as group_name
  from wanted_group g, setting s;
create unique index on chosen_role (n);
insert into role (id, application_id, key, name, description, owner_id, risk, method, directory, group_reference, group_name)
  select id, application_id, 'role-' || lpad((n + 1)::text, 4, '0'), name, name || ': what one needs for it, and nothing more.', owner_id, risk, 'idp_group', directory, reference, group_name
  from chosen_role;
update role r set search = lower(concat_ws(' ', a.name, r.name, a.key, r.key, r.description, a.description, r.group_name)) from application a where a.id = r.application_id;

insert into access_profile (id, key) select pg_temp.at7(at - interval '740 days', 'profile'), 'everybody' from setting;
insert into access_profile_version (id, profile_id, version, name, digest, created_at)
  select pg_temp.at7(at - interval '740 days', 'profile v1'), p.id, 1, 'Everybody who works here', pg_temp.digest('profile'), at - interval '740 days' from access_profile p, setting;
insert into access_profile_rule select id, 1, 'allow' from access_profile_version;
insert into access_profile_condition select id, 1, 1, 'employment_type', 'in', '{employee,contractor}' from access_profile_version;
insert into access_profile_rule select id, 2, 'deny' from access_profile_version;
insert into access_profile_condition select id, 2, 1, 'department', 'is', '{Nowhere}' from access_profile_version;

insert into approval_procedure (id, key)
  select pg_temp.at7(at - interval '740 days', 'procedure ' || k), k from unnest(array['manager', 'manager-then-owner']) k, setting;
insert into approval_procedure_version (id, procedure_id, version, name, distinct_people, reassign, digest, created_at)
  select pg_temp.at7(at - interval '740 days', 'procedure v1 ' || p.key), p.id, 1, initcap(replace(p.key, '-', ' ')), true, true, pg_temp.digest(p.key), at - interval '740 days'
  from approval_procedure p, setting;
insert into approval_procedure_step (procedure_version_id, position, name, risks, conditional, time_limit_s, escalates)
  select v.id, s, case s when 1 then 'Manager' else 'Role owner' end, '{}', false, 2592000, false
  from approval_procedure_version v join approval_procedure p on p.id = v.procedure_id, generate_series(1, 2) s where s = 1 or p.key = 'manager-then-owner';
insert into approval_procedure_slot (procedure_version_id, step, position, approvals) select procedure_version_id, position, 1, 1 from approval_procedure_step;
insert into approval_procedure_source (procedure_version_id, step, slot, position, source)
  select procedure_version_id, position, 1, 1, case position when 1 then 'manager' else 'role_owner' end from approval_procedure_step;

insert into access_policy (id, key)
  select pg_temp.at7(at - interval '740 days', 'policy ' || k), k from unnest(array['manager', 'two-steps', 'by-itself']) k, setting;
insert into access_policy_version (id, policy_id, version, name, profile_version_id, procedure_version_id, recommended_s, minimum_s, maximum_s, choices_s, indefinite,
    justification_required, justification_minimum, ticket_required, ticket_minimum, extension, extension_last_percent, behalf_manager, behalf_owner, behalf_confirm,
    comment_to_deny, digest, created_at)
  select pg_temp.at7(at - interval '740 days', 'policy v1 ' || p.key), p.id, 1, initcap(replace(p.key, '-', ' ')), (select id from access_profile_version),
    (select v.id from approval_procedure_version v join approval_procedure a on a.id = v.procedure_id where a.key = case p.key when 'manager' then 'manager' when 'two-steps' then 'manager-then-owner' end),
    2592000, 3600, 31536000, '{86400,2592000,31536000}', false, true, 3, false, 0, true, 50, false, false, false, true, pg_temp.digest('policy ' || p.key), at - interval '740 days'
  from access_policy p, setting;
insert into policy_binding (id, policy_id, role_id, application_id, priority)
  select pg_temp.at7(s.at - interval '740 days', 'binding ' || r.n), p.id, r.id, null::uuid, 100 from chosen_role r join access_policy p on p.key = r.policy, setting s where r.policy <> 'manager'
  union all select pg_temp.at7(s.at - interval '740 days', 'binding'), p.id, null, null, 1000 from access_policy p, setting s where p.key = 'manager';

-- The requests: every pair of person and role once at most --------------------------------------------------------------

create temp table asked as
  select i, pg_temp.at7(t, 'request' || i) as id, t, b.id as beneficiary_id, b.named as beneficiary, b.reference, b.manager_id as first_id, r.id as role_id, r.application_id, r.owner_id as second_id,
    r.policy, r.name as role_name, r.risk, r.n as role_n, r.directory, r.reference as group_reference,
    case r.policy when 'two-steps' then 2 when 'by-itself' then 0 else 1 end as steps,
    t + make_interval(secs => 1800 + i * 7 % 86400) as t1, t + make_interval(secs => 90000 + i * 11 % 86400) as t2,
    case when r.owner_id = b.id or i * 7919 % 100 < 7 then 'refused'
         when r.policy = 'by-itself' then 'approved'
         when i > 126500 then 'pending'
         when i * 7919 % 100 < 22 then 'denied' when i * 7919 % 100 < 32 then 'withdrawn' when i * 7919 % 100 < 38 then 'timed_out' else 'approved' end as status,
    case when i > 110000 then 31536000 else 2592000 end as duration_s
  from (select i::bigint, s.at - interval '730 days' + i * (interval '730 days' / 130000) - interval '5 seconds' as t, i::bigint * 48271 % 299700 as pair from generate_series(1, 130000) i, setting s) x
  join someone b on b.n = 1 + pair / 300
  join chosen_role r on r.n = pair % 300;
-- When it closed: the time of the deciding answer, of the limit, or at once.
alter table asked add closed timestamptz, add policy_version_id uuid, add policy_digest text;
update asked a set closed = case status when 'pending' then null when 'refused' then t when 'withdrawn' then t1 when 'timed_out' then t + interval '30 days'
    when 'denied' then t1 else case steps when 0 then t when 1 then t1 else t2 end end,
  policy_version_id = v.id, policy_digest = v.digest
  from access_policy_version v join access_policy p on p.id = v.policy_id where p.key = a.policy;
-- What an approval authorises, as service::ask::ask_digest makes it (canonical JSON, RFC 8785).
alter table asked add ask_digest text;
update asked set ask_digest = pg_temp.digest(format('{"beneficiary":"%s","directory":"%s","duration_s":%s,"extension_of":null,"group":"%s","policy_digest":"%s","policy_version":"%s","role":"%s","starts_at":null}',
  beneficiary_id, directory, duration_s, group_reference, policy_digest, policy_version_id, role_id));
-- What would have closed after today waits still.
update asked set status = 'pending', closed = null where closed > (select at from setting) and status <> 'pending' and steps > 0;
create unique index on asked (id);
analyze asked;

insert into request (id, requester_id, beneficiary_id, role_id, application_id, status, step_no, steps, step_due_at, decision, deciding_rule, policy_version_id, inputs, inputs_digest, trace,
    ask_digest, justification, ticket_reference, duration_s, channel, created_at, closed_at)
  select id, beneficiary_id, beneficiary_id, role_id, application_id, status, case status when 'pending' then 1 end, case status when 'refused' then 0 else steps end,
    case status when 'pending' then t + interval '40 days' end,
    case when status = 'refused' then 'refused' when steps = 0 then 'auto_approved' else 'needs_approval' end, 'profile everybody v1: allow rule 1', policy_version_id,
    format('{"ask":{"beneficiary":"%1$s","duration":%5$s,"requester":"%1$s","role":"%2$s","starts_at":null},"decided_at":"%3$s","person":{"active":true,"attributes":{"cost_center":["1300"],"department":["Engineering"],"display_name":["%6$s"],"employee_number":["G-%7$s"],"employment_type":["employee"],"locality":["Lisbon"],"title":["Specialist"]},"directory":"%8$s","display_name":"%6$s","email":"%9$s","fetched_at":"%3$s","groups":[{"name":"dept-engineering","reference":"%4$s"}],"manager":"%4$s","person":"%1$s","reference":"%10$s","user_name":"%9$s"},"policies":[{"digest":"%11$s","id":"%12$s","key":"%13$s","version":1}],"v":1}',
      beneficiary_id, role_id, t, coalesce(first_id, id), duration_s, beneficiary ->> 'name', i, directory, beneficiary ->> 'email', reference, policy_digest, policy_version_id, policy),
    pg_temp.digest('inputs' || i),
    format('[{"attribute":"active","decisive":false,"fetched_at":"%1$s","passed":true,"rule":"person is active","seen":["true"],"sentence":"Your account must be active in the directory","source":"%2$s"},{"attribute":"employment_type","decisive":false,"fetched_at":"%1$s","passed":%3$s,"rule":"profile everybody v1: allow rule 1, condition 1","seen":["employee"],"sentence":"Your employment type must be one of employee, contractor","source":"%2$s"}]',
      t, directory, case when status = 'refused' then 'false' else 'true' end),
    ask_digest, 'Needed for the quarterly close, case ' || i, case when i % 3 = 0 then 'OPS-' || i end, duration_s, case when i % 5 = 0 then 'api' else 'web' end, t, closed
  from asked order by i;

-- Whether the first step was answered, and by that the second opened.
create temp table open_step as
  select a.i, a.id, s, case s when 1 then 'Manager' else 'Role owner' end as name, case s when 1 then first_id else second_id end as person_id,
    case s when 1 then 'manager' else 'role_owner' end as source,
    case when s = 1 then t when status = 'approved' then t1 end as opened_at,
    case when s = 1 and (status in ('approved', 'denied') or steps = 2 and status = 'approved') then t1 when s = 2 and status = 'approved' then t2 when s = 1 then closed end as done_at,
    case when status = 'denied' and s = 1 then 'deny' when status = 'approved' then 'approve' end as verdict
  from asked a, generate_series(1, 2) s where s <= steps and status <> 'refused';
insert into request_step (request_id, step_no, name, time_limit_s, procedure_version_id, procedure_step, opened_at, done_at)
  select o.id, s, o.name, 2592000, v.procedure_version_id, s, opened_at, done_at
  from open_step o join asked a using (i) join access_policy_version v on v.id = a.policy_version_id order by o.i, s;
insert into request_slot (request_id, step_no, slot_no, approvals, procedure_slot, source, source_label)
  select id, s, 1, 1, 1, source, case source when 'manager' then 'the manager' else 'the role owner' end from open_step order by i, s;
insert into assignment select o.id, s, 1, person_id, opened_at, case when i % 5 < 3 then opened_at + interval '10 minutes' end, s = 1 and a.status = 'pending'
  from open_step o join asked a using (i) order by i, s;
insert into approval (id, request_id, requester_id, beneficiary_id, step_no, slot_no, decided_by, verdict, comment, ask_digest, inputs_digest, channel, decided_at)
  select pg_temp.at7(o.done_at, 'approval' || i || ' ' || s), o.id, a.beneficiary_id, a.beneficiary_id, s, 1, o.person_id, o.verdict, case o.verdict when 'deny' then 'Not needed for this work' end,
    a.ask_digest, pg_temp.digest('inputs' || i), 'web', o.done_at
  from open_step o join asked a using (i) where o.verdict is not null order by o.done_at;

-- The leases ----------------------------------------------------------------------------------------------------------

create temp table leased as
  select i, id as request_id, pg_temp.at7(closed, 'grant' || i) as id, pg_temp.at7(closed, 'target' || i) as target_id, closed as granted, closed + interval '3 seconds' as starts,
    closed + interval '3 seconds' + make_interval(secs => duration_s) as ends, i <= 110000 as over
  from asked where status = 'approved';
insert into target (id, directory, person_id, person_reference, group_reference, wanted, gen, done_gen, member, member_seen_at)
  select l.target_id, a.directory, a.beneficiary_id, a.reference, a.group_reference, not over, case when over then 2 else 1 end, case when over then 2 else 1 end, not over, case when over then ends else starts end
  from leased l join asked a using (i) order by i;

-- The log: each request's events in their order --------------------------------------------------------------------------

create temp table told as
with e as (
  select i, 1 as k, t as at, case when status = 'refused' then 'request.refused' when steps = 0 then 'request.auto_approved' else 'request.submitted' end as kind, beneficiary_id as actor_id, null::uuid as grant_id,
    jsonb_build_object('requester', beneficiary, 'beneficiary', beneficiary, 'application', 'Application', 'role', role_name, 'risk', risk, 'duration_s', duration_s, 'policy', policy || ' v1', 'policy_digest', policy_digest,
      'decision', case when status = 'refused' then 'refused' when steps = 0 then 'auto_approved' else 'needs_approval' end, 'deciding_rule', 'profile everybody v1: allow rule 1', 'inputs_digest', pg_temp.digest('inputs' || i), 'ask_digest', ask_digest) as data
    from asked
  union all
  select i, 2 * s + (s - 1), opened_at, 'request.step_opened', case s when 1 then a.beneficiary_id else a.first_id end, null,
    jsonb_build_object('step_no', s, 'step', name, 'asked', jsonb_build_array(p.named), 'due_at', opened_at + interval '30 days')
    from open_step o join asked a using (i) join someone p on p.id = o.person_id where opened_at is not null
  union all
  select i, 2 * s + (s - 1) + 1, opened_at + interval '10 minutes', 'approval.viewed', person_id, null, jsonb_build_object('step_no', s)
    from open_step where opened_at is not null and i % 5 < 3
  union all
  select i, 2 * s + (s - 1) + 2, done_at, case verdict when 'deny' then 'approval.denied' else 'approval.given' end, person_id, null,
    jsonb_build_object('step_no', s, 'step', name, 'slot_no', 1, 'granted_s', null, 'comment', case verdict when 'deny' then 'Not needed for this work' end, 'ask_digest', a.ask_digest, 'inputs_digest', pg_temp.digest('inputs' || i))
    from open_step join asked a using (i) where verdict is not null
  union all
  select i, 20, closed, 'request.' || status, case status when 'timed_out' then null when 'withdrawn' then beneficiary_id when 'denied' then first_id else case steps when 1 then first_id else second_id end end, null,
    case status when 'approved' then jsonb_build_object('granted_s', duration_s) when 'timed_out' then jsonb_build_object('step_no', 1) else jsonb_build_object('reason', 'Not needed for this work') end
    from asked where status in ('denied', 'withdrawn', 'timed_out') or status = 'approved' and steps > 0
  union all
  select i, 21, granted, 'grant.created', case steps when 0 then beneficiary_id when 1 then first_id else second_id end, l.id, jsonb_build_object('starts_at', starts, 'duration_s', duration_s, 'extension_of', null)
    from leased l join asked a using (i)
  union all select i, 22, starts - interval '2 seconds', 'grant.provisioning_started', null, id, jsonb_build_object('target', 'main: group') from leased
  union all select i, 23, starts - interval '1 second', 'grant.provisioned', null, id, jsonb_build_object('result', 'done', 'attempt', 1) from leased
  union all select i, 24, starts, 'grant.activated', null, id, jsonb_build_object('starts_at', starts, 'ends_at', ends) from leased
  union all select i, 25, ends, 'grant.expired', null, id, jsonb_build_object('ends_at', ends) from leased where over
  union all select i, 26, ends + interval '1 second', 'grant.ended', null, id, jsonb_build_object('end_reason', 'expired', 'membership', 'removed', 'revoke_latency_ms', 1000) from leased where over
)
select * from e;

insert into audit_event (occurred_at, kind, actor_kind, actor_id, actor_name, channel, request_id, grant_id, person_id, role_id, application_id, policy_version_id, data)
  select e.at, e.kind, case when e.actor_id is null then 'system' else 'person' end, e.actor_id, p.display_name, case when e.actor_id is null then 'system' else 'web' end,
    a.id, e.grant_id, a.beneficiary_id, a.role_id, a.application_id, a.policy_version_id, e.data
  from told e join asked a using (i) left join someone p on p.id = e.actor_id
  order by e.at, e.i, e.k;

insert into access_grant (id, request_id, approval_event_id, beneficiary_id, role_id, application_id, target_id, status, approved_at, duration_s, starts_at, ends_at, provisioning_started_at, granted_at,
    verified_at, ended_at, end_verified_at, end_reason, attempts)
  select l.id, l.request_id, v.id, a.beneficiary_id, a.role_id, a.application_id, l.target_id, case when over then 'ended' else 'active' end, granted, a.duration_s, starts, ends,
    starts - interval '2 seconds', starts - interval '1 second', starts, case when over then ends end, case when over then ends + interval '1 second' end, case when over then 'expired' end, 1
  from leased l join asked a using (i)
  join (select request_id, min(id) as id from audit_event where kind in ('request.approved', 'request.auto_approved') group by request_id) v on v.request_id = l.request_id
  order by l.i;

-- Guards back, as the migrations made them -------------------------------------------------------------------------------

alter table approval enable always trigger of_open_step, enable always trigger with_event;
alter table request enable always trigger with_event, enable always trigger as_governed;
alter table request_step enable always trigger with_request;
alter table request_slot enable always trigger with_request;
alter table access_grant enable always trigger with_event, enable always trigger after_approval;
