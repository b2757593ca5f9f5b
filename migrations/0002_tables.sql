-- The tables. Columns that are not plain from their name carry a comment at the end of the file.

-- The clock of every row that the database dates by itself.
create function countersign.clock() returns timestamptz language sql volatile as 'select pg_catalog.clock_timestamp()';

-- People, and how they come in ------------------------------------------------------------------------------------

create table countersign.person (
  id                uuid primary key,
  directory         text not null check (directory <> ''),
  reference         text not null check (reference <> ''),
  user_name         text not null,
  email             text check (email <> ''),
  display_name      text not null,
  status            text not null check (status in ('active', 'disabled', 'gone')),
  department        text check (department <> ''),
  title             text check (title <> ''),
  employment_type   text check (employment_type <> ''),
  manager_reference text check (manager_reference <> ''),
  attributes        jsonb not null default '{}',
  groups            text[] not null default '{}',
  seen_at           timestamptz not null,
  unique (directory, reference)
);
create index person_by_name on countersign.person (lower(display_name) text_pattern_ops);
create index person_by_user_name on countersign.person (lower(user_name) text_pattern_ops);
create index person_by_email on countersign.person (lower(email));
create index person_by_manager on countersign.person (directory, manager_reference);

create table countersign.identity (
  issuer    text not null,
  subject   text not null check (subject <> ''),
  person_id uuid not null references countersign.person,
  linked_at timestamptz not null,
  primary key (issuer, subject),
  -- A second account that claims to be somebody is not them.
  constraint identity_one_account unique (issuer, person_id)
);
create index identity_by_person on countersign.identity (person_id);

create table countersign.session (
  id         uuid primary key,
  token_hash bytea not null unique check (length(token_hash) = 32),
  person_id  uuid not null references countersign.person,
  issuer     text not null,
  subject    text not null,
  sid        text,
  id_token   text,
  auth_time  timestamptz,
  created_at timestamptz not null,
  seen_at    timestamptz not null,
  idle_until timestamptz not null,
  expires_at timestamptz not null,
  user_agent text,
  address    text
);
create index session_by_person on countersign.session (person_id);
create index session_by_expiry on countersign.session (expires_at);

create table countersign.sign_in_attempt (
  state_hash    bytea primary key,
  browser_hash  bytea not null,
  nonce         text not null,
  pkce_verifier text not null,
  next          text not null,
  created_at    timestamptz not null,
  expires_at    timestamptz not null
);
create index sign_in_attempt_by_expiry on countersign.sign_in_attempt (expires_at);

create table countersign.api_token (
  id           uuid primary key,
  token_hash   bytea not null unique check (length(token_hash) = 32),
  person_id    uuid not null references countersign.person,
  name         text not null check (name <> ''),
  scopes       text[] not null,
  created_at   timestamptz not null,
  expires_at   timestamptz not null,
  last_used_at timestamptz,
  revoked_at   timestamptz,
  check (created_at < expires_at)
);
create index api_token_by_person on countersign.api_token (person_id);

create table countersign.idempotency_key (
  owner_id     uuid not null,
  key          text not null check (length(key) between 1 and 255),
  request_hash bytea not null,
  status       int,
  body         text,
  created_at   timestamptz not null,
  primary key (owner_id, key)
);
create index idempotency_key_by_age on countersign.idempotency_key (created_at);

-- The catalog ------------------------------------------------------------------------------------------------------

create table countersign.application (
  id          uuid primary key,
  key         text not null unique check (key ~ '^[a-z0-9][a-z0-9-]{0,62}$'),
  name        text not null check (name <> ''),
  description text not null default '',
  owner_id    uuid not null references countersign.person,
  retired_at  timestamptz
);

create table countersign.role (
  id              uuid primary key,
  application_id  uuid not null references countersign.application,
  key             text not null check (key ~ '^[a-z0-9][a-z0-9-]{0,62}$'),
  name            text not null check (name <> ''),
  description     text not null default '',
  owner_id        uuid not null references countersign.person,
  risk            text not null check (risk in ('low', 'elevated', 'critical')),
  method          text not null check (method in ('idp_group', 'app_api', 'workflow', 'manual')),
  directory       text,
  group_reference text,
  group_name      text,
  retired_at      timestamptz,
  search          text not null default '',
  unique (application_id, key),
  check (method <> 'idp_group' or (directory is not null and group_reference is not null))
);
create index role_by_owner on countersign.role (owner_id);
create index role_by_group on countersign.role (directory, group_reference);
create index role_by_order on countersign.role (name, id) where retired_at is null;

