-- Optional, as a superuser of the database: what only event triggers can refuse.
--
--   psql -v ON_ERROR_STOP=1 -f config/harden.sql "$SUPERUSER_URL"
--
-- The owner of a table may switch its triggers off, give rights on it away and drop it. From here on nobody but a superuser in a
-- session that says so may change the structure of Countersign's schema:
--   set countersign.maintenance = 'yes';   -- for a migration; `countersign migrate` run as this superuser sets it
-- `countersign doctor` says whether these are there. Safe to run again.

begin;
set local countersign.maintenance = 'yes';

create or replace function countersign.refuse_definition() returns event_trigger language plpgsql set search_path = pg_catalog, pg_temp as $$
declare hit record;
begin
  if coalesce(current_setting('countersign.maintenance', true), '') = 'yes' and (select rolsuper from pg_roles where rolname = session_user) then
    return;
  end if;
  -- What hangs on a table (a trigger, a rule, a policy) has no schema of its own; its identity names the table's.
  if tg_event = 'sql_drop' then
    for hit in select object_identity from pg_event_trigger_dropped_objects()
               where schema_name = 'countersign' and not is_temporary or object_identity ~ '(^|[^a-z_.])countersign([.]|$)' loop
      raise exception 'the structure of countersign is not changed like this: % refused on %', tg_tag, hit.object_identity using errcode = 'insufficient_privilege';
    end loop;
    return;
  end if;
  for hit in select classid, objid, coalesce(object_identity, '') as object_identity, coalesce(schema_name, '') as schema_name from pg_event_trigger_ddl_commands() loop
    if hit.schema_name = 'countersign' or hit.object_identity ~ '(^|[^a-z_.])countersign([.]|$)'
       -- A grant names no object here: whoever owns anything of countersign gives nothing away.
       or tg_tag in ('GRANT', 'REVOKE', 'ALTER DEFAULT PRIVILEGES')
          and (pg_has_role(current_user, 'countersign_owner', 'member') or pg_has_role(current_user, 'countersign_audit', 'member') or pg_has_role(current_user, 'countersign_guard', 'member'))
       -- A table that inherits adds its rows to what is read, past every trigger.
       or hit.classid = 'pg_class'::regclass
          and exists (select 1 from pg_inherits i join pg_class c on c.oid = i.inhparent where i.inhrelid = hit.objid and c.relnamespace = 'countersign'::regnamespace) then
      raise exception 'the structure of countersign is not changed like this: % refused on %', tg_tag, hit.object_identity using errcode = 'insufficient_privilege';
    end if;
  end loop;
end $$;
revoke all on function countersign.refuse_definition() from public;

drop event trigger if exists countersign_refuse_definition;
drop event trigger if exists countersign_refuse_drop;
create event trigger countersign_refuse_definition on ddl_command_end execute function countersign.refuse_definition();
create event trigger countersign_refuse_drop on sql_drop execute function countersign.refuse_definition();
-- Also in a session that replays as a replica does.
alter event trigger countersign_refuse_definition enable always;
alter event trigger countersign_refuse_drop enable always;

commit;
