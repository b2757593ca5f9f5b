-- What the database itself refuses: whoever writes, these hold.
-- The functions that read tables name pg_temp last: unnamed it is searched first, and anybody may put a table of any name there.

-- Nothing that records may be changed, removed or emptied.
-- But for one thing: personal text may be erased (below), by the guard's own functions.
create function countersign.refuse_change() returns trigger language plpgsql set search_path = pg_catalog as $$
declare gone text[]; was countersign.audit_event; becomes countersign.audit_event;
begin
  if current_user = 'countersign_guard' and tg_op = 'UPDATE' then
    if tg_table_name = 'audit_event' then
      was := old;
      becomes := new;
      -- Whoever erases: the leaf that the event has, or will have, stays the same, bit by bit.
      select array_agg(e.key) into gone from jsonb_each(becomes.erased) e where e.value ? 'commitment' and not coalesce(was.erased -> e.key ? 'commitment', false);
      if gone is not null and becomes is not distinct from countersign.erased_event(was, gone) and countersign.erases() then
        return new;
      end if;
    elsif countersign.is_erasure(tg_table_name, to_jsonb(old), to_jsonb(new)) then
      return new;
    end if;
  elsif current_user = 'countersign_guard' and tg_op = 'DELETE' and tg_table_name = 'identity' then
    if countersign.erases() then
      return old;
    end if;
  end if;
  raise exception '% is append-only: % refused', tg_table_name, lower(tg_op) using errcode = 'insufficient_privilege';
end $$;

-- Rows of a version are written in the transaction that makes the version, and never after.
create function countersign.refuse_late_part() returns trigger language plpgsql security definer set search_path = pg_catalog, countersign, pg_temp as $$
declare made xid8;
begin
  if tg_table_name in ('access_profile_rule', 'access_profile_condition') then
    select txid into made from access_profile_version where id = new.profile_version_id;
  elsif tg_table_name in ('approval_procedure_step', 'approval_procedure_slot', 'approval_procedure_condition', 'approval_procedure_source') then
    select txid into made from approval_procedure_version where id = new.procedure_version_id;
  elsif tg_table_name = 'separation_rule_role' then
    select txid into made from separation_rule_version where id = new.rule_version_id;
  else
    select txid into made from access_policy_version where id = new.policy_version_id;
  end if;
  if made is distinct from pg_current_xact_id() then
    raise exception 'a version never changes once made: % refused', tg_table_name using errcode = 'insufficient_privilege';
  end if;
  return new;
end $$;

-- A grant cites an approval that the log already holds, of the same request, and is what that request and its policy version allow:
-- for its beneficiary and role and the group behind it, as long as was approved and no longer, after every slot of the procedure.
create function countersign.require_approval() returns trigger language plpgsql security definer set search_path = pg_catalog, countersign, pg_temp as $$
declare proof record; asked record; ruled record;
begin
  select kind, request_id into proof from audit_event where id = new.approval_event_id;
  if not found or proof.request_id is distinct from new.request_id
     or proof.kind not in ('request.approved', 'request.auto_approved') then
    raise exception 'a grant needs the approval that came before it' using errcode = 'check_violation', constraint = 'grant_after_approval';
  end if;
  select r.decision, r.policy_version_id, r.duration_s, coalesce(r.granted_s, r.duration_s) as granted_s, r.extension_of, r.emergency_reason, r.confirmed_at, r.requester_id <> r.beneficiary_id as for_other into asked from request r
    where r.id = new.request_id and r.status = 'approved'
      and r.beneficiary_id = new.beneficiary_id and r.role_id = new.role_id and r.application_id = new.application_id;
  if not found then
    raise exception 'a grant is of an approved request, for its beneficiary and role' using errcode = 'check_violation', constraint = 'grant_of_request';
  end if;
  select case when asked.extension_of is not null then coalesce(v.extension_procedure_version_id, v.procedure_version_id) else v.procedure_version_id end as procedure_version_id,
      case when asked.emergency_reason is not null then least(v.emergency_maximum_s, v.maximum_s)
           when asked.extension_of is not null then least(v.extension_maximum_s, v.maximum_s) else v.maximum_s end as maximum_s, v.indefinite, v.emergency_maximum_s, v.behalf_confirm,
      v.behalf_manager or v.behalf_owner as behalf,
      exists (select 1 from access_policy_rule u where u.policy_version_id = v.id and u.verdict = 'approve') as approves
    into ruled from access_policy_version v where v.id = asked.policy_version_id;
  if (proof.kind = 'request.auto_approved') is distinct from (asked.decision = 'auto_approved')
     or asked.decision = 'auto_approved' and ruled.procedure_version_id is not null and not ruled.approves
        and (asked.emergency_reason is null or ruled.emergency_maximum_s is null)
     or asked.decision = 'needs_approval' and not exists (select 1 from request_slot s where s.request_id = new.request_id) then
    raise exception 'only a policy that says so approves by itself' using errcode = 'check_violation', constraint = 'grant_after_decision';
  end if;
  -- What the request asks is what its procedure says: steps that are always part of it cannot be left out, and no slot asks for less.
  if asked.decision = 'needs_approval' and (
       exists (select 1 from approval_procedure_slot s join approval_procedure_step t on (t.procedure_version_id, t.position) = (s.procedure_version_id, s.step)
         where s.procedure_version_id = ruled.procedure_version_id and not t.conditional and not exists (
           select 1 from request_step q join request_slot l on (l.request_id, l.step_no) = (q.request_id, q.step_no)
           where q.request_id = new.request_id and q.procedure_version_id = s.procedure_version_id and q.procedure_step = s.step
             and l.procedure_slot = s.position and l.approvals = s.approvals))
       or exists (select 1 from request_slot l join request_step q on (q.request_id, q.step_no) = (l.request_id, l.step_no)
         where l.request_id = new.request_id and (
           (select count(*) from approval a where a.request_id = l.request_id and a.step_no = l.step_no and a.slot_no = l.slot_no and a.verdict = 'approve') < l.approvals
           or not exists (select 1 from approval_procedure_slot s
             where (s.procedure_version_id, s.step, s.position) = (q.procedure_version_id, q.procedure_step, l.procedure_slot) and s.approvals = l.approvals)))) then
    raise exception 'a grant needs every slot of its procedure approved' using errcode = 'check_violation', constraint = 'grant_after_every_slot';
  end if;
  if asked.for_other and (not ruled.behalf or ruled.behalf_confirm and asked.confirmed_at is null) then
    raise exception 'what was asked for somebody else is asked by who may, and confirmed where the policy says so' using errcode = 'check_violation', constraint = 'grant_confirmed';
  end if;
  if new.duration_s is distinct from asked.granted_s or new.ends_at is distinct from new.starts_at + make_interval(secs => new.duration_s)
     or asked.duration_s > ruled.maximum_s or (asked.duration_s is null and not ruled.indefinite) then
    raise exception 'a lease is as long as was approved, within its policy' using errcode = 'check_violation', constraint = 'grant_duration';
  end if;
  if not exists (select 1 from target t join role r on r.directory = t.directory and r.group_reference = t.group_reference
                 join person p on p.id = t.person_id and p.reference = t.person_reference and p.directory = t.directory
                 where t.id = new.target_id and t.person_id = new.beneficiary_id and r.id = new.role_id) then
    raise exception 'a grant gives its beneficiary the group of its role' using errcode = 'check_violation', constraint = 'grant_of_target';
  end if;
  if new.approved_at not between clock() - interval '5 minutes' and clock() + interval '5 minutes' then
    raise exception 'a grant is approved now' using errcode = 'check_violation', constraint = 'grant_dated';
  end if;
  return new;
end $$;

-- A request is made now, under the latest version of a policy that governs its role: one bound to the role, else to its application,
-- else to everything.
create function countersign.require_governing() returns trigger language plpgsql security definer set search_path = pg_catalog, countersign, pg_temp as $$
begin
  new.txid := pg_current_xact_id();
  if new.created_at not between clock() - interval '5 minutes' and clock() + interval '5 minutes' then
    raise exception 'a request is made now' using errcode = 'check_violation', constraint = 'request_dated';
  end if;
  if not exists (select 1 from role r where r.id = new.role_id and r.application_id = new.application_id)
     or new.policy_version_id is not null and not exists (
       with bound as (
         select 1 as level, b.policy_id from policy_binding b where b.role_id = new.role_id
         union all select 2, b.policy_id from policy_binding b where b.application_id = new.application_id
         union all select 3, b.policy_id from policy_binding b where b.role_id is null and b.application_id is null)
       select 1 from access_policy_version v join bound on bound.policy_id = v.policy_id
       where v.id = new.policy_version_id and bound.level = (select min(level) from bound)
         and not exists (select 1 from access_policy_version later where later.policy_id = v.policy_id and later.version > v.version)) then
    raise exception 'a request is ruled by the policy that governs its role' using errcode = 'check_violation', constraint = 'request_governed';
  end if;
  return new;
end $$;

-- Steps and slots are written in the transaction that makes their request, and never after.
create function countersign.require_same_transaction() returns trigger language plpgsql security definer set search_path = pg_catalog, countersign, pg_temp as $$
begin
  if not exists (select 1 from request r where r.id = new.request_id and r.txid = pg_current_xact_id()) then
    raise exception 'a request keeps the steps it was made with' using errcode = 'check_violation', constraint = 'made_with_request';
  end if;
  return null;
end $$;

-- A revoked token stays revoked.
create function countersign.refuse_revival() returns trigger language plpgsql set search_path = pg_catalog as $$
begin
  if old.revoked_at is not null and new.revoked_at is distinct from old.revoked_at then
    raise exception 'a revoked token stays revoked' using errcode = 'check_violation', constraint = 'token_revoked';
  end if;
  return new;
end $$;

-- A review of an emergency is made once, of the emergency it was owed for.
create function countersign.refuse_second_review() returns trigger language plpgsql set search_path = pg_catalog as $$
begin
  if current_user = 'countersign_guard' then
    if countersign.is_erasure(tg_table_name, to_jsonb(old), to_jsonb(new)) then
      return new;
    end if;
  end if;
  if (new.request_id, new.beneficiary_id, new.due_at) is distinct from (old.request_id, old.beneficiary_id, old.due_at)
     or old.reviewed_at is not null and (new.reviewed_at, new.reviewed_by, new.verdict, new.comment) is distinct from (old.reviewed_at, old.reviewed_by, old.verdict, old.comment) then
    raise exception 'a review is made once' using errcode = 'check_violation', constraint = 'emergency_reviewed';
  end if;
  return new;
end $$;