-- Access profiles: who may ask. A version never changes; its rows are written in one transaction.

create table countersign.access_profile (
  id  uuid primary key,
  key text not null unique check (key ~ '^[a-z0-9][a-z0-9-]{0,62}$')
);
create table countersign.access_profile_version (
  id         uuid primary key,
  profile_id uuid not null references countersign.access_profile,
  version    int not null check (version >= 1),
  name       text not null check (name <> ''),
  digest     text not null check (digest ~ '^[0-9a-f]{64}$'),
  created_at timestamptz not null,
  txid       xid8 not null default pg_current_xact_id(),
  unique (profile_id, version)
);
create table countersign.access_profile_rule (
  profile_version_id uuid not null references countersign.access_profile_version,
  position           int not null check (position >= 1),
  effect             text not null check (effect in ('allow', 'deny')),
  primary key (profile_version_id, position)
);
create table countersign.access_profile_condition (
  profile_version_id uuid not null,
  rule               int not null,
  position           int not null check (position >= 1),
  attribute          text not null check (attribute <> ''),
  operator           text not null check (operator in ('is', 'is_not', 'in', 'not_in', 'contains', 'starts_with', 'exists', 'not_exists', 'member_of', 'not_member_of', 'reports_to')),
  "values"           text[] not null,
  primary key (profile_version_id, rule, position),
  foreign key (profile_version_id, rule) references countersign.access_profile_rule (profile_version_id, position)
);

-- Approval procedures: ordered steps, each with slots "n approvals from this source".

create table countersign.approval_procedure (
  id  uuid primary key,
  key text not null unique check (key ~ '^[a-z0-9][a-z0-9-]{0,62}$')
);
create table countersign.approval_procedure_version (
  id               uuid primary key,
  procedure_id     uuid not null references countersign.approval_procedure,
  version          int not null check (version >= 1),
  name             text not null check (name <> ''),
  distinct_people  boolean not null,
  digest           text not null check (digest ~ '^[0-9a-f]{64}$'),
  created_at       timestamptz not null,
  txid             xid8 not null default pg_current_xact_id(),
  unique (procedure_id, version)
);
create table countersign.approval_procedure_step (
  procedure_version_id uuid not null references countersign.approval_procedure_version,
  position             int not null check (position >= 1),
  name                 text not null check (name <> ''),
  time_limit_s         bigint check (time_limit_s > 0),
  primary key (procedure_version_id, position)
);
create table countersign.approval_procedure_slot (
  procedure_version_id uuid not null,
  step                 int not null,
  position             int not null check (position >= 1),
  approvals            int not null check (approvals between 1 and 20),
  source               text not null check (source in ('person', 'group', 'manager', 'managers_manager', 'application_owner', 'role_owner')),
  source_value         text check (source_value <> ''),
  source_name          text,
  fallback             text check (fallback in ('person', 'group', 'manager', 'managers_manager', 'application_owner', 'role_owner')),
  fallback_value       text check (fallback_value <> ''),
  fallback_name        text,
  primary key (procedure_version_id, step, position),
  foreign key (procedure_version_id, step) references countersign.approval_procedure_step (procedure_version_id, position),
  check ((source in ('person', 'group')) = (source_value is not null))
);

-- Access policies: the rules for a role, as versions.

create table countersign.access_policy (
  id  uuid primary key,
  key text not null unique check (key ~ '^[a-z0-9][a-z0-9-]{0,62}$')
);
create table countersign.access_policy_version (
  id                     uuid primary key,
  policy_id              uuid not null references countersign.access_policy,
  version                int not null check (version >= 1),
  name                   text not null check (name <> ''),
  profile_version_id     uuid not null references countersign.access_profile_version,
  procedure_version_id   uuid references countersign.approval_procedure_version,
  recommended_s          bigint check (recommended_s > 0),
  minimum_s              bigint not null check (minimum_s > 0),
  maximum_s              bigint not null check (maximum_s >= minimum_s),
  choices_s              bigint[] not null,
  indefinite             boolean not null,
  justification_required boolean not null,
  justification_minimum  int not null check (justification_minimum >= 0),
  ticket_required        boolean not null,
  ticket_prefix          text,
  extension              boolean not null,
  comment_to_deny        boolean not null,
  digest                 text not null check (digest ~ '^[0-9a-f]{64}$'),
  created_at             timestamptz not null,
  created_by             uuid references countersign.person,
  txid                   xid8 not null default pg_current_xact_id(),
  unique (policy_id, version)
);
create table countersign.access_policy_condition (
  policy_version_id uuid not null references countersign.access_policy_version,
  position          int not null check (position >= 1),
  attribute         text not null check (attribute <> ''),
  operator          text not null check (operator in ('is', 'is_not', 'in', 'not_in', 'contains', 'starts_with', 'exists', 'not_exists', 'member_of', 'not_member_of', 'reports_to')),
  "values"          text[] not null,
  primary key (policy_version_id, position)
);

