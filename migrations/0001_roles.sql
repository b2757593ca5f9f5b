-- The roles of the database. They belong to the cluster, so they may exist already; nobody signs in as any of them but the application.
do $$
declare wanted text;
begin
  foreach wanted in array array['countersign_owner', 'countersign_audit', 'countersign_guard', 'countersign_auditor', 'countersign_app'] loop
    begin
      execute format('create role %I nologin', wanted);
    exception when duplicate_object or unique_violation then null;
    end;
  end loop;
  -- A login that may create roles but is no superuser must be a member to hand over what it makes.
  foreach wanted in array array['countersign_owner', 'countersign_audit', 'countersign_guard'] loop
    if not pg_has_role(current_user, wanted, 'member') then
      execute format('grant %I to current_user', wanted);
    end if;
  end loop;
end $$;

create schema if not exists countersign;
revoke all on schema countersign from public;
grant usage, create on schema countersign to countersign_owner, countersign_audit, countersign_guard;
grant usage on schema countersign to countersign_app, countersign_auditor;

comment on schema countersign is 'Everything Countersign keeps. countersign_owner owns the working tables, countersign_audit the tables that only grow, countersign_guard the functions that refuse.';