-- What a request or grant is about never changes; what has ended stays ended.
create function countersign.refuse_rewrite() returns trigger language plpgsql set search_path = pg_catalog as $$
begin
  if current_user = 'countersign_guard' then
    if countersign.is_erasure(tg_table_name, to_jsonb(old), to_jsonb(new)) then
      return new;
    end if;
  end if;
  if tg_table_name = 'request' then
    if (new.id, new.requester_id, new.beneficiary_id, new.role_id, new.application_id, new.decision, new.deciding_rule, new.inputs, new.inputs_digest, new.trace, new.ask_digest, new.created_at, new.txid, new.channel, new.steps, new.distinct_people, new.fields, new.emergency_reason, new.conflicts, new.supersedes, new.started_by)
         is distinct from (old.id, old.requester_id, old.beneficiary_id, old.role_id, old.application_id, old.decision, old.deciding_rule, old.inputs, old.inputs_digest, old.trace, old.ask_digest, old.created_at, old.txid, old.channel, old.steps, old.distinct_people, old.fields, old.emergency_reason, old.conflicts, old.supersedes, old.started_by)
       or (new.policy_version_id, new.duration_s, new.wanted_start, new.extension_of, new.justification, new.ticket_reference)
         is distinct from (old.policy_version_id, old.duration_s, old.wanted_start, old.extension_of, old.justification, old.ticket_reference) then
      raise exception 'what was submitted is what is approved: it never changes' using errcode = 'check_violation', constraint = 'request_as_submitted';
    end if;
    if old.status not in ('submitted', 'pending', 'needs_info') and new.status is distinct from old.status then
      raise exception 'a closed request stays closed' using errcode = 'check_violation', constraint = 'request_closed';
    end if;
    if old.status <> 'submitted' and new.status = 'submitted' or old.confirmed_at is not null and new.confirmed_at is distinct from old.confirmed_at then
      raise exception 'what was confirmed stays confirmed' using errcode = 'check_violation', constraint = 'request_confirmed';
    end if;
    if new.status = 'approved' and old.status <> 'approved' and exists (select 1 from countersign.request_slot s where s.request_id = new.id
         and (select count(*) from countersign.approval a where a.request_id = s.request_id and a.step_no = s.step_no and a.slot_no = s.slot_no and a.verdict = 'approve') < s.approvals) then
      raise exception 'a request is approved when every slot is' using errcode = 'check_violation', constraint = 'request_after_every_slot';
    end if;
  else
    if (new.id, new.request_id, new.approval_event_id, new.beneficiary_id, new.role_id, new.application_id, new.target_id, new.approved_at, new.duration_s, new.extension_of)
         is distinct from (old.id, old.request_id, old.approval_event_id, old.beneficiary_id, old.role_id, old.application_id, old.target_id, old.approved_at, old.duration_s, old.extension_of) then
      raise exception 'what was granted never changes' using errcode = 'check_violation', constraint = 'grant_as_approved';
    end if;
    if old.ended_at is not null and (new.ended_at, new.end_reason, new.ended_by, new.end_comment, new.ends_at) is distinct from (old.ended_at, old.end_reason, old.ended_by, old.end_comment, old.ends_at)
       or old.end_verified_at is not null and new.end_verified_at is distinct from old.end_verified_at
       or old.status in ('ended', 'failed') and new.status <> old.status
       or old.status = 'revoking' and new.status not in ('revoking', 'ended') then
      raise exception 'ended stays ended' using errcode = 'check_violation', constraint = 'grant_ended';
    end if;
    if new.duration_s is not null and new.ends_at > new.starts_at + make_interval(secs => new.duration_s) then
      raise exception 'a lease is never longer than what was approved' using errcode = 'check_violation', constraint = 'grant_duration';
    end if;
    if old.verified_at is not null and (new.verified_at, new.starts_at, new.granted_at) is distinct from (old.verified_at, old.starts_at, old.granted_at) then
      raise exception 'a lease that has begun keeps its beginning' using errcode = 'check_violation', constraint = 'grant_begun';
    end if;
  end if;
  return new;
end $$;

-- Whose a row is and what it points at in a directory never changes: it could be turned into somebody else's.
create function countersign.refuse_another() returns trigger language plpgsql set search_path = pg_catalog as $$
declare another boolean;
begin
  if current_user = 'countersign_guard' then
    if countersign.is_erasure(tg_table_name, to_jsonb(old), to_jsonb(new)) then
      return new;
    end if;
  end if;
  if tg_table_name = 'person' then
    another := (new.id, new.directory, new.reference) is distinct from (old.id, old.directory, old.reference);
  elsif tg_table_name = 'target' then
    another := (new.id, new.directory, new.person_id, new.person_reference, new.group_reference) is distinct from (old.id, old.directory, old.person_id, old.person_reference, old.group_reference);
    -- Whether it was there before our first lease is what the first look found; said later, it would keep a membership for good.
    -- What was adopted, or is to be removed by name, is ours to take away from then on.
    if new.pre_existing <> old.pre_existing and not (new.pre_existing and old.member is null and new.member is true)
         and not (old.pre_existing and exists (select 1 from countersign.drift d left join countersign.request r on r.id = d.request_id
           where (d.directory, d.group_reference, d.person_reference) = (new.directory, new.group_reference, new.person_reference) and d.resolved_at is null
             and (d.removal_asked_at is not null or r.status = 'approved')))
       or old.member is not null and new.member is null then
      raise exception 'only the first look finds what was there before' using errcode = 'check_violation', constraint = 'target_first_look';
    end if;
  elsif tg_table_name = 'delegation' then
    another := (new.id, new.person_id, new.delegate_id, new.starts_at, new.ends_at, new.reason, new.created_at)
      is distinct from (old.id, old.person_id, old.delegate_id, old.starts_at, old.ends_at, old.reason, old.created_at)
      or old.ended_at is not null and new.ended_at is distinct from old.ended_at;
  elsif tg_table_name = 'drift' then
    another := (new.id, new.directory, new.group_reference, new.person_reference, new.kind, new.detected_at, new.sweep_id)
      is distinct from (old.id, old.directory, old.group_reference, old.person_reference, old.kind, old.detected_at, old.sweep_id)
      or old.resolved_at is not null and (new.resolved_at, new.resolution, new.resolved_by, new.action, new.request_id) is distinct from (old.resolved_at, old.resolution, old.resolved_by, old.action, old.request_id);
  elsif tg_table_name = 'pre_existing_member' then
    another := old.gone_at is not null and new.gone_at is distinct from old.gone_at;
  elsif tg_table_name = 'drift_exception' then
    another := old.ended_at is not null and new.ended_at is distinct from old.ended_at;
  elsif tg_table_name = 'directory_pause' then
    another := old.resumed_at is not null;
  elsif tg_table_name = 'legal_hold' then
    another := old.lifted_at is not null or (new.id, new.person_id, new.request_id, new.reason, new.placed_by, new.placed_at)
      is distinct from (old.id, old.person_id, old.request_id, old.reason, old.placed_by, old.placed_at);
    -- What it kept goes a day after it was lifted: that day is counted from now, whatever anybody says.
    if new.lifted_at is not null and old.lifted_at is null then
      new.lifted_at := countersign.clock();
    end if;
  elsif tg_table_name = 'evidence_schedule' then
    another := (new.id, new.source, new.made_by, new.made_at) is distinct from (old.id, old.source, old.made_by, old.made_at);
  elsif tg_table_name = 'evidence_run' then
    -- What came of it is said once.
    another := old.finished_at is not null or (new.id, new.schedule_id, new.due_at, new.asked_by, new.period_from, new.period_to, new.made_at)
      is distinct from (old.id, old.schedule_id, old.due_at, old.asked_by, old.period_from, old.period_to, old.made_at);
  elsif tg_table_name = 'request_question' then
    another := (new.id, new.request_id, new.step_no, new.asked_by, new.question, new.asked_at) is distinct from (old.id, old.request_id, old.step_no, old.asked_by, old.question, old.asked_at)
      or old.answered_at is not null and (new.answered_by, new.answer, new.answered_at) is distinct from (old.answered_by, old.answer, old.answered_at);
  else
    another := (new.request_id, new.step_no, new.slot_no, new.person_id, new.acting_as, new.acting_for)
      is distinct from (old.request_id, old.step_no, old.slot_no, old.person_id, old.acting_as, old.acting_for);
  end if;
  if another then
    raise exception 'a % never becomes another', tg_table_name using errcode = 'check_violation', constraint = 'never_another';
  end if;
  return new;
end $$;

-- The decider holds a slot of the step that is open, of a request that is open, approves what was submitted, and counts once where
-- the procedure says so.
create function countersign.require_open_step() returns trigger language plpgsql security definer set search_path = pg_catalog, countersign, pg_temp as $$
declare once boolean; own boolean;
begin
  -- Who stands in for somebody decides no more than they could.
  select r.distinct_people, r.started_by is not distinct from new.decided_by or exists (select 1 from assignment a
      where (a.request_id, a.step_no, a.slot_no, a.person_id) = (new.request_id, new.step_no, new.slot_no, new.decided_by) and a.acting_for = r.started_by)
    into once, own from request r where r.id = new.request_id and (r.status = 'pending' or r.status = 'needs_info' and new.verdict = 'deny') and r.step_no = new.step_no and r.ask_digest = new.ask_digest
    and (new.granted_s is null or r.duration_s is null or new.granted_s <= r.duration_s);
  if not found then
    raise exception 'nothing to decide: the request is closed, at another step, or not what was shown' using errcode = 'check_violation', constraint = 'approval_of_open_step';
  end if;
  if own then
    raise exception 'nobody decides on what they started' using errcode = 'check_violation', constraint = 'approval_not_by_oneself';
  end if;
  if once and exists (select 1 from approval a where a.request_id = new.request_id and a.decided_by = new.decided_by) then
    raise exception 'one person counts once' using errcode = 'check_violation', constraint = 'approval_once';
  end if;
  if new.decided_at not between clock() - interval '5 minutes' and clock() + interval '5 minutes' then
    raise exception 'an approval is given now' using errcode = 'check_violation', constraint = 'approval_dated';
  end if;
  return new;
end $$;

-- What is noted of this moment is dated so: files for auditors count hours from these times. The column is the argument.
create function countersign.require_dated() returns trigger language plpgsql set search_path = pg_catalog as $$
begin
  if (to_jsonb(new) ->> tg_argv[0])::timestamptz not between countersign.clock() - interval '5 minutes' and countersign.clock() + interval '5 minutes' then
    raise exception 'a % is dated when it is noted', tg_table_name using errcode = 'check_violation', constraint = 'noted_now';
  end if;
  return new;
end $$;

-- A directory may ask for patience, not for good: work that is owed to it goes on.
create function countersign.cap_wait() returns trigger language plpgsql set search_path = pg_catalog as $$
begin
  new.until := least(new.until, countersign.clock() + interval '1 hour');
  return new;
end $$;
create trigger capped before insert or update on countersign.directory_wait for each row execute function countersign.cap_wait();
alter table countersign.directory_wait enable always trigger capped;