-- Which policy rules which role: of a role over of its application over the default; then the lowest priority number first.
create table countersign.policy_binding (
  id             uuid primary key,
  policy_id      uuid not null references countersign.access_policy,
  role_id        uuid references countersign.role,
  application_id uuid references countersign.application,
  priority       int not null,
  check (role_id is null or application_id is null)
);
create unique index policy_binding_of_role on countersign.policy_binding (role_id, priority) where role_id is not null;
create unique index policy_binding_of_application on countersign.policy_binding (application_id, priority) where application_id is not null;
create unique index policy_binding_default on countersign.policy_binding (priority) where role_id is null and application_id is null;

-- The log ----------------------------------------------------------------------------------------------------------

create table countersign.audit_event (
  id                bigint generated always as identity primary key,
  occurred_at       timestamptz not null default countersign.clock(),
  txid              xid8 not null default pg_current_xact_id(),
  kind              text not null check (kind ~ '^[a-z_]+[.][a-z_]+$'),
  actor_kind        text not null check (actor_kind in ('person', 'token', 'system')),
  actor_id          uuid,
  actor_name        text check (actor_name <> ''),
  acting_for        uuid,
  token_id          uuid,
  channel           text not null check (channel in ('web', 'api', 'cli', 'slack', 'teams', 'system')),
  request_id        uuid,
  grant_id          uuid,
  person_id         uuid,
  role_id           uuid,
  application_id    uuid,
  policy_version_id uuid,
  data              jsonb not null default '{}',
  check ((actor_kind = 'system') = (actor_id is null)),
  check ((actor_kind = 'token') = (token_id is not null))
);
create index audit_event_by_time on countersign.audit_event (occurred_at);
create index audit_event_by_request on countersign.audit_event (request_id, id) where request_id is not null;
create index audit_event_by_person on countersign.audit_event (person_id, id) where person_id is not null;
create index audit_event_by_actor on countersign.audit_event (actor_id, id) where actor_id is not null;
create index audit_event_by_role on countersign.audit_event (role_id, id) where role_id is not null;
create index audit_event_by_application on countersign.audit_event (application_id, id) where application_id is not null;
create index audit_event_by_kind on countersign.audit_event (kind, id);
create index audit_event_by_transaction on countersign.audit_event (txid) where request_id is null;

-- Requests ---------------------------------------------------------------------------------------------------------

create table countersign.request (
  id                uuid primary key,
  requester_id      uuid not null references countersign.person,
  beneficiary_id    uuid not null references countersign.person,
  role_id           uuid not null references countersign.role,
  application_id    uuid not null references countersign.application,
  status            text not null check (status in ('pending', 'needs_info', 'approved', 'denied', 'withdrawn', 'timed_out', 'refused')),
  step_no           int check (step_no >= 1),
  steps             int not null check (steps >= 0),
  step_due_at       timestamptz,
  decision          text not null check (decision in ('refused', 'auto_approved', 'needs_approval')),
  deciding_rule     text not null check (deciding_rule <> ''),
  policy_version_id uuid references countersign.access_policy_version,
  inputs            text not null,
  inputs_digest     text not null check (inputs_digest ~ '^[0-9a-f]{64}$'),
  trace             text not null,
  ask_digest        text not null check (ask_digest ~ '^[0-9a-f]{64}$'),
  justification     text check (justification <> ''),
  ticket_reference  text check (ticket_reference <> ''),
  duration_s        bigint check (duration_s > 0),
  granted_s         bigint check (granted_s > 0),
  wanted_start      timestamptz,
  extension_of      uuid,
  channel           text not null check (channel in ('web', 'api', 'cli', 'slack', 'teams')),
  created_at        timestamptz not null,
  txid              xid8 not null default pg_current_xact_id(),
  closed_at         timestamptz,
  close_category    text check (close_category <> ''),
  unique (id, requester_id, beneficiary_id),
  check ((status in ('pending', 'needs_info')) = (closed_at is null)),
  check ((status in ('pending', 'needs_info')) = (step_no is not null)),
  check ((decision = 'refused') = (status = 'refused')),
  check (decision = 'refused' or policy_version_id is not null),
  check (granted_s is null or duration_s is null or granted_s <= duration_s)
);
create unique index request_one_open on countersign.request (beneficiary_id, role_id) where status in ('pending', 'needs_info');
create index request_by_beneficiary on countersign.request (beneficiary_id, id);
create index request_by_requester on countersign.request (requester_id, id);
create index request_by_role on countersign.request (role_id, id);
create index request_by_application on countersign.request (application_id, id);
create index request_by_created on countersign.request (created_at, id);
create index request_due on countersign.request (step_due_at) where step_due_at is not null;

