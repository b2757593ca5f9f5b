-- What the floors of pgbench work on: people with their sessions, and numbered pairs of a person and a role to ask for.
create schema floor;
create sequence floor.asks;
create sequence floor.answers;
create table floor.someone as
  select row_number() over (order by md5(p.id::text))::int as n, p.id as person, s.token_hash as token, p.display_name as name
  from countersign.person p join countersign.session s on s.person_id = p.id;
create unique index on floor.someone (n);
create table floor.approver as
  select row_number() over (order by md5(person::text))::int as n, person, token, waiting > 25 as more
  from floor.someone join (select person_id as person, count(distinct request_id) as waiting from countersign.assignment where open group by 1) w using (person);
create unique index on floor.approver (n);
create table floor.pair as
  select row_number() over (order by md5(p.id::text || r.id::text))::int as n, p.id as person, p.reference, p.display_name as name, r.id as role, r.application_id as application, m.id as manager,
    m.reference as manager_reference, r.owner_id as owner, v.id as policy_version, s.token_hash as token
  from countersign.person p join countersign.person m on m.directory = p.directory and m.reference = p.manager_reference join countersign.session s on s.person_id = p.id
    cross join countersign.role r
    cross join lateral (select v.id from countersign.access_policy_version v join countersign.access_policy a on a.id = v.policy_id where a.key = 'manager') v
  where r.owner_id <> p.id and not exists (select 1 from countersign.request q where q.beneficiary_id = p.id and q.role_id = r.id)
    and not exists (select 1 from countersign.policy_binding b where b.role_id = r.id);
create unique index on floor.pair (n);
analyze floor.pair;
analyze floor.someone;
grant usage on schema floor to countersign_app;
grant select on all tables in schema floor to countersign_app;
grant usage on all sequences in schema floor to countersign_app;