-- Checked at commit: a change of state without its event, of its kind and in the same transaction, never was.
create function countersign.require_event() returns trigger language plpgsql security definer set search_path = pg_catalog, countersign, pg_temp as $$
declare held boolean;
begin
  if tg_table_name = 'request' then
    select exists (select 1 from audit_event where request_id = new.id and txid = pg_current_xact_id() and (kind like 'request.%' or kind = 'approval.given')) into held;
    if held and tg_op = 'UPDATE' then
      -- A confirmation is the beneficiary's own.
      if old.confirmed_at is null and new.confirmed_at is not null then
        select exists (select 1 from audit_event where request_id = new.id and txid = pg_current_xact_id() and kind = 'request.confirmed' and actor_id = new.beneficiary_id) into held;
      end if;
    end if;
  elsif tg_table_name = 'access_grant' then
    select exists (select 1 from audit_event where request_id = new.request_id and txid = pg_current_xact_id() and kind like 'grant.%') into held;
    -- Access that began before anybody was asked leaves a review behind, and somebody who may make it.
    if held and tg_op = 'INSERT' and exists (select 1 from request where id = new.request_id and emergency_reason is not null)
       and not exists (select 1 from emergency_review v join emergency_reviewer r on r.request_id = v.request_id where v.request_id = new.request_id and r.person_id <> v.beneficiary_id) then
      raise exception 'an emergency owes a review' using errcode = 'check_violation', constraint = 'emergency_owes_review';
    end if;
  elsif tg_table_name = 'approval' then
    select exists (select 1 from audit_event where request_id = new.request_id and txid = pg_current_xact_id()
      and kind = case new.verdict when 'approve' then 'approval.given' else 'approval.denied' end) into held;
  elsif tg_table_name in ('assignment', 'request_question') then
    select exists (select 1 from audit_event where request_id = new.request_id and txid = pg_current_xact_id() and (kind like 'request.%' or kind like 'approval.%')) into held;
  elsif tg_table_name = 'emergency_review' then
    select exists (select 1 from audit_event where request_id = new.request_id and txid = pg_current_xact_id() and (kind = 'request.auto_approved' or kind like 'emergency.%')) into held;
  elsif tg_table_name = 'delegation' then
    select exists (select 1 from audit_event where person_id = new.person_id and txid = pg_current_xact_id() and kind like 'delegation.%') into held;
  elsif tg_table_name = 'policy_change' then
    -- What a what-if found, or why a due change still waits, is no act of anybody.
    if tg_op = 'UPDATE' and (new.status, new.approver_id, new.decided_at, new.effective_at, new.applied_at, new.comment, new.changes)
        is not distinct from (old.status, old.approver_id, old.decided_at, old.effective_at, old.applied_at, old.comment, old.changes) then
      return null;
    end if;
    select exists (select 1 from audit_event where txid = pg_current_xact_id() and request_id is null and (kind like 'policy_change.%' or kind like 'catalog.%')) into held;
  elsif tg_table_name in ('drift', 'drift_exception') then
    select exists (select 1 from audit_event where txid = pg_current_xact_id() and request_id is null and kind like 'drift.%') into held;
  elsif tg_table_name in ('managed_group', 'pre_existing_member') then
    -- When a group was read, and how many it had, is no act.
    if tg_table_name = 'managed_group' and tg_op = 'UPDATE' and (to_jsonb(new) - 'members' - 'read_at' - 'believed_at') = (to_jsonb(old) - 'members' - 'read_at' - 'believed_at') then
      return null;
    end if;
    -- Who was there before is declared by the first look alone.
    select exists (select 1 from audit_event where txid = pg_current_xact_id() and request_id is null
      and case when tg_table_name = 'pre_existing_member' and tg_op = 'INSERT' then kind = 'group.imported' else kind like 'group.%' end) into held;
  elsif tg_table_name = 'legal_hold' then
    select exists (select 1 from audit_event where txid = pg_current_xact_id() and (person_id = new.person_id or request_id = new.request_id)
      and kind = case when new.lifted_at is null then 'hold.placed' else 'hold.lifted' end) into held;
  elsif tg_table_name = 'evidence_schedule' then
    -- When it is due next is no act.
    if tg_op = 'UPDATE' and to_jsonb(new) - 'next_at' = to_jsonb(old) - 'next_at' then
      return null;
    end if;
    select exists (select 1 from audit_event where txid = pg_current_xact_id() and request_id is null and data ->> 'schedule' = new.id::text
      and kind in ('evidence.schedule_made', 'evidence.schedule_changed', 'evidence.schedule_switched')) into held;
  elsif tg_table_name = 'evidence_run' then
    -- That it is due the clock says, and how often it was tried is no act; what came of it is told.
    if tg_op = 'INSERT' and new.asked_by is null and new.finished_at is null or tg_op = 'UPDATE' and new.finished_at is null then
      return null;
    end if;
    select exists (select 1 from audit_event where txid = pg_current_xact_id() and request_id is null and data ->> 'run' = new.id::text
      and kind = case when new.finished_at is null then 'evidence.schedule_run_asked' when new.result = 'failed' then 'evidence.scheduled_failed' else 'evidence.scheduled_sent' end) into held;
  elsif tg_table_name = 'directory_pause' then
    select exists (select 1 from audit_event where txid = pg_current_xact_id() and request_id is null
      and kind = case when new.resumed_at is null then 'directory.paused' else 'directory.resumed' end) into held;
  else
    select exists (select 1 from audit_event where txid = pg_current_xact_id() and request_id is null and kind like 'catalog.%') into held;
  end if;
  if not held then
    raise exception '% changed without an event', tg_table_name using errcode = 'check_violation', constraint = 'no_change_without_event';
  end if;
  return null;
end $$;

-- The guard's own functions change nothing but what an erasure may: its event is not of the row's kind.
create function countersign.require_erasure() returns trigger language plpgsql set search_path = pg_catalog as $$
begin
  if not countersign.is_erasure(tg_table_name, to_jsonb(old), to_jsonb(new)) then
    raise exception '% changed without an event', tg_table_name using errcode = 'check_violation', constraint = 'no_change_without_event';
  end if;
  return null;
end $$;

-- Each event waits for its leaf from the moment it exists.
create function countersign.await_leaf() returns trigger language plpgsql security definer set search_path = pg_catalog, countersign, pg_temp as $$
begin
  insert into audit_unsealed select id from fresh;
  return null;
end $$;
create trigger awaits_leaf after insert on countersign.audit_event referencing new table as fresh for each statement execute function countersign.await_leaf();
alter table countersign.audit_event enable always trigger awaits_leaf;

-- Leaves follow one another without a gap.
create function countersign.require_next_leaf() returns trigger language plpgsql security definer set search_path = pg_catalog, countersign, pg_temp as $$
declare lowest bigint; highest bigint; many bigint;
begin
  select min(leaf_index), max(leaf_index), count(*) into lowest, highest, many from fresh;
  if many > 0 and (highest - lowest + 1 <> many or lowest <> coalesce((select max(leaf_index) + 1 from audit_leaf where leaf_index < lowest), 0)) then
    raise exception 'leaves follow one another' using errcode = 'check_violation', constraint = 'leaf_follows';
  end if;
  return null;
end $$;
create trigger follows after insert on countersign.audit_leaf referencing new table as fresh for each statement execute function countersign.require_next_leaf();
alter table countersign.audit_leaf enable always trigger follows;

-- An event stops waiting when it has its leaf, not before.
create function countersign.require_leaf() returns trigger language plpgsql security definer set search_path = pg_catalog, countersign, pg_temp as $$
begin
  if exists (select 1 from gone g where not exists (select 1 from audit_leaf l where l.event_id = g.event_id)) then
    raise exception 'an event waits until it has its leaf' using errcode = 'check_violation', constraint = 'leaf_awaited';
  end if;
  return null;
end $$;
create trigger has_leaf after delete on countersign.audit_unsealed referencing old table as gone for each statement execute function countersign.require_leaf();
alter table countersign.audit_unsealed enable always trigger has_leaf;
create trigger never_changed before update on countersign.audit_unsealed for each row execute function countersign.refuse_change();
create trigger never_emptied before truncate on countersign.audit_unsealed for each statement execute function countersign.refuse_change();
alter table countersign.audit_unsealed enable always trigger never_changed, enable always trigger never_emptied;