create table countersign.request_step (
  request_id   uuid not null references countersign.request,
  step_no      int not null,
  name         text not null,
  time_limit_s bigint,
  opened_at    timestamptz,
  done_at      timestamptz,
  primary key (request_id, step_no)
);
create table countersign.request_slot (
  request_id   uuid not null,
  step_no      int not null,
  slot_no      int not null,
  approvals    int not null check (approvals >= 1),
  source       text not null,
  source_label text not null,
  primary key (request_id, step_no, slot_no),
  foreign key (request_id, step_no) references countersign.request_step
);
-- Who was asked. `open` is what the queue reads: the step is the request's current one and nobody has settled the slot.
create table countersign.assignment (
  request_id      uuid not null,
  step_no         int not null,
  slot_no         int not null,
  person_id       uuid not null references countersign.person,
  assigned_at     timestamptz,
  first_viewed_at timestamptz,
  open            boolean not null,
  primary key (request_id, step_no, slot_no, person_id),
  foreign key (request_id, step_no, slot_no) references countersign.request_slot
);
create index assignment_queue on countersign.assignment (person_id, request_id) where open;
create index assignment_by_person on countersign.assignment (person_id, request_id);

create table countersign.approval (
  id             uuid primary key,
  request_id     uuid not null,
  requester_id   uuid not null,
  beneficiary_id uuid not null,
  step_no        int not null,
  slot_no        int not null,
  decided_by     uuid not null references countersign.person,
  acting_as      text not null default 'self' check (acting_as <> ''),
  verdict        text not null check (verdict in ('approve', 'deny')),
  comment        text check (comment <> ''),
  granted_s      bigint check (granted_s > 0),
  ask_digest     text not null,
  inputs_digest  text not null check (inputs_digest ~ '^[0-9a-f]{64}$'),
  channel        text not null check (channel in ('web', 'api', 'cli', 'slack', 'teams')),
  decided_at     timestamptz not null,
  unique (request_id, step_no, decided_by),
  foreign key (request_id, requester_id, beneficiary_id) references countersign.request (id, requester_id, beneficiary_id),
  foreign key (request_id, step_no, slot_no, decided_by) references countersign.assignment (request_id, step_no, slot_no, person_id),
  constraint approval_not_by_oneself check (decided_by <> requester_id and decided_by <> beneficiary_id)
);
create unique index approval_one_denial on countersign.approval (request_id) where verdict = 'deny';
create index approval_by_person on countersign.approval (decided_by, id);

-- Grants and memberships ---------------------------------------------------------------------------------------------

-- One row per membership that is or was wanted: what should be, what is, and when to look next.
create table countersign.target (
  id               uuid primary key,
  directory        text not null,
  person_id        uuid not null references countersign.person,
  person_reference text not null,
  group_reference  text not null,
  wanted           boolean not null,
  gen              bigint not null default 1,
  done_gen         bigint not null default 0,
  next_at          timestamptz,
  owed_since       timestamptz,
  fails            int not null default 0,
  lease_until      timestamptz,
  lease_token      uuid,
  verify_at        timestamptz,
  member           boolean,
  member_seen_at   timestamptz,
  pre_existing     boolean not null default false,
  last_error       text,
  unique (directory, person_reference, group_reference)
);
create index target_due on countersign.target (wanted, next_at) where next_at is not null;
create index target_by_group on countersign.target (directory, group_reference);
create index target_by_person on countersign.target (person_id);

