-- Optional, as a superuser of the database: what only event triggers can refuse.
--
--   psql "$SUPERUSER_URL" -f config/harden.sql
--
-- From then on nobody but a superuser in a session that says so may change the structure of Countersign's schema:
--   set countersign.maintenance = 'yes';   -- for a migration; `countersign migrate` run as this superuser sets it
-- `countersign doctor` says whether these are there.

create or replace function countersign.refuse_structure() returns event_trigger language plpgsql set search_path = pg_catalog as $$
declare hit record;
begin
  if coalesce(current_setting('countersign.maintenance', true), '') = 'yes' and (select rolsuper from pg_roles where rolname = session_user) then
    return;
  end if;
  if tg_event = 'sql_drop' then
    for hit in select object_identity from pg_event_trigger_dropped_objects() where schema_name = 'countersign' and not is_temporary loop
      raise exception 'the structure of countersign is not changed like this: % refused on %', tg_tag, hit.object_identity using errcode = 'insufficient_privilege';
    end loop;
  else
    for hit in select object_identity from pg_event_trigger_ddl_commands() where schema_name = 'countersign' loop
      raise exception 'the structure of countersign is not changed like this: % refused on %', tg_tag, hit.object_identity using errcode = 'insufficient_privilege';
    end loop;
  end if;
end $$;

drop event trigger if exists countersign_structure;
drop event trigger if exists countersign_drop;
create event trigger countersign_structure on ddl_command_end execute function countersign.refuse_structure();
create event trigger countersign_drop on sql_drop execute function countersign.refuse_structure();