do $$
declare t text;
begin
  -- Tables that only grow.
  foreach t in array array['audit_event', 'approval',
      'access_profile_version', 'access_profile_rule', 'access_profile_condition',
      'approval_procedure_version', 'approval_procedure_step', 'approval_procedure_slot',
      'access_policy_version', 'access_policy_condition', 'approval_procedure_condition', 'approval_procedure_source',
      'access_policy_field', 'access_policy_rule', 'separation_rule_version', 'separation_rule_role', 'emergency_reviewer',
      'policy_change_version', 'policy_change_request', 'provisioning_attempt', 'audit_leaf', 'audit_node', 'audit_checkpoint'] loop
    execute format('create trigger only_grows before update or delete on countersign.%I for each row execute function countersign.refuse_change()', t);
    execute format('create trigger never_emptied before truncate on countersign.%I for each statement execute function countersign.refuse_change()', t);
    execute format('alter table countersign.%I enable always trigger only_grows, enable always trigger never_emptied', t);
  end loop;
  -- Tables whose rows are never removed.
  foreach t in array array['request', 'request_step', 'request_slot', 'access_grant', 'role', 'application', 'person', 'identity', 'target',
      'access_policy', 'access_profile', 'approval_procedure', 'separation_rule', 'delegation', 'request_question', 'emergency_review', 'policy_change',
      'drift', 'managed_group', 'pre_existing_member', 'drift_exception', 'directory_pause', 'legal_hold', 'evidence_schedule', 'evidence_run'] loop
    execute format('create trigger never_removed before delete on countersign.%I for each row execute function countersign.refuse_change()', t);
    execute format('create trigger never_emptied before truncate on countersign.%I for each statement execute function countersign.refuse_change()', t);
    execute format('alter table countersign.%I enable always trigger never_removed, enable always trigger never_emptied', t);
  end loop;
  -- A queue entry is settled by closing it; an identity stays with the person it was linked to.
  execute 'create trigger never_changed before update on countersign.identity for each row execute function countersign.refuse_change()';
  execute 'alter table countersign.identity enable always trigger never_changed';
  execute 'create trigger never_changed before update on countersign.request_slot for each row execute function countersign.refuse_change()';
  execute 'alter table countersign.request_slot enable always trigger never_changed';
  execute 'create trigger never_removed before delete on countersign.assignment for each row execute function countersign.refuse_change()';
  execute 'alter table countersign.assignment enable always trigger never_removed';
  execute 'create trigger never_emptied before truncate on countersign.assignment for each statement execute function countersign.refuse_change()';
  execute 'alter table countersign.assignment enable always trigger never_emptied';
  foreach t in array array['person', 'target', 'assignment', 'delegation', 'request_question', 'drift', 'pre_existing_member', 'drift_exception', 'directory_pause', 'legal_hold', 'evidence_schedule', 'evidence_run'] loop
    execute format('create trigger never_another before update on countersign.%I for each row execute function countersign.refuse_another()', t);
    execute format('alter table countersign.%I enable always trigger never_another', t);
  end loop;
  foreach t in array array['access_profile_rule', 'access_profile_condition', 'approval_procedure_step', 'approval_procedure_slot', 'access_policy_condition',
      'approval_procedure_condition', 'approval_procedure_source', 'access_policy_field', 'access_policy_rule', 'separation_rule_role'] loop
    execute format('create trigger not_later before insert on countersign.%I for each row execute function countersign.refuse_late_part()', t);
    execute format('alter table countersign.%I enable always trigger not_later', t);
  end loop;
  foreach t in array array['legal_hold placed_at', 'leaver detected_at', 'mover changed_at', 'drift detected_at', 'pre_existing_member noted_at', 'provisioning_attempt finished_at'] loop
    execute format('create trigger dated before insert on countersign.%I for each row execute function countersign.require_dated(%L)', split_part(t, ' ', 1), split_part(t, ' ', 2));
    execute format('alter table countersign.%I enable always trigger dated', split_part(t, ' ', 1));
  end loop;
  -- Tables whose changes need an event.
  foreach t in array array['request', 'approval', 'access_grant', 'application', 'role', 'policy_binding',
      'access_policy', 'access_policy_version', 'access_profile_version', 'approval_procedure_version', 'separation_rule', 'separation_rule_version',
      'request_question', 'emergency_review', 'delegation', 'policy_change',
      'drift', 'managed_group', 'pre_existing_member', 'drift_exception', 'directory_pause', 'legal_hold', 'evidence_schedule', 'evidence_run'] loop
    -- Who writes is known when it is written, not when it is looked at. An event that erases covers nothing that the application writes.
    execute format('create constraint trigger with_event after insert or update on countersign.%I deferrable initially deferred for each row
      when (current_user <> ''countersign_guard'') execute function countersign.require_event()', t);
    execute format('create trigger only_erased after update on countersign.%I for each row when (current_user = ''countersign_guard'') execute function countersign.require_erasure()', t);
    execute format('alter table countersign.%I enable always trigger with_event, enable always trigger only_erased', t);
  end loop;
end $$;

-- Whom a request asks is part of its story, also when it is said later.
create constraint trigger with_event after insert on countersign.assignment deferrable initially deferred for each row execute function countersign.require_event();
alter table countersign.assignment enable always trigger with_event;
create constraint trigger with_event_gone after delete on countersign.policy_binding deferrable initially deferred for each row execute function countersign.require_event();
alter table countersign.policy_binding enable always trigger with_event_gone;
create trigger after_approval before insert on countersign.access_grant for each row execute function countersign.require_approval();
alter table countersign.access_grant enable always trigger after_approval;
create trigger as_approved before update on countersign.access_grant for each row execute function countersign.refuse_rewrite();
alter table countersign.access_grant enable always trigger as_approved;
create trigger as_submitted before update on countersign.request for each row execute function countersign.refuse_rewrite();
alter table countersign.request enable always trigger as_submitted;
create trigger made_once before update on countersign.emergency_review for each row execute function countersign.refuse_second_review();
alter table countersign.emergency_review enable always trigger made_once;
create trigger of_open_step before insert on countersign.approval for each row execute function countersign.require_open_step();
alter table countersign.approval enable always trigger of_open_step;
create trigger as_governed before insert on countersign.request for each row execute function countersign.require_governing();
alter table countersign.request enable always trigger as_governed;
-- After the statement: one statement writes a request with all its parts, in an order of its own.
create trigger with_request after insert on countersign.request_step for each row execute function countersign.require_same_transaction();
alter table countersign.request_step enable always trigger with_request;
create trigger with_request after insert on countersign.request_slot for each row execute function countersign.require_same_transaction();
alter table countersign.request_slot enable always trigger with_request;
create trigger stays_revoked before update on countersign.api_token for each row execute function countersign.refuse_revival();
alter table countersign.api_token enable always trigger stays_revoked;

-- Erasing what identifies a person (GDPR, article 17) --------------------------------------------------------------------
--
-- The log holds commitments to personal texts, so that a text can go and its leaf stays. What stands against misuse of that:
-- * Nobody has a right to change an event or what records. Four functions do, as the guard whose they are; the application may call
--   them, and each refuses without an event in the same transaction that says who erases what, and which is sealed like any other.
-- * Of an event they take nothing but texts that the leaf holds a commitment to. The trigger makes the erased event itself, from the
--   row that was there, and lets pass exactly that: no other text, time, kind or id, and no commitment but the one in force.
-- * Of other rows only the columns of is_erasure() change, and there to nothing, or to the same text without the names of the person.
--   Which names these are they find themselves; nobody hands them words.
-- * Who works here, left within the hour, has something open, is named by a rule in force, or is told of where something is held for a
--   court, is not erased, whoever asks. A hold counts for a day after it was lifted. By age nothing goes that is younger than 30 days.
-- * Of a rule only what it called somebody goes, never what it asks for: erasing decides nothing anew.
-- Whoever took over the application could erase who has left, and would be found by the event. Whoever owns the database can do
-- anything, and is found by `countersign verify`. A text that was guessed can be held against a commitment only with the salt of its
-- field, which goes with it. What is in backups and in the server's own log of changes goes when those do.

-- Members of an event whose text is personal; the same as in src/evidence/leaf.rs.
create function countersign.personal_members() returns text[] language sql immutable set search_path = pg_catalog as $$
  select array['actor_name', 'name', 'email', 'reason', 'comment', 'question', 'answer', 'note', 'given_by', 'person', 'reference', 'subject', 'justification',
    'rationale', 'error', 'why', 'sentence', 'changes', 'old', 'new', 'source', 'filters']
$$;

-- Every personal text of an event: its pointer (RFC 6901) in the event's line, its path in the payload (null: the actor's name), the member
-- that it is or is an item of, and the text.
create function countersign.personal_texts(actor_name text, data jsonb) returns table (pointer text, path text[], member text, content text)
language sql immutable set search_path = pg_catalog, countersign, pg_temp as $$
  with recursive walk (path, member, value) as (
    select '{}'::text[], null::text, data
    union all
    select w.path || m.step, m.member, m.value from walk w cross join lateral (
      select o.key as step, o.key as member, o.value from jsonb_each(case when jsonb_typeof(w.value) = 'object' then w.value end) o
      union all
      select (a.n - 1)::text, w.member, a.value from jsonb_array_elements(case when jsonb_typeof(w.value) = 'array' then w.value end) with ordinality as a (value, n)) m
  )
  select '/data' || (select string_agg('/' || replace(replace(s.step, '~', '~0'), '/', '~1'), '' order by s.n) from unnest(w.path) with ordinality as s (step, n)),
    w.path, w.member, w.value #>> '{}'
  from walk w where w.member = any (personal_members()) and jsonb_typeof(w.value) = 'string'
  union all
  select '/actor_name', null, 'actor_name', actor_name where actor_name is not null
$$;

-- The event without the texts at `pointers`. For each of these stays its commitment, for every other text the salt of its field; the event's
-- own salt, from which all could be made, goes.
create function countersign.erased_event(was countersign.audit_event, pointers text[]) returns countersign.audit_event
language plpgsql immutable set search_path = pg_catalog, countersign, pg_temp as $$
declare becomes audit_event := was; said jsonb := '{}'; field bytea; t record;
begin
  for t in select * from personal_texts(was.actor_name, was.data) loop
    if coalesce(was.erased -> t.pointer ? 'commitment', false) then
      said := said || jsonb_build_object(t.pointer, was.erased -> t.pointer);
    else
      field := coalesce(decode(was.erased -> t.pointer ->> 'salt', 'hex'), sha256(uuid_send(was.salt) || convert_to(t.pointer, 'UTF8')));
      if t.pointer = any (pointers) then
        said := said || jsonb_build_object(t.pointer, jsonb_build_object('commitment', encode(sha256(field || convert_to(t.content, 'UTF8')), 'hex')));
        if t.path is null then
          becomes.actor_name := '(erased)';
        else
          becomes.data := jsonb_set(becomes.data, t.path, '"(erased)"');
        end if;
      else
        said := said || jsonb_build_object(t.pointer, jsonb_build_object('salt', encode(field, 'hex')));
      end if;
    end if;
  end loop;
  becomes.salt := null;
  becomes.erased := said;
  return becomes;
end $$;

-- Whether this transaction says that it erases.
create function countersign.erases() returns boolean language sql stable set search_path = pg_catalog, countersign, pg_temp as $$
  select exists (select 1 from audit_event where txid = pg_current_xact_id() and request_id is null and kind in ('person.erased', 'retention.applied'))
$$;

-- Whether a row changed only in columns that hold personal text, in a transaction that erases. Who may call what writes it is a matter of rights.
create function countersign.is_erasure(tbl text, was jsonb, becomes jsonb) returns boolean language plpgsql stable set search_path = pg_catalog, countersign, pg_temp as $$
declare texts text[];
begin
  texts := case tbl
    when 'person' then array['user_name', 'email', 'display_name', 'department', 'title', 'employment_type', 'manager_reference', 'attributes', 'groups']
    when 'request' then array['justification', 'ticket_reference', 'fields', 'emergency_reason', 'inputs', 'trace', 'erased_at']
    when 'approval' then array['comment']
    when 'emergency_review' then array['comment']
    when 'request_question' then array['question', 'answer']
    when 'delegation' then array['reason']
    when 'drift_exception' then array['reason']
    when 'directory_pause' then array['reason']
    when 'legal_hold' then array['reason']
    when 'evidence_schedule' then array['name', 'whose_key', 'sent_to']
    when 'evidence_run' then array['sent_to', 'error']
    when 'access_grant' then array['end_comment', 'last_error']
    when 'eligibility_loss' then array['sentence']
    when 'drift' then array['note', 'resolution']
    when 'policy_change' then array['source', 'body', 'changes', 'whatif', 'comment', 'last_error']
    when 'mover' then array['old', 'new']
    when 'provisioning_attempt' then array['detail']
    when 'target' then array['last_error']
    when 'request_slot' then array['source_label']
    when 'approval_procedure_source' then array['source_name']
    when 'access_profile_condition' then array['called']
    when 'approval_procedure_condition' then array['called']
    when 'access_policy_condition' then array['called'] end;
  return texts is not null and was - texts = becomes - texts and erases();
end $$;

-- The names by which texts call a person: login, address, name, subjects at the provider, and whatever the log called them. Which of them are
-- too short to tell from a word, and which somebody else bears too: by those nothing is looked for, only by the person's id.
create function countersign.names_known(who uuid) returns table (name text, short boolean, shared boolean) language plpgsql stable security definer set search_path = pg_catalog, countersign, pg_temp as $$
declare known text[]; others text[];
begin
  select coalesce(array_agg(distinct btrim(s.name)), '{}') into known from (
      select unnest(array[p.user_name, p.email, p.display_name]) as name from person p where p.id = who
      union all select i.subject from identity i where i.person_id = who
      union all select distinct e.actor_name from audit_event e where e.actor_id = who) s
    where btrim(s.name) not in ('', '(erased)', 'true', 'false', 'null');
  -- Also what the log called others: whoever is renamed keeps the name they had.
  select coalesce(array_agg(distinct o.name), '{}') into others from (
    select n.name from unnest(known) as n (name)
      where exists (select 1 from person p where p.id <> who and lower(p.display_name) = lower(n.name))
         or exists (select 1 from person p where p.id <> who and lower(p.user_name) = lower(n.name))
         or exists (select 1 from person p where p.id <> who and lower(p.email) = lower(n.name))
    union all select e.actor_name from audit_event e where e.actor_name = any (known) and e.actor_id <> who) o;
  return query select n.name, length(n.name) < 6 and n.name !~ '[ @]', n.name = any (others) from unnest(known) as n (name) order by n.name;
