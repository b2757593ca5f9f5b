-- What only a superuser can add: nobody else changes what the schema of Countersign is made of, its owners included.
--
--   psql -v ON_ERROR_STOP=1 -d countersign -f harden.sql
--
-- The owner of a table may switch its triggers off and drop it; event triggers refuse that, and only a superuser may make or drop
-- event triggers. Safe to run again. Migrations then run as a superuser, or between the two commands at the end of this file and
-- a second run of it.

begin;

create or replace function countersign.refuse_definition() returns event_trigger language plpgsql set search_path = pg_catalog, pg_temp as $$
declare touched record;
begin
  if current_setting('is_superuser') = 'on' then
    return;
  end if;
  if tg_event = 'sql_drop' then
    for touched in select object_identity from pg_event_trigger_dropped_objects() where object_identity ~ '(^|[^a-z_])countersign([.]|$)' loop
      raise exception 'the schema of countersign is not to be changed: dropping % refused', touched.object_identity using errcode = 'insufficient_privilege';
    end loop;
    return;
  end if;
  for touched in select objid, classid, coalesce(object_identity, '') as object_identity, coalesce(schema_name, '') as schema_name from pg_event_trigger_ddl_commands() loop
    -- A grant names no object here: none of those who own anything of countersign may give any of it away.
    if touched.schema_name = 'countersign' or touched.object_identity ~ '(^|[^a-z_])countersign([.]|$)'
       or (tg_tag in ('GRANT', 'REVOKE', 'ALTER DEFAULT PRIVILEGES')
           and (pg_has_role(current_user, 'countersign_owner', 'member') or pg_has_role(current_user, 'countersign_audit', 'member') or pg_has_role(current_user, 'countersign_guard', 'member')))
       -- A table that inherits adds its rows to what is read, past every trigger.
       or (touched.classid = 'pg_class'::regclass
           and exists (select 1 from pg_inherits i join pg_class c on c.oid = i.inhparent where i.inhrelid = touched.objid and c.relnamespace = 'countersign'::regnamespace)) then
      raise exception 'the schema of countersign is not to be changed: % refused', lower(tg_tag) using errcode = 'insufficient_privilege';
    end if;
  end loop;
end $$;
revoke all on function countersign.refuse_definition() from public;

drop event trigger if exists countersign_refuse_definition;
drop event trigger if exists countersign_refuse_drop;
create event trigger countersign_refuse_definition on ddl_command_end execute function countersign.refuse_definition();
create event trigger countersign_refuse_drop on sql_drop execute function countersign.refuse_definition();
alter event trigger countersign_refuse_definition enable always;
alter event trigger countersign_refuse_drop enable always;

commit;

-- To undo:
--   drop event trigger countersign_refuse_definition;
--   drop event trigger countersign_refuse_drop;
