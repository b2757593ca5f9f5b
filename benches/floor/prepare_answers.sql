-- The open requests of one step, most of them made by the floor of submit, numbered to be approved.
create table floor.answer as
  select row_number() over (order by md5(q.id::text))::int as n, q.id as request, q.beneficiary_id as person, p.reference, a.person_id as approver, u.name, q.role_id as role, q.application_id as application,
    q.policy_version_id as policy_version, q.ask_digest as digest, r.directory, r.group_reference, u.token
  from countersign.request q join countersign.assignment a on a.request_id = q.id and a.open join countersign.person p on p.id = q.beneficiary_id join countersign.role r on r.id = q.role_id
    join floor.someone u on u.person = a.person_id
  where q.status = 'pending' and q.steps = 1 and q.duration_s = 86400 and q.beneficiary_id <> a.person_id;
create unique index on floor.answer (n);
analyze floor.answer;
grant select on floor.answer to countersign_app;