end $$;

-- The names by which texts are looked for, longest first.
create function countersign.names_of(who uuid) returns text[] language sql stable security definer set search_path = pg_catalog, countersign, pg_temp as $$
  select coalesce(array_agg(n.name order by length(n.name) desc, n.name), '{}') from names_known(who) n where not n.short and not n.shared
$$;

-- A regular expression for any of these names, standing alone; not where it is a member of JSON.
create function countersign.any_of(names text[]) returns text language sql immutable set search_path = pg_catalog as $$
  select coalesce('(?<![[:alnum:]])(?:' || string_agg(regexp_replace(n.name, '([^[:alnum:][:space:]])', '\\\1', 'g'), '|' order by n.at) || ')(?![[:alnum:]])(?!":)', '(?!x)x')
  from (select name, at from unnest(names) with ordinality as u (name, at)
        -- And as JSON writes them.
        union select btrim(to_json(name)::text, '"'), at from unnest(names) with ordinality as u (name, at)) n
$$;

-- A text that somebody wrote: gone when it was theirs or names them.
create function countersign.without_text(content text, theirs boolean, named text) returns text language sql immutable set search_path = pg_catalog as $$
  select case when theirs or content ~* named then '(erased)' else content end where content is not null
$$;
-- A text that the service wrote: the same, without the names.
create function countersign.without_names(content text, named text) returns text language sql immutable set search_path = pg_catalog as $$
  select regexp_replace(content, named, '(erased)', 'gi')
$$;
create function countersign.without_names(content text[], named text) returns text[] language sql immutable set search_path = pg_catalog as $$
  select array(select regexp_replace(c.item, named, '(erased)', 'gi') from unnest(content) with ordinality as c (item, n) order by c.n) where content is not null
$$;
-- What a decision was made from, without what the directory said of the beneficiary but ids and groups.
create function countersign.without_beneficiary(inputs text) returns text language sql immutable set search_path = pg_catalog as $$
  select (i || jsonb_build_object('person', i -> 'person' || '{"user_name": "(erased)", "display_name": "(erased)", "email": null, "attributes": {}, "line": []}'))::text
  from (select inputs::jsonb as i) t
$$;
create function countersign.without_values(trace text) returns text language sql immutable set search_path = pg_catalog as $$
  select coalesce(jsonb_agg(case when t.line -> 'seen' <> '[]' and t.line ->> 'attribute' is distinct from 'groups' then t.line || '{"seen": ["(erased)"]}' else t.line end order by t.n), '[]')::text
  from jsonb_array_elements(trace::jsonb) with ordinality as t (line, n)
$$;

-- The holds that keep something: a day longer than they were in force, so that one that was lifted in haste, or by a thief, is noticed in time.
create function countersign.holding() returns setof countersign.legal_hold language sql stable security definer set search_path = pg_catalog, countersign, pg_temp as $$
  select * from legal_hold h where h.lifted_at is null or h.lifted_at > clock() - interval '1 day'
$$;

-- Whom a hold keeps, and the requests: held themselves, by or for who is held, and those in which they acted.
create function countersign.kept_for_courts(out people uuid[], out requests uuid[]) language plpgsql stable security definer set search_path = pg_catalog, countersign, pg_temp as $$
begin
  select coalesce(array_agg(h.person_id) filter (where h.person_id is not null), '{}'), coalesce(array_agg(h.request_id) filter (where h.request_id is not null), '{}')
    into people, requests from holding() h;
  requests := requests || array(select r.id from request r where r.requester_id = any (people) union select r.id from request r where r.beneficiary_id = any (people)
    union select a.request_id from audit_event a where a.actor_id = any (people) and a.request_id is not null);
  -- Who made a request that is held, and whom it is for, are held with it.
  people := people || array(select unnest(array[r.requester_id, r.beneficiary_id]) from holding() h join request r on r.id = h.request_id);
end $$;

-- Whether somebody left: noticed an hour ago or longer, so that the directory was asked again since. Who was switched off when first seen, and
-- of whom nothing was recorded, never came.
create function countersign.has_left(who uuid) returns boolean language sql stable security definer set search_path = pg_catalog, countersign, pg_temp as $$
  select exists (select 1 from person where id = who and status <> 'active')
    and (exists (select 1 from leaver where person_id = who and returned_at is null and detected_at < clock() - interval '1 hour')
      or not exists (select 1 from leaver where person_id = who) and not exists (select 1 from audit_event where actor_id = who)
        and not exists (select 1 from request where requester_id = who) and not exists (select 1 from request where beneficiary_id = who))
$$;

-- The rules that name a person in what they ask for, each once, and whether it is in force. A name in another attribute than those that say
-- who somebody is counts only where it cannot be a word.
create function countersign.rules_naming(who uuid) returns table (rule text, version int, in_force boolean) language plpgsql stable security definer set search_path = pg_catalog, countersign, pg_temp as $$
declare them text; at_manager text; names text[]; named text; spelled text;
begin
  select p.directory || ':' || p.reference, p.reference into them, at_manager from person p where p.id = who;
  select coalesce(array_agg(lower(n.name)), '{}'), any_of(coalesce(array_agg(n.name) filter (where not n.short and not n.shared), '{}')),
      any_of(coalesce(array_agg(n.name) filter (where not n.shared and n.name ~ '[ @]'), '{}'))
    into names, named, spelled from names_known(who) n;
  return query
  with policy as materialized (
    select v.id, k.key, v.version, v.profile_version_id, v.procedure_version_id, v.extension_procedure_version_id,
      k.retired_at is null and not exists (select 1 from access_policy_version w where w.policy_id = v.policy_id and w.version > v.version) as newest
    from access_policy_version v join access_policy k on k.id = v.policy_id),
  separation as materialized (
    select v.procedure_version_id from separation_rule_version v join separation_rule k on k.id = v.rule_id
    where k.retired_at is null and not exists (select 1 from separation_rule_version w where w.rule_id = v.rule_id and w.version > v.version)),
  version as materialized (
    select p.id, 'policy ' || p.key as rule, p.version, p.newest from policy p
    union all select v.id, 'profile ' || k.key, v.version,
      k.retired_at is null and not exists (select 1 from access_profile_version w where w.profile_id = v.profile_id and w.version > v.version)
        or v.id in (select p.profile_version_id from policy p where p.newest)
      from access_profile_version v join access_profile k on k.id = v.profile_id
    union all select v.id, 'approval procedure ' || k.key, v.version,
      k.retired_at is null and not exists (select 1 from approval_procedure_version w where w.procedure_id = v.procedure_id and w.version > v.version)
        or v.id in (select unnest(array[p.procedure_version_id, p.extension_procedure_version_id]) from policy p where p.newest)
        or v.id in (select s.procedure_version_id from separation s)
      from approval_procedure_version v join approval_procedure k on k.id = v.procedure_id),
  asks as (
    select c.policy_version_id as version_id, c.attribute, c.operator, c."values" from access_policy_condition c
    union all select c.profile_version_id, c.attribute, c.operator, c."values" from access_profile_condition c
    union all select c.procedure_version_id, c.attribute, c.operator, c."values" from approval_procedure_condition c)
  select distinct v.rule, v.version, v.newest from version v join (
    select c.version_id from asks c where case
      when c.operator = 'reports_to' then them = any (c."values")
      when c.operator in ('member_of', 'not_member_of') then false
      when c.attribute in ('user_name', 'display_name', 'email', 'manager') then array_to_string(c."values", ' ') ~* named
        or exists (select 1 from unnest(c."values") as a (value) where lower(btrim(a.value)) = any (names) or c.attribute = 'manager' and a.value = at_manager)
      else array_to_string(c."values", ' ') ~* spelled end
    union all select s.procedure_version_id from approval_procedure_source s where s.source = 'person' and s.source_value = who::text) n on n.version_id = v.id
  order by v.rule, v.version;
end $$;

-- What is held and tells of a person: they themselves, a request, or somebody else of whom something tells of them.
create function countersign.held_about(who uuid) returns setof text language plpgsql stable security definer set search_path = pg_catalog, countersign, pg_temp as $$
declare named text; whom text := who::text;
begin
  -- Most of the time nothing is held.
  if not exists (select 1 from holding()) then
    return;
  end if;
  named := any_of(names_of(who));
  return query
  with held as materialized (select h.*, case when h.lifted_at is null then 'is' else 'was until ' || to_char(h.lifted_at, 'YYYY-MM-DD HH24:MI') end as still from holding() h),
  matter as materialized (
    select distinct on (m.id) m.id, m.placed_at, m.still from (
      select h.request_id as id, h.placed_at, h.still from held h where h.request_id is not null
      union all select r.id, h.placed_at, h.still from held h join request r on r.requester_id = h.person_id where h.person_id <> who
      union all select r.id, h.placed_at, h.still from held h join request r on r.beneficiary_id = h.person_id where h.person_id <> who) m order by m.id, m.placed_at)
  select format('they themselves are held since %s', to_char(min(h.placed_at), 'YYYY-MM-DD')) from held h where h.person_id = who having count(*) > 0
  union all
  select format('the request %s, which %s held since %s, tells of them', m.id, m.still, to_char(m.placed_at, 'YYYY-MM-DD')) from matter m join request r on r.id = m.id
    where who in (r.requester_id, r.beneficiary_id, r.started_by) or concat_ws(' ', r.justification, r.ticket_reference, r.emergency_reason, r.fields, r.inputs, r.trace) ~* named
      or exists (select 1 from assignment a where a.request_id = m.id and who in (a.person_id, a.acting_for))
      or exists (select 1 from emergency_reviewer a where a.request_id = m.id and a.person_id = who)
      or exists (select 1 from access_grant g where g.request_id = m.id and (g.ended_by = who or concat_ws(' ', g.end_comment, g.last_error) ~* named))
      or exists (select 1 from notice n where n.request_id = m.id and (n.person_id = who or n.sentence ~* named))
      or exists (select 1 from audit_event e where e.request_id = m.id
        and (who in (e.actor_id, e.person_id, e.acting_for) or position(whom in e.data::text) > 0 or e.data::text ~* named or e.actor_name ~* named))
  union all
  select format('what is recorded of the person %s, who %s held since %s, tells of them', h.person_id, h.still, to_char(h.placed_at, 'YYYY-MM-DD')) from held h where h.person_id <> who and (
      exists (select 1 from audit_event e where e.person_id = h.person_id and e.request_id is null
        and (who in (e.actor_id, e.acting_for) or position(whom in e.data::text) > 0 or e.data::text ~* named or e.actor_name ~* named))
      or exists (select 1 from audit_event e where e.actor_id = h.person_id and (who in (e.person_id, e.acting_for) or position(whom in e.data::text) > 0 or e.data::text ~* named))
      or exists (select 1 from delegation d where h.person_id in (d.person_id, d.delegate_id) and (who in (d.person_id, d.delegate_id) or d.reason ~* named))
      or exists (select 1 from mover m where m.person_id = h.person_id and array_to_string(m.old || m.new, ' ') ~* named)
      or exists (select 1 from drift d where d.person_id = h.person_id and (who in (d.resolved_by, d.removal_asked_by) or concat_ws(' ', d.note, d.resolution) ~* named))
      or exists (select 1 from notice n where n.person_id = h.person_id and n.sentence ~* named))
  union all
  select format('the hold %s, since %s, is theirs or names them', h.id, to_char(h.placed_at, 'YYYY-MM-DD')) from held h where h.placed_by = who or h.reason ~* named;