create table countersign.access_grant (
  id                uuid primary key,
  request_id        uuid not null references countersign.request,
  approval_event_id bigint not null references countersign.audit_event,
  beneficiary_id    uuid not null references countersign.person,
  role_id           uuid not null references countersign.role,
  application_id    uuid not null references countersign.application,
  target_id         uuid not null references countersign.target,
  status            text not null check (status in ('scheduled', 'provisioning', 'verifying', 'active', 'revoking', 'ended', 'failed')),
  approved_at       timestamptz not null,
  duration_s        bigint check (duration_s > 0),
  starts_at         timestamptz not null,
  ends_at           timestamptz,
  provisioning_started_at timestamptz,
  granted_at        timestamptz,
  verified_at       timestamptz,
  ended_at          timestamptz,
  end_verified_at   timestamptz,
  end_reason        text check (end_reason in ('expired', 'returned', 'revoked', 'offboarded', 'eligibility_lost', 'review', 'emergency_closed', 'superseded')),
  ended_by          uuid references countersign.person,
  end_comment       text check (end_comment <> ''),
  extension_of      uuid references countersign.access_grant,
  attempts          int not null default 0,
  last_error        text,
  confirmed         text not null default 'unknown' check (confirmed in ('works', 'fails', 'unknown')),
  confirmed_at      timestamptz,
  unique (request_id),
  check (starts_at < ends_at),
  check ((duration_s is null) = (ends_at is null)),
  check ((status in ('revoking', 'ended')) = (ended_at is not null)),
  check ((ended_at is null) = (end_reason is null)),
  check (status not in ('active') or verified_at is not null)
);
create index access_grant_by_beneficiary on countersign.access_grant (beneficiary_id, id);
create index access_grant_live on countersign.access_grant (beneficiary_id) where status not in ('ended', 'failed');
create index access_grant_by_approval on countersign.access_grant (approved_at, id);
-- Nobody holds a role twice: each lease would last as long as the policy allows. An extension follows the lease it extends.
create unique index access_grant_one_live on countersign.access_grant (beneficiary_id, role_id) where status in ('scheduled', 'provisioning', 'verifying', 'active') and extension_of is null;
create index access_grant_by_role on countersign.access_grant (role_id, id);
create index access_grant_by_application on countersign.access_grant (application_id, id);
create index access_grant_by_target on countersign.access_grant (target_id, id);
create index access_grant_ending on countersign.access_grant (ends_at) where status = 'active';
create index access_grant_starting on countersign.access_grant (starts_at) where status = 'scheduled';
create unique index access_grant_one_extension on countersign.access_grant (extension_of) where extension_of is not null and status not in ('ended', 'failed');

alter table countersign.request add foreign key (extension_of) references countersign.access_grant;

-- What is in a directory that no lease explains, and the reverse.
create table countersign.drift (
  id               uuid primary key,
  directory        text not null,
  group_reference  text not null,
  person_reference text not null,
  person_id        uuid references countersign.person,
  kind             text not null check (kind in ('unexpected_member', 'missing_member', 'unknown_target')),
  detected_at      timestamptz not null,
  resolved_at      timestamptz,
  resolution       text check (resolution <> '')
);
create unique index drift_open on countersign.drift (directory, group_reference, person_reference, kind) where resolved_at is null;

-- The password of the application's role, made once; only the owner reads it.
create table countersign.app_login (
  password text not null check (password ~ '^[0-9a-f]{64}$')
);

-- The timetable ------------------------------------------------------------------------------------------------------

create table countersign.timetable (
  name        text primary key,
  next_at     timestamptz not null,
  lease_until timestamptz,
  lease_token uuid,
  last_at     timestamptz,
  last_ok_at  timestamptz,
  last_error  text,
  detail      text
);
create table countersign.worker (
  id         uuid primary key,
  started_at timestamptz not null,
  beat_at    timestamptz not null
);

comment on column countersign.person.reference is 'The immutable id in its directory (SCIM id, objectGUID); never a login name.';
comment on column countersign.person.groups is 'References of the groups seen at seen_at; decisions never read this, they ask the directory.';
comment on column countersign.session.token_hash is 'SHA-256 of the cookie; the cookie itself is kept nowhere.';
comment on column countersign.request.inputs is 'Canonical JSON of everything the decision was made from, so that it can be made again.';
comment on column countersign.request.ask_digest is 'SHA-256 over beneficiary, role, duration and policy version: what an approval authorises.';
comment on column countersign.request.granted_s is 'The shortest duration an approver chose, in seconds; null: as asked.';
comment on column countersign.audit_event.txid is 'The writing transaction; lets a change be held against its event.';
comment on column countersign.target.wanted is 'Whether a lease covered this moment when gen was last raised. A hint for order only; recomputed before every call.';
comment on column countersign.target.gen is 'Raised by every business transaction that may change what is wanted; work is owed while done_gen is lower.';
comment on column countersign.target.owed_since is 'When the oldest unfinished change became owed.';
comment on column countersign.target.pre_existing is 'The membership was there before the first lease, so no lease may take it away.';