end $$;

-- Why a person cannot be erased, each as a part of a sentence. No hold is placed from here on until the transaction is over.
create function countersign.hindrances(who uuid) returns setof text language plpgsql security definer set search_path = pg_catalog, countersign, pg_temp as $$
declare now_active text; named text;
begin
  lock table legal_hold in share row exclusive mode;
  perform 1 from person where id = who for update;
  select p.directory into now_active from person p where p.id = who and p.status = 'active';
  if found then
    return next format('the directory %s says that they are active', now_active);
  elsif not has_left(who) then
    return next 'that they have left was noticed less than an hour ago, or by nobody';
  end if;
  return query select held_about(who);
  return query select format('the %s names them; change it first', n.rule) from rules_naming(who) n where n.in_force;
  if exists (select 1 from policy_change c where c.status in ('proposed', 'approved')) then
    named := any_of(names_of(who));
  end if;
  return query
  select format('a change of the rules that waits since %s names them; settle it first', to_char(c.submitted_at, 'YYYY-MM-DD')) from policy_change c
    where c.status in ('proposed', 'approved') and (position(who::text in c.body) > 0 or concat_ws(' ', c.source, c.body) ~* named)
  union all select format('the application %s is theirs; name another owner', key) from application where owner_id = who and retired_at is null
  union all select format('the role %s/%s is theirs; name another owner', a.key, r.key) from role r join application a on a.id = r.application_id
    where r.owner_id = who and r.retired_at is null
  union all select format(case when count(*) = 1 then '%s access of theirs has not ended' else '%s accesses of theirs have not ended' end, count(*)) from access_grant where beneficiary_id = who and status not in ('ended', 'failed') having count(*) > 0
  union all select format('%s requests by or for them are open', count(*)) from request where who in (requester_id, beneficiary_id) and closed_at is null having count(*) > 0
  union all select format('%s requests still ask them', count(distinct request_id)) from assignment where person_id = who and open having count(*) > 0
  union all select 'an API token of theirs is not revoked' from api_token where person_id = who and revoked_at is null and expires_at > clock() group by person_id;
end $$;

-- What stays of a person when they are erased, each as a part of a sentence.
create function countersign.stays_of(who uuid) returns setof text language sql stable security definer set search_path = pg_catalog, countersign, pg_temp as $$
  select format('the %s v%s asks for them: what was decided under it is judged by it', n.rule, n.version) from rules_naming(who) n where not n.in_force
  union all
  select case when n.shared then format('texts that call them “%s”, as somebody else is called too', n.name)
    else format('texts that call them “%s”, which is too short to tell from a word', n.name) end
    from (select distinct on (lower(k.name)) k.* from names_known(who) k where k.short or k.shared order by lower(k.name), k.name) n
$$;

-- Erases what identifies a person who has left, wherever it is; their ids stay. Returns how many events lost something.
create function countersign.erase_person(who uuid) returns bigint language plpgsql security definer set search_path = pg_catalog, countersign, pg_temp as $$
declare named text; whom text := who::text; e audit_event; gone text[]; events bigint := 0; why text;
begin
  lock table legal_hold in share row exclusive mode;
  perform 1 from person where id = who for update;
  if not has_left(who) then
    raise exception 'only who has left is erased' using errcode = 'check_violation', constraint = 'erased_has_left';
  end if;
  if not exists (select 1 from audit_event where txid = pg_current_xact_id() and kind = 'person.erased' and person_id = who and request_id is null) then
    raise exception 'nobody is erased without an event' using errcode = 'check_violation', constraint = 'erased_with_event';
  end if;
  select string_agg(h, '; ') into why from held_about(who) h;
  if why is not null then
    raise exception 'who is held, or told of where something is held, is not erased: %', why using errcode = 'check_violation', constraint = 'erased_not_held';
  end if;
  select string_agg(h, '; ') into why from hindrances(who) h;
  if why is not null then
    raise exception 'who has something open, or is named by a rule in force, is not erased: %', why using errcode = 'check_violation', constraint = 'erased_nothing_open';
  end if;
  named := any_of(names_of(who));

  -- Also what is new in this transaction: why somebody is erased may name them.
  for e in select * from audit_event a where a.actor_id = who or a.person_id = who or position(whom in a.data::text) > 0
      or a.request_id in (select r.id from request r where r.requester_id = who) or a.data::text ~* named or a.actor_name ~* named order by a.id loop
    select array_agg(t.pointer) into gone from personal_texts(e.actor_name, e.data) t
    where not coalesce(e.erased -> t.pointer ? 'commitment', false) and (
      t.content ~* named and t.member <> 'person'
      or t.member = 'actor_name' and e.actor_id = who
      or t.member in ('name', 'email') and e.data #>> (t.path[:cardinality(t.path) - 1] || 'id'::text) = whom
      or t.member in ('reason', 'comment', 'question', 'answer', 'note', 'given_by', 'reference', 'justification', 'rationale') and e.actor_id = who
      -- What the service did with what they wrote repeats it.
      or t.member in ('reason', 'comment', 'question', 'answer', 'note') and e.actor_kind = 'system'
        and exists (select 1 from request r where r.id = e.request_id and r.requester_id = who)
      or t.member = 'subject' and who in (e.actor_id, e.person_id)
      or t.member = 'name' and e.kind like 'token.%' and who in (e.actor_id, e.person_id)
      or t.member in ('old', 'new') and e.kind = 'person.moved' and e.person_id = who);
    if gone is not null then
      update audit_event a set (actor_name, data, salt, erased) = (select x.actor_name, x.data, x.salt, x.erased from erased_event(e, gone) x) where a.id = e.id;
      events := events + 1;
    end if;
  end loop;

  update request r set
    justification = without_text(justification, requester_id = who, named), ticket_reference = without_text(ticket_reference, requester_id = who, named),
    emergency_reason = without_text(emergency_reason, requester_id = who, named), fields = case when requester_id <> who and fields !~* named then fields end,
    inputs = without_names(case when beneficiary_id = who then without_beneficiary(inputs) else inputs end, named),
    trace = without_names(case when beneficiary_id = who then without_values(trace) else trace end, named), erased_at = clock()
  where who in (requester_id, beneficiary_id) or concat_ws(' ', justification, ticket_reference, emergency_reason, fields, inputs, trace) ~* named;
  update approval set comment = without_text(comment, decided_by = who, named) where decided_by = who or comment ~* named;
  update request_question set question = without_text(question, asked_by = who, named), answer = without_text(answer, coalesce(answered_by = who, false), named)
    where who in (asked_by, answered_by) or question ~* named or answer ~* named;
  update emergency_review set comment = without_text(comment, coalesce(reviewed_by = who, false), named) where reviewed_by = who or comment ~* named;
  update delegation set reason = without_text(reason, person_id = who, named) where person_id = who or reason ~* named;
  update access_grant set end_comment = without_text(end_comment, coalesce(ended_by = who, false), named), last_error = without_names(last_error, named)
    where ended_by = who or end_comment ~* named or last_error ~* named;
  update drift set note = without_text(note, coalesce(who in (resolved_by, removal_asked_by), false), named), resolution = without_names(resolution, named)
    where who in (resolved_by, removal_asked_by) or note ~* named or resolution ~* named;
  update drift_exception set reason = without_text(reason, made_by = who, named) where made_by = who or reason ~* named;
  update directory_pause set reason = without_text(reason, paused_by = who, named) where paused_by = who or reason ~* named;
  update legal_hold set reason = without_text(reason, coalesce(placed_by = who, false), named) where placed_by = who or reason ~* named;
  update evidence_schedule set name = without_names(name, named), whose_key = without_names(whose_key, named), sent_to = without_names(sent_to, named)
    where concat_ws(' ', name, whose_key, array_to_string(sent_to, ' ')) ~* named;
  update evidence_run set sent_to = without_names(sent_to, named), error = without_names(error, named) where concat_ws(' ', sent_to, error) ~* named;
  update policy_change set source = without_names(source, named), body = without_names(body, named), changes = without_names(changes, named),
      whatif = without_names(whatif, named), comment = without_text(comment, coalesce(who in (author_id, approver_id), false), named), last_error = without_names(last_error, named)
    where who in (author_id, approver_id) and comment is not null or concat_ws(' ', source, body, array_to_string(changes, ' '), whatif, comment, last_error) ~* named;
  update policy_finding set sentence = without_names(sentence, named) where sentence ~* named;
  update eligibility_loss set sentence = without_names(sentence, named) where sentence ~* named;
  update mover set old = case when person_id = who then array_fill('(erased)'::text, array[cardinality(old)]) else without_names(old, named) end,
      new = case when person_id = who then array_fill('(erased)'::text, array[cardinality(new)]) else without_names(new, named) end
    where person_id = who or array_to_string(old || new, ' ') ~* named;
  update provisioning_attempt set detail = without_names(detail, named) where detail ~* named;
  update directory_sync set detail = without_names(detail, named) where detail ~* named;
  update target set last_error = without_names(last_error, named) where last_error ~* named;
  update person_recheck set last_error = without_names(last_error, named) where last_error ~* named;
  update timetable set last_error = without_names(last_error, named), detail = without_names(detail, named) where concat_ws(' ', last_error, detail) ~* named;
  update request_slot set source_label = without_names(source_label, named) where source_label ~* named;
  -- Rules of the past name them the same as what was decided by them, so that both still fit together. What a rule asks for stays: requests
  -- and accesses are judged by the version that they began under.
  update approval_procedure_source set source_name = without_names(source_name, named) where source_name ~* named;
  update access_profile_condition set called = without_names(called, named) where array_to_string(called, ' ') ~* named;
  update approval_procedure_condition set called = without_names(called, named) where array_to_string(called, ' ') ~* named;
  update access_policy_condition set called = without_names(called, named) where array_to_string(called, ' ') ~* named;
  -- What people were told of a request quotes what was written in it.
  update notice n set sentence = case when n.sentence ~* named and n.request_id is null and n.person_id <> who then without_names(n.sentence, named) else '(erased)' end
    where n.person_id = who or n.sentence ~* named or n.request_id in (
      select r.id from request r where who in (r.requester_id, r.beneficiary_id) union all select a.request_id from audit_event a where a.actor_id = who and a.request_id is not null);
  update api_token set name = '(erased)' where person_id = who;
  update api_token set name = without_names(name, named) where name ~* named;
  delete from session where person_id = who;
  delete from idempotency_key where owner_id = who or body ~* named;
  delete from identity where person_id = who;
  update person set user_name = '(erased)', email = null, display_name = '(erased)', department = null, title = null, employment_type = null, manager_reference = null,
    attributes = '{}', groups = '{}' where id = who;
  return events;
end $$;

-- Refuses to erase by age what is not old enough, or what no event of this transaction says. No hold is placed from here on until it is over.
create function countersign.require_age(kept text, before timestamptz) returns void language plpgsql security definer set search_path = pg_catalog, countersign, pg_temp as $$
begin
  lock table legal_hold in share row exclusive mode;
  if not exists (select 1 from audit_event where txid = pg_current_xact_id() and kind = 'retention.applied' and request_id is null
      and data ->> 'what' = kept and (data ->> 'before')::timestamptz = before) then
    raise exception 'nothing is erased without an event' using errcode = 'check_violation', constraint = 'erased_with_event';
  end if;
  -- Clocks differ a little.
  if before is null or before > clock() - interval '30 days' + interval '5 minutes' then
    raise exception 'what is younger than 30 days is not erased by age' using errcode = 'check_violation', constraint = 'erased_old_enough';
  end if;
end $$;

-- Erases what was written in requests that closed before `before`, at most `most` of them; names and what was decided stay. A request whose
-- access lives on, that is held, or in which somebody acted who is, is left alone.
create function countersign.erase_requests(before timestamptz, most int) returns int language plpgsql security definer set search_path = pg_catalog, countersign, pg_temp as $$
declare ids uuid[]; e audit_event; gone text[]; people uuid[]; requests uuid[];
begin
  perform require_age('requests', before);
  select h.people, h.requests into people, requests from kept_for_courts() h;
  select array_agg(t.id) into ids from (
    select r.id from request r where r.closed_at < before and r.erased_at is null
      and not exists (select 1 from access_grant g where g.request_id = r.id and (g.status not in ('ended', 'failed') or g.ended_at >= before))
      and r.id <> all (requests)
    order by r.closed_at, r.id limit most for update of r) t;
  for e in select * from audit_event a where a.request_id = any (ids) order by a.id loop
    select array_agg(t.pointer) into gone from personal_texts(e.actor_name, e.data) t
    where t.member in ('reason', 'comment', 'question', 'answer', 'note', 'given_by', 'reference', 'justification', 'rationale')
      and not coalesce(e.erased -> t.pointer ? 'commitment', false);
    if gone is not null then
      update audit_event a set (actor_name, data, salt, erased) = (select x.actor_name, x.data, x.salt, x.erased from erased_event(e, gone) x) where a.id = e.id;
    end if;
  end loop;
  update request set justification = without_text(justification, true, ''), ticket_reference = without_text(ticket_reference, true, ''),
    emergency_reason = without_text(emergency_reason, true, ''), fields = null, inputs = without_beneficiary(inputs), trace = without_values(trace), erased_at = clock()
    where id = any (ids);
  update approval set comment = '(erased)' where request_id = any (ids) and comment is not null;
  update request_question set question = '(erased)', answer = without_text(answer, true, '') where request_id = any (ids);
  update emergency_review set comment = '(erased)' where request_id = any (ids) and comment is not null;
  update access_grant set end_comment = '(erased)' where request_id = any (ids) and end_comment is not null;
  return coalesce(cardinality(ids), 0);
end $$;

-- Erases who signed in, out, or was not let in, from events before `before`, at most `most` of them; ids stay. Of who is held nothing goes.
create function countersign.erase_sign_ins(before timestamptz, most int) returns int language plpgsql security definer set search_path = pg_catalog, countersign, pg_temp as $$
declare e audit_event; many int := 0; people uuid[];
begin
  perform require_age('sign_ins', before);
  select h.people into people from kept_for_courts() h;
  for e in select * from audit_event a where a.kind in ('session.started', 'session.refused', 'session.ended', 'token.used') and a.occurred_at < before
      and a.erased is null and (a.actor_name is not null or a.kind = 'session.refused')
      and not coalesce(a.actor_id = any (people) or a.person_id = any (people), false)
      order by a.id limit most loop
    update audit_event a set (actor_name, data, salt, erased) = (
      select x.actor_name, x.data, x.salt, x.erased
      from erased_event(e, array(select t.pointer from personal_texts(e.actor_name, e.data) t where t.member in ('actor_name', 'subject', 'name'))) x)
      where a.id = e.id;
    many := many + 1;
  end loop;
  return many;
end $$;

-- Removes what people were told before `before`, at most `most` of it.
create function countersign.forget_notices(before timestamptz, most int) returns int language plpgsql security definer set search_path = pg_catalog, countersign, pg_temp as $$
declare many int; people uuid[]; requests uuid[];
begin
  perform require_age('notices', before);
  select h.people, h.requests into people, requests from kept_for_courts() h;
  delete from notice n where n.id in (
    select o.id from notice o where o.created_at < before
      and o.person_id <> all (people) and (o.request_id is null or o.request_id <> all (requests)) order by o.id limit most);
  get diagnostics many = row_count;
  return many;
end $$;


-- Who owns and who may do what --------------------------------------------------------------------------------------

-- The application: reads, adds, and changes exactly the columns that its work changes.
grant select on all tables in schema countersign to countersign_app;
grant insert, update on countersign.application, countersign.role, countersign.timetable, countersign.worker, countersign.directory_wait to countersign_app;
-- Drift, groups, tries and pauses.
grant insert on countersign.drift, countersign.managed_group, countersign.pre_existing_member, countersign.drift_exception, countersign.provisioning_attempt, countersign.directory_pause to countersign_app;
grant update (person_id, through, through_name, action, request_id, adoption_over_at, removal_asked_at, removal_asked_by, note, resolved_at, resolved_by, resolution, event_first, event_last) on countersign.drift to countersign_app;
grant update (members, read_at, stopped_at, stopped_why, stopped_people, believed_at) on countersign.managed_group to countersign_app;
grant update (gone_at) on countersign.pre_existing_member to countersign_app;
grant update (ended_at) on countersign.drift_exception to countersign_app;
grant update (resumed_by, resumed_at) on countersign.directory_pause to countersign_app;
grant insert, delete on countersign.measure to countersign_app;
grant insert, update on countersign.measure_day to countersign_app;
grant insert on countersign.person to countersign_app;
grant update (user_name, email, display_name, status, department, title, employment_type, manager_reference, attributes, groups, seen_at) on countersign.person to countersign_app;
grant insert on countersign.identity, countersign.access_profile, countersign.approval_procedure, countersign.access_policy to countersign_app;
grant update (retired_at) on countersign.access_profile, countersign.approval_procedure, countersign.access_policy to countersign_app;
grant insert, update, delete on countersign.idempotency_key, countersign.policy_binding to countersign_app;
grant insert, delete on countersign.session to countersign_app;
grant update (seen_at, idle_until) on countersign.session to countersign_app;
grant insert, delete on countersign.sign_in_attempt to countersign_app;
grant insert, delete on countersign.logout_token to countersign_app;
grant delete on countersign.worker to countersign_app;
grant insert on countersign.api_token to countersign_app;
grant update (last_used_at, revoked_at) on countersign.api_token to countersign_app;
grant insert (id, profile_id, version, name, digest, created_at) on countersign.access_profile_version to countersign_app;
grant insert on countersign.access_profile_rule, countersign.access_profile_condition to countersign_app;
grant insert (id, procedure_id, version, name, distinct_people, reassign, digest, created_at) on countersign.approval_procedure_version to countersign_app;
grant insert on countersign.approval_procedure_step, countersign.approval_procedure_slot, countersign.approval_procedure_condition, countersign.approval_procedure_source to countersign_app;
grant insert (id, policy_id, version, name, profile_version_id, procedure_version_id, recommended_s, minimum_s, maximum_s, choices_s, indefinite,
  justification_required, justification_minimum, justification_pattern, justification_says, ticket_required, ticket_minimum, ticket_pattern, ticket_says, future_start_s,
  extension, extension_maximum_s, extension_last_percent, extension_most, extension_procedure_version_id, behalf_manager, behalf_owner, behalf_confirm,
  emergency_maximum_s, emergency_review_s, comment_to_deny, eligibility_grace_s, digest, created_at, created_by) on countersign.access_policy_version to countersign_app;
grant insert on countersign.access_policy_condition, countersign.access_policy_field, countersign.access_policy_rule to countersign_app;
grant insert, update (retired_at) on countersign.separation_rule to countersign_app;
grant insert (id, rule_id, version, name, procedure_version_id, digest, created_at) on countersign.separation_rule_version to countersign_app;
grant insert on countersign.separation_rule_role to countersign_app;
grant insert, delete on countersign.policy_finding to countersign_app;
grant insert, update (resolved_at, outcome, request_id) on countersign.separation_finding to countersign_app;
grant insert, update (status, approver_id, decided_at, comment, applied_at, last_error, effective_at, whatif) on countersign.policy_change to countersign_app;
grant insert on countersign.policy_change_version, countersign.policy_change_request to countersign_app;
grant insert, update (ended_at) on countersign.delegation to countersign_app;
grant insert, update (answered_by, answer, answered_at) on countersign.request_question to countersign_app;
grant insert, update (seen_at) on countersign.notice to countersign_app;
grant insert, update (reviewed_by, reviewed_at, verdict, comment, overdue_told_at) on countersign.emergency_review to countersign_app;
grant insert on countersign.emergency_reviewer to countersign_app;
-- Neither id nor time nor transaction of an event is the application's to choose.
grant insert (kind, actor_kind, actor_id, actor_name, acting_for, token_id, channel, request_id, grant_id, person_id, role_id, application_id, policy_version_id, data) on countersign.audit_event to countersign_app;
-- The sealer's: leaves, nodes and checkpoints are added; an event with its leaf waits no longer.
grant insert on countersign.audit_leaf, countersign.audit_node to countersign_app;
grant insert (size, root, note, signed_at) on countersign.audit_checkpoint to countersign_app;
grant delete on countersign.audit_unsealed to countersign_app;
grant insert on countersign.request to countersign_app;
grant update (status, step_no, step_due_at, step_left_s, remind_at, escalated, nudged_at, confirmed_at, granted_s, closed_at, close_category) on countersign.request to countersign_app;
grant insert on countersign.request_step, countersign.request_slot, countersign.assignment to countersign_app;
grant update (opened_at, done_at) on countersign.request_step to countersign_app;
grant update (assigned_at, first_viewed_at, open, ended_at) on countersign.assignment to countersign_app;
grant insert on countersign.approval to countersign_app;
grant insert on countersign.access_grant to countersign_app;
grant update (status, starts_at, ends_at, provisioning_started_at, granted_at, verified_at, ended_at, end_verified_at, end_reason, ended_by, end_comment, attempts, last_error, no_extension, confirmed, confirmed_at) on countersign.access_grant to countersign_app;
grant insert (id, directory, person_id, person_reference, group_reference, wanted, done_gen, next_at, owed_since) on countersign.target to countersign_app;
grant update (person_id, wanted, gen, done_gen, next_at, owed_since, fails, lease_until, lease_token, verify_at, member, member_seen_at, pre_existing, last_error) on countersign.target to countersign_app;

revoke all on countersign.app_login from countersign_app;

-- The auditor reads everything but what would let them sign in as somebody.
grant select on all tables in schema countersign to countersign_auditor;
revoke select on countersign.session, countersign.sign_in_attempt, countersign.api_token, countersign.idempotency_key, countersign.app_login from countersign_auditor;

-- The life of people: what is found is written once, with its event, and never removed.
create function countersign.require_life_event() returns trigger language plpgsql security definer set search_path = pg_catalog, countersign, pg_temp as $$
declare held boolean;
begin
  if tg_table_name = 'eligibility_loss' then
    select exists (select 1 from audit_event where request_id = new.request_id and txid = pg_current_xact_id() and grant_id = new.grant_id and kind like 'grant.eligibility%') into held;
  else
    select exists (select 1 from audit_event where id = new.event_id and txid = pg_current_xact_id() and person_id = new.person_id
      and kind = case tg_table_name when 'mover' then 'person.moved' else 'person.changed' end) into held;
  end if;
  if not held then
    raise exception '% changed without an event', tg_table_name using errcode = 'check_violation', constraint = 'no_change_without_event';
  end if;
  -- Who works here did not leave.
  if tg_table_name = 'leaver' then
    if not exists (select 1 from person where id = new.person_id and status <> 'active') then
      raise exception 'who is active did not leave' using errcode = 'check_violation', constraint = 'left_not_active';
    end if;
  end if;
  return null;
end $$;
create function countersign.refuse_other_life() returns trigger language plpgsql set search_path = pg_catalog as $$
declare another boolean;
begin
  if current_user = 'countersign_guard' then
    if countersign.is_erasure(tg_table_name, to_jsonb(old), to_jsonb(new)) then
      return new;
    end if;
  end if;
  if tg_table_name = 'leaver' then
    another := (new.id, new.person_id, new.status, new.deactivated_at, new.detected_at, new.grants_at_detection, new.sla_hours, new.event_id)
      is distinct from (old.id, old.person_id, old.status, old.deactivated_at, old.detected_at, old.grants_at_detection, old.sla_hours, old.event_id)
      or old.settled_at is not null and new.settled_at is distinct from old.settled_at or new.requests_closed < old.requests_closed
      or old.returned_at is not null and new.returned_at is distinct from old.returned_at;
  elsif tg_table_name = 'eligibility_loss' then
    another := (new.id, new.grant_id, new.request_id, new.mover_id, new.policy_version_id, new.rule, new.sentence, new.found_at, new.due_at)
      is distinct from (old.id, old.grant_id, old.request_id, old.mover_id, old.policy_version_id, old.rule, old.sentence, old.found_at, old.due_at)
      or old.resolved_at is not null;
  else
    another := true;
  end if;
  if another then
    raise exception 'what was found of a % never changes', tg_table_name using errcode = 'check_violation', constraint = 'never_another';
  end if;
  return new;
end $$;
do $$
declare t text;
begin
  foreach t in array array['leaver', 'mover', 'eligibility_loss'] loop
    execute format('create trigger never_removed before delete on countersign.%I for each row execute function countersign.refuse_change()', t);
    execute format('create trigger never_emptied before truncate on countersign.%I for each statement execute function countersign.refuse_change()', t);
    execute format('create trigger never_another before update on countersign.%I for each row execute function countersign.refuse_other_life()', t);
    execute format('create constraint trigger with_event after insert on countersign.%I deferrable initially deferred for each row execute function countersign.require_life_event()', t);
    execute format('alter table countersign.%I enable always trigger never_removed, enable always trigger never_emptied, enable always trigger never_another, enable always trigger with_event', t);
  end loop;
end $$;
create constraint trigger with_event_resolved after update on countersign.eligibility_loss deferrable initially deferred for each row
  when (current_user <> 'countersign_guard' and new.resolution in ('revoked', 'restored')) execute function countersign.require_life_event();
alter table countersign.eligibility_loss enable always trigger with_event_resolved;
-- Who is active again is back, whoever says so: what they left behind by leaving counts no more.
create function countersign.note_return() returns trigger language plpgsql security definer set search_path = pg_catalog, countersign, pg_temp as $$
begin
  update leaver set returned_at = clock() where person_id = new.id and returned_at is null;
  return null;
end $$;
create trigger returns after update on countersign.person for each row when (old.status <> 'active' and new.status = 'active') execute function countersign.note_return();
alter table countersign.person enable always trigger returns;
grant insert, update on countersign.directory_sync, countersign.directory_subscription, countersign.directory_group to countersign_app;
grant insert, update, delete on countersign.person_recheck to countersign_app;
grant insert on countersign.leaver, countersign.mover, countersign.eligibility_loss to countersign_app;
grant update (requests_closed, next_at, fails, settled_at) on countersign.leaver to countersign_app;
grant update (returned_at) on countersign.leaver to countersign_guard;
grant update (next_at, resolved_at, resolution) on countersign.eligibility_loss to countersign_app;

-- Schedules are made, changed and switched; runs are tried until something came of them.
grant insert, update (name, what, mode, whose, application_id, role_id, person_id, whose_key, period, every, on_day, at_minute, place, sent_to, is_on, changed_at, next_at) on countersign.evidence_schedule to countersign_app;
grant insert, update (started_at, tries, next_at, lease_until, lease_token, finished_at, result, file, bytes, sha256, sent_to, error) on countersign.evidence_run to countersign_app;

-- Holds are placed and lifted; what erases is called, and refuses by itself.
grant insert, update (lifted_by, lifted_at) on countersign.legal_hold to countersign_app;
-- What the erasing functions read, and the texts that they take away.
grant select on all tables in schema countersign to countersign_guard;
revoke select on countersign.app_login, countersign.sign_in_attempt from countersign_guard;
grant update (actor_name, data, salt, erased) on countersign.audit_event to countersign_guard;
grant update (user_name, email, display_name, department, title, employment_type, manager_reference, attributes, groups) on countersign.person to countersign_guard;
grant update (justification, ticket_reference, fields, emergency_reason, inputs, trace, erased_at) on countersign.request to countersign_guard;
grant update (comment) on countersign.approval, countersign.emergency_review to countersign_guard;
grant update (question, answer) on countersign.request_question to countersign_guard;
grant update (reason) on countersign.delegation, countersign.drift_exception, countersign.directory_pause, countersign.legal_hold to countersign_guard;
-- So that it may lock the table; a trigger keeps every row.
grant delete on countersign.legal_hold to countersign_guard;
grant update (end_comment, last_error) on countersign.access_grant to countersign_guard;
grant update (name, whose_key, sent_to) on countersign.evidence_schedule to countersign_guard;
grant update (sent_to, error) on countersign.evidence_run to countersign_guard;
grant update (sentence) on countersign.notice, countersign.policy_finding, countersign.eligibility_loss to countersign_guard;
grant update (note, resolution) on countersign.drift to countersign_guard;
grant update (source, body, changes, whatif, comment, last_error) on countersign.policy_change to countersign_guard;
grant update (old, new) on countersign.mover to countersign_guard;
grant update (detail) on countersign.provisioning_attempt, countersign.directory_sync to countersign_guard;
grant update (last_error) on countersign.target, countersign.person_recheck to countersign_guard;
grant update (last_error, detail) on countersign.timetable to countersign_guard;
grant update (source_label) on countersign.request_slot to countersign_guard;
grant update (source_name) on countersign.approval_procedure_source to countersign_guard;
grant update (called) on countersign.access_profile_condition, countersign.approval_procedure_condition, countersign.access_policy_condition to countersign_guard;
grant update (name) on countersign.api_token to countersign_guard;
grant delete on countersign.session, countersign.identity, countersign.idempotency_key, countersign.notice to countersign_guard;

-- The guard functions read what they check, and write down which events wait.
grant insert on countersign.audit_unsealed to countersign_guard;
grant select on countersign.audit_leaf to countersign_guard;
grant select on countersign.audit_event, countersign.request, countersign.approval, countersign.approval_procedure_slot, countersign.approval_procedure_step, countersign.access_policy_rule, countersign.request_step, countersign.request_slot, countersign.separation_rule_version, countersign.target, countersign.role, countersign.person, countersign.policy_binding, countersign.emergency_review, countersign.emergency_reviewer,
  countersign.access_profile_version, countersign.approval_procedure_version, countersign.access_policy_version to countersign_guard;

do $$
declare r record;
begin
  for r in select c.relname, c.relkind from pg_class c join pg_namespace n on n.oid = c.relnamespace
           where n.nspname = 'countersign' and c.relkind = 'r' loop
    execute format('alter table countersign.%I owner to %I', r.relname,
      case when r.relname in ('audit_event', 'audit_leaf', 'audit_node', 'audit_checkpoint', 'approval', 'access_profile_version', 'access_profile_rule', 'access_profile_condition',
        'approval_procedure_version', 'approval_procedure_step', 'approval_procedure_slot', 'access_policy_version', 'access_policy_condition',
        'approval_procedure_condition', 'approval_procedure_source', 'access_policy_field', 'access_policy_rule', 'separation_rule_version', 'separation_rule_role', 'emergency_reviewer', 'policy_change_version', 'policy_change_request', 'provisioning_attempt')
      then 'countersign_audit' else 'countersign_owner' end);
  end loop;
  for r in select p.oid::regprocedure as f from pg_proc p join pg_namespace n on n.oid = p.pronamespace where n.nspname = 'countersign' loop
    execute format('alter function %s owner to countersign_guard', r.f);
    execute format('revoke all on function %s from public', r.f);
    -- What they look up is found by its key: one plan serves, and planning again for each row takes longer than the looking.
    if r.f <> 'countersign.clock()'::regprocedure then
      execute format('alter function %s set plan_cache_mode = force_generic_plan', r.f);
    end if;
  end loop;
end $$;
grant execute on function countersign.erase_person(uuid), countersign.erase_requests(timestamptz, int), countersign.erase_sign_ins(timestamptz, int),
  countersign.forget_notices(timestamptz, int), countersign.hindrances(uuid), countersign.stays_of(uuid), countersign.holding() to countersign_app;
grant execute on function countersign.clock() to countersign_app, countersign_owner, countersign_audit, countersign_auditor;
-- Handing over is done: only the functions stay with the guard, and nobody makes anything here but the owner's migrations.
revoke create on schema countersign from countersign_audit, countersign_guard, countersign_owner;
-- Foreign keys from one owner's tables to another's are checked as the owner of the table looked into.
grant references, select on all tables in schema countersign to countersign_owner, countersign_audit;
