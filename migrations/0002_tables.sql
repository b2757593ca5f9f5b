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
create index session_by_subject on countersign.session (issuer, subject);
create index session_by_sid on countersign.session (issuer, sid);

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

-- Logout tokens that were taken, so that none works twice (OpenID Connect Back-Channel Logout 1.0, section 2.6).
create table countersign.logout_token (
  issuer     text not null,
  jti_hash   bytea not null check (length(jti_hash) = 32),
  expires_at timestamptz not null,
  primary key (issuer, jti_hash)
);
create index logout_token_by_expiry on countersign.logout_token (expires_at);

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
  drift           text not null default 'alert' check (drift in ('alert', 'remove', 'adopt')),
  unique (application_id, key),
  check (method <> 'idp_group' or (directory is not null and group_reference is not null))
);
create index role_by_owner on countersign.role (owner_id);
create index role_by_group on countersign.role (directory, group_reference);
create index role_by_order on countersign.role (name, id) where retired_at is null;

-- Access profiles: who may ask. A version never changes; its rows are written in one transaction.

create table countersign.access_profile (
  id         uuid primary key,
  key        text not null unique check (key ~ '^[a-z0-9][a-z0-9-]{0,62}$'),
  retired_at timestamptz
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
  called             text[] not null default '{}' check (cardinality(called) in (0, cardinality("values"))),
  primary key (profile_version_id, rule, position),
  foreign key (profile_version_id, rule) references countersign.access_profile_rule (profile_version_id, position)
);

-- Approval procedures: ordered steps, each with slots "n approvals from this source".

create table countersign.approval_procedure (
  id         uuid primary key,
  key        text not null unique check (key ~ '^[a-z0-9][a-z0-9-]{0,62}$'),
  retired_at timestamptz
);
create table countersign.approval_procedure_version (
  id               uuid primary key,
  procedure_id     uuid not null references countersign.approval_procedure,
  version          int not null check (version >= 1),
  name             text not null check (name <> ''),
  distinct_people  boolean not null,
  reassign         boolean not null,
  digest           text not null check (digest ~ '^[0-9a-f]{64}$'),
  created_at       timestamptz not null,
  txid             xid8 not null default pg_current_xact_id(),
  unique (procedure_id, version)
);
create table countersign.approval_procedure_step (
  procedure_version_id uuid not null references countersign.approval_procedure_version,
  position             int not null check (position >= 1),
  name                 text not null check (name <> ''),
  -- When it is part of the procedure; nothing given: always. More in approval_procedure_condition.
  risks                text[] not null,
  longer_than_s        bigint check (longer_than_s > 0),
  conditional          boolean not null,
  time_limit_s         bigint check (time_limit_s > 0),
  remind_every_s       bigint check (remind_every_s > 0),
  escalates            boolean not null,
  escalation_limit_s   bigint check (escalation_limit_s > 0),
  primary key (procedure_version_id, position),
  check (not escalates or time_limit_s is not null),
  check (conditional or (risks = '{}' and longer_than_s is null))
);
create table countersign.approval_procedure_condition (
  procedure_version_id uuid not null,
  step                 int not null,
  position             int not null check (position >= 1),
  attribute            text not null check (attribute <> ''),
  operator             text not null check (operator in ('is', 'is_not', 'in', 'not_in', 'contains', 'starts_with', 'exists', 'not_exists', 'member_of', 'not_member_of', 'reports_to')),
  "values"             text[] not null,
  called               text[] not null default '{}' check (cardinality(called) in (0, cardinality("values"))),
  primary key (procedure_version_id, step, position),
  foreign key (procedure_version_id, step) references countersign.approval_procedure_step (procedure_version_id, position)
);
create table countersign.approval_procedure_slot (
  procedure_version_id uuid not null,
  step                 int not null,
  position             int not null check (position >= 1),
  approvals            int not null check (approvals between 1 and 20),
  primary key (procedure_version_id, step, position),
  foreign key (procedure_version_id, step) references countersign.approval_procedure_step (procedure_version_id, position)
);
-- Whom a slot asks, and (slot 0) whom the step escalates to: the first that resolves to somebody counts.
create table countersign.approval_procedure_source (
  procedure_version_id uuid not null,
  step                 int not null,
  slot                 int not null check (slot >= 0),
  position             int not null check (position >= 1),
  source               text not null check (source in ('person', 'group', 'manager', 'managers_manager', 'application_owner', 'role_owner')),
  source_value         text check (source_value <> ''),
  source_name          text,
  primary key (procedure_version_id, step, slot, position),
  foreign key (procedure_version_id, step) references countersign.approval_procedure_step (procedure_version_id, position),
  check ((source in ('person', 'group')) = (source_value is not null))
);

-- Access policies: the rules for a role, as versions.

create table countersign.access_policy (
  id         uuid primary key,
  key        text not null unique check (key ~ '^[a-z0-9][a-z0-9-]{0,62}$'),
  retired_at timestamptz
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
  justification_pattern  text check (justification_pattern <> ''),
  justification_says     text check (justification_says <> ''),
  ticket_required        boolean not null,
  ticket_minimum         int not null check (ticket_minimum >= 0),
  ticket_pattern         text check (ticket_pattern <> ''),
  ticket_says            text check (ticket_says <> ''),
  future_start_s         bigint check (future_start_s > 0),
  extension              boolean not null,
  extension_maximum_s    bigint check (extension_maximum_s > 0),
  extension_last_percent int not null check (extension_last_percent between 1 and 100),
  extension_most         int check (extension_most >= 1),
  extension_procedure_version_id uuid references countersign.approval_procedure_version,
  behalf_manager         boolean not null,
  behalf_owner           boolean not null,
  behalf_confirm         boolean not null,
  emergency_maximum_s    bigint check (emergency_maximum_s > 0),
  emergency_review_s     bigint check (emergency_review_s > 0),
  comment_to_deny        boolean not null,
  eligibility_grace_s    bigint check (eligibility_grace_s > 0),
  digest                 text not null check (digest ~ '^[0-9a-f]{64}$'),
  created_at             timestamptz not null,
  created_by             uuid references countersign.person,
  txid                   xid8 not null default pg_current_xact_id(),
  unique (policy_id, version),
  check ((justification_pattern is null) = (justification_says is null)),
  check ((ticket_pattern is null) = (ticket_says is null)),
  check ((emergency_maximum_s is null) = (emergency_review_s is null))
);
-- Fields that a policy adds to the form.
create table countersign.access_policy_field (
  policy_version_id uuid not null references countersign.access_policy_version,
  position          int not null check (position >= 1),
  key               text not null check (key ~ '^[a-z0-9][a-z0-9_]{0,62}$'),
  label             text not null check (label <> ''),
  help              text check (help <> ''),
  required          boolean not null,
  type              text not null check (type in ('text', 'choice', 'date', 'number', 'yes_no')),
  choices           text[] not null,
  minimum           bigint,
  maximum           bigint,
  primary key (policy_version_id, position),
  unique (policy_version_id, key)
);
-- What a policy decides without asking anybody. Their conditions are those of access_policy_condition with their position as rule.
create table countersign.access_policy_rule (
  policy_version_id uuid not null references countersign.access_policy_version,
  position          int not null check (position >= 1),
  name              text not null check (name <> ''),
  verdict           text not null check (verdict in ('approve', 'deny')),
  risks             text[] not null,
  at_most_s         bigint check (at_most_s > 0),
  longer_than_s     bigint check (longer_than_s > 0),
  primary key (policy_version_id, position)
);
-- Conditions of a policy: rule 0 says for whom it is.
create table countersign.access_policy_condition (
  policy_version_id uuid not null references countersign.access_policy_version,
  rule              int not null check (rule >= 0),
  position          int not null check (position >= 1),
  attribute         text not null check (attribute <> ''),
  operator          text not null check (operator in ('is', 'is_not', 'in', 'not_in', 'contains', 'starts_with', 'exists', 'not_exists', 'member_of', 'not_member_of', 'reports_to')),
  "values"          text[] not null,
  called            text[] not null default '{}' check (cardinality(called) in (0, cardinality("values"))),
  primary key (policy_version_id, rule, position)
);

-- Separation of duties: nobody holds a role of set a together with one of set b. Versions never change.
create table countersign.separation_rule (
  id         uuid primary key,
  key        text not null unique check (key ~ '^[a-z0-9][a-z0-9-]{0,62}$'),
  retired_at timestamptz
);
create table countersign.separation_rule_version (
  id                   uuid primary key,
  rule_id              uuid not null references countersign.separation_rule,
  version              int not null check (version >= 1),
  name                 text not null check (name <> ''),
  procedure_version_id uuid references countersign.approval_procedure_version,
  digest               text not null check (digest ~ '^[0-9a-f]{64}$'),
  created_at           timestamptz not null,
  txid                 xid8 not null default pg_current_xact_id(),
  unique (rule_id, version)
);
create table countersign.separation_rule_role (
  rule_version_id uuid not null references countersign.separation_rule_version,
  side            text not null check (side in ('a', 'b')),
  role_id         uuid not null references countersign.role,
  primary key (rule_version_id, side, role_id)
);
create index separation_rule_role_by_role on countersign.separation_rule_role (role_id);

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
  salt              uuid default gen_random_uuid(),
  erased            jsonb,
  check ((salt is null) = (erased is not null)),
  check ((actor_kind = 'system') = (actor_id is null)),
  check ((actor_kind = 'token') = (token_id is not null))
);
create index audit_event_by_time on countersign.audit_event (occurred_at);
create index audit_event_by_request on countersign.audit_event (request_id, id) where request_id is not null;
create index audit_event_by_person on countersign.audit_event (person_id, id) where person_id is not null;
create index audit_event_by_actor on countersign.audit_event (actor_id, id) where actor_id is not null;
create index audit_event_by_role on countersign.audit_event (role_id, id) where role_id is not null;
create index audit_event_by_application on countersign.audit_event (application_id, id) where application_id is not null;
create index audit_event_by_policy on countersign.audit_event (policy_version_id, id) where policy_version_id is not null;
create index audit_event_by_kind on countersign.audit_event (kind, id);
create index audit_event_by_transaction on countersign.audit_event (txid) where request_id is null;

-- The sealed log: a Merkle tree over the events (RFC 6962), signed again and again -------------------------------------

-- Events that no leaf holds yet; a trigger writes them down, the sealer takes them off.
create table countersign.audit_unsealed (
  event_id bigint primary key
);
create table countersign.audit_leaf (
  leaf_index bigint primary key check (leaf_index >= 0),
  event_id   bigint not null unique,
  hash       bytea not null check (length(hash) = 32)
);
create table countersign.audit_node (
  level int not null check (level > 0 and level % 8 = 0),
  index bigint not null check (index >= 0),
  hash  bytea not null check (length(hash) = 32),
  primary key (level, index)
);
create table countersign.audit_checkpoint (
  id        bigint generated always as identity primary key,
  size      bigint not null check (size >= 0),
  root      bytea not null check (length(root) = 32),
  note      text not null check (note <> ''),
  signed_at timestamptz not null
);
create index audit_checkpoint_by_size on countersign.audit_checkpoint (size, id);

-- Requests ---------------------------------------------------------------------------------------------------------

create table countersign.request (
  id                uuid primary key,
  requester_id      uuid not null references countersign.person,
  beneficiary_id    uuid not null references countersign.person,
  role_id           uuid not null references countersign.role,
  application_id    uuid not null references countersign.application,
  status            text not null check (status in ('submitted', 'pending', 'needs_info', 'approved', 'denied', 'withdrawn', 'timed_out', 'refused')),
  step_no           int check (step_no >= 1),
  steps             int not null check (steps >= 0),
  step_due_at       timestamptz,
  step_left_s       bigint check (step_left_s >= 0),
  remind_at         timestamptz,
  escalated         boolean not null default false,
  nudged_at         timestamptz,
  distinct_people   boolean not null default true,
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
  fields            text check (fields <> ''),
  emergency_reason  text check (emergency_reason <> ''),
  conflicts         text[] not null default '{}',
  supersedes        uuid references countersign.request,
  started_by        uuid references countersign.person check (started_by <> requester_id),
  confirmed_at      timestamptz,
  channel           text not null check (channel in ('web', 'api', 'cli', 'slack', 'teams', 'system')),
  created_at        timestamptz not null,
  txid              xid8 not null default pg_current_xact_id(),
  closed_at         timestamptz,
  close_category    text check (close_category <> ''),
  erased_at         timestamptz,
  unique (id, requester_id, beneficiary_id),
  check ((status in ('submitted', 'pending', 'needs_info')) = (closed_at is null)),
  check ((status in ('pending', 'needs_info')) = (step_no is not null)),
  check ((decision = 'refused') = (status = 'refused')),
  check (emergency_reason is null or decision in ('auto_approved', 'refused')),
  check (decision = 'refused' or policy_version_id is not null),
  check (granted_s is null or duration_s is null or granted_s <= duration_s)
);
create unique index request_one_open on countersign.request (beneficiary_id, role_id) where status in ('submitted', 'pending', 'needs_info');
create index request_by_beneficiary on countersign.request (beneficiary_id, id);
create index request_by_requester on countersign.request (requester_id, id);
create index request_by_role on countersign.request (role_id, id);
create index request_by_application on countersign.request (application_id, id);
create index request_by_created on countersign.request (created_at, id);
create index request_kept_apart on countersign.request (created_at) where conflicts <> '{}';
create index request_remind on countersign.request (remind_at) where remind_at is not null;
create unique index request_by_superseded on countersign.request (supersedes) where supersedes is not null;
create index request_by_policy on countersign.request (policy_version_id, id);
create index request_due on countersign.request (step_due_at) where step_due_at is not null;
create index request_to_erase on countersign.request (closed_at, id) where erased_at is null and closed_at is not null;
create index request_unconfirmed on countersign.request (created_at) where status = 'submitted';

create table countersign.request_step (
  request_id   uuid not null references countersign.request,
  step_no      int not null,
  name         text not null,
  time_limit_s bigint,
  -- The step of the procedure version that it is.
  procedure_version_id uuid not null,
  procedure_step       int not null,
  opened_at    timestamptz,
  done_at      timestamptz,
  primary key (request_id, step_no),
  foreign key (procedure_version_id, procedure_step) references countersign.approval_procedure_step (procedure_version_id, position)
);
create table countersign.request_slot (
  request_id   uuid not null,
  step_no      int not null,
  slot_no      int not null,
  approvals    int not null check (approvals >= 1),
  procedure_slot int not null check (procedure_slot >= 1),
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
  acting_as       text not null default 'self' check (acting_as in ('self', 'delegate', 'escalation', 'reassigned', 'fallback')),
  acting_for      uuid references countersign.person,
  ended_at        timestamptz,
  primary key (request_id, step_no, slot_no, person_id),
  foreign key (request_id, step_no, slot_no) references countersign.request_slot
);
create index assignment_queue on countersign.assignment (person_id, request_id) where open;
create index assignment_of_delegates on countersign.assignment (request_id) where open and acting_as = 'delegate';
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

-- What approvers and requesters do besides deciding. ----------------------------------------------------------------------

-- Somebody stands in while somebody is away: one hop, for what is assigned from starts_at on.
create table countersign.delegation (
  id          uuid primary key,
  person_id   uuid not null references countersign.person,
  delegate_id uuid not null references countersign.person,
  starts_at   timestamptz not null,
  ends_at     timestamptz not null,
  reason      text check (reason <> ''),
  created_at  timestamptz not null,
  ended_at    timestamptz,
  check (person_id <> delegate_id),
  check (starts_at < ends_at)
);
create index delegation_by_person on countersign.delegation (person_id, ends_at);
create index delegation_by_delegate on countersign.delegation (delegate_id, ends_at);

-- A question pauses the step until it is answered, or has waited too long: then it has an end and no answer.
create table countersign.request_question (
  id          uuid primary key,
  request_id  uuid not null references countersign.request,
  step_no     int not null,
  asked_by    uuid not null references countersign.person,
  question    text not null check (question <> ''),
  asked_at    timestamptz not null,
  answered_by uuid references countersign.person,
  answer      text check (answer <> ''),
  answered_at timestamptz,
  check ((answered_by is null) = (answer is null) and (answer is null or answered_at is not null))
);
create unique index request_question_open on countersign.request_question (request_id) where answered_at is null;
create index request_question_by_request on countersign.request_question (request_id, asked_at);

-- What somebody is told: on their home page, and through the API.
create table countersign.notice (
  id         uuid primary key,
  person_id  uuid not null references countersign.person,
  kind       text not null check (kind ~ '^[a-z_]+$'),
  request_id uuid references countersign.request,
  sentence   text not null check (sentence <> ''),
  created_at timestamptz not null,
  seen_at    timestamptz
);
create index notice_by_person on countersign.notice (person_id, id) where seen_at is null;
create index notice_by_request on countersign.notice (request_id) where request_id is not null;

-- The debt of an emergency: somebody who was skipped looks at it afterwards.
create table countersign.emergency_review (
  request_id     uuid primary key references countersign.request,
  beneficiary_id uuid not null references countersign.person,
  due_at         timestamptz not null,
  overdue_told_at timestamptz,
  reviewed_by    uuid references countersign.person,
  reviewed_at    timestamptz,
  verdict        text check (verdict in ('justified', 'not_justified')),
  comment        text check (comment <> ''),
  check ((reviewed_at is null) = (verdict is null) and (reviewed_at is null) = (reviewed_by is null)),
  constraint review_not_by_oneself check (reviewed_by <> beneficiary_id)
);
create unique index emergency_review_owed on countersign.emergency_review (beneficiary_id) where reviewed_at is null;
create index emergency_review_due on countersign.emergency_review (due_at) where reviewed_at is null;
-- Who was skipped, and so may review.
create table countersign.emergency_reviewer (
  request_id uuid not null references countersign.emergency_review,
  person_id  uuid not null references countersign.person,
  primary key (request_id, person_id)
);
create index emergency_reviewer_by_person on countersign.emergency_reviewer (person_id);

-- Changing the rules ---------------------------------------------------------------------------------------------------

-- A change of the catalog: proposed, approved by somebody else where that is required, applied.
create table countersign.policy_change (
  id           uuid primary key,
  author_id    uuid references countersign.person,
  source       text not null check (source <> ''),
  body         text not null check (body <> ''),
  digest       text not null check (digest ~ '^[0-9a-f]{64}$'),
  changes      text[] not null,
  whatif       text,
  status       text not null check (status in ('proposed', 'approved', 'applied', 'rejected', 'withdrawn', 'failed')),
  submitted_at timestamptz not null,
  effective_at timestamptz,
  approver_id  uuid references countersign.person,
  decided_at   timestamptz,
  comment      text check (comment <> ''),
  applied_at   timestamptz,
  last_error   text,
  constraint policy_change_by_two check (approver_id is null or author_id is null or approver_id <> author_id)
);
create index policy_change_by_time on countersign.policy_change (submitted_at desc, id);
create index policy_change_waiting on countersign.policy_change (submitted_at) where status = 'proposed';
create index policy_change_due on countersign.policy_change (effective_at) where status = 'approved';
-- Which versions a change made.
create table countersign.policy_change_version (
  change_id    uuid not null references countersign.policy_change,
  policy_key   text not null,
  version_from int,
  version_to   int,
  primary key (change_id, policy_key)
);
create index policy_change_version_by_policy on countersign.policy_change_version (policy_key, version_to);

-- The stored requests that would have come out otherwise under a proposed change, as its what-if found them, in order of time.
create table countersign.policy_change_request (
  change_id  uuid not null references countersign.policy_change,
  position   int not null,
  request_id uuid not null references countersign.request,
  role_id    uuid not null references countersign.role,
  turn       text not null check (turn <> ''),
  was        text not null,
  becomes    text not null,
  primary key (change_id, position)
);

-- What the nightly check found: steps that nobody can take, or only one person, or only the asker.
create table countersign.policy_finding (
  id                uuid primary key,
  policy_version_id uuid not null references countersign.access_policy_version,
  role_id           uuid not null references countersign.role,
  step              text not null,
  kind              text not null check (kind in ('nobody', 'single_person', 'only_the_asker', 'unresolvable')),
  people            int not null check (people >= 1),
  example_id        uuid references countersign.person,
  sentence          text not null check (sentence <> ''),
  found_at          timestamptz not null
);
create index policy_finding_by_policy on countersign.policy_finding (policy_version_id, role_id);

-- Two grants of one person that a separation rule keeps apart.
create table countersign.separation_finding (
  id              uuid primary key,
  rule_version_id uuid not null references countersign.separation_rule_version,
  person_id       uuid not null references countersign.person,
  grant_a         uuid not null,
  grant_b         uuid not null,
  request_id      uuid references countersign.request,
  found_at        timestamptz not null,
  outcome         text not null check (outcome in ('found', 'approved_with_exception')),
  resolved_at     timestamptz
);
create unique index separation_finding_open on countersign.separation_finding (rule_version_id, grant_a, grant_b) where resolved_at is null;
create index separation_finding_by_person on countersign.separation_finding (person_id);

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
create index target_due on countersign.target (directory, wanted, next_at) where next_at is not null;
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
  extension_no      int not null default 0 check (extension_no >= 0),
  attempts          int not null default 0,
  last_error        text,
  no_extension      boolean not null default false,
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
create index access_grant_live on countersign.access_grant (beneficiary_id, role_id) where status not in ('ended', 'failed');
create index access_grant_by_approval on countersign.access_grant (approved_at, id);
create index access_grant_too_early on countersign.access_grant (approved_at) where granted_at < approved_at;
-- Nobody holds a role twice: each lease would last as long as the policy allows. An extension follows the lease it extends.
create unique index access_grant_one_live on countersign.access_grant (beneficiary_id, role_id) where status in ('scheduled', 'provisioning', 'verifying', 'active') and extension_of is null;
create index access_grant_by_role on countersign.access_grant (role_id, id);
create index access_grant_by_application on countersign.access_grant (application_id, id);
create index access_grant_by_target on countersign.access_grant (target_id, id);
-- Who had access at a moment.
create index access_grant_at on countersign.access_grant using gist (
  tstzrange(coalesce(granted_at, verified_at), case when end_verified_at is not null then greatest(end_verified_at, coalesce(granted_at, verified_at)) end)
) include (granted_at, verified_at, end_verified_at, beneficiary_id, role_id, application_id, id) where status <> 'failed';
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
  sweep_id         uuid not null,
  through          text check (through <> ''),
  through_name     text,
  action           text not null default 'alerted' check (action in ('alerted', 'removed', 'adopted', 'ignored')),
  request_id       uuid references countersign.request,
  adoption_over_at timestamptz,
  removal_asked_at timestamptz,
  removal_asked_by uuid references countersign.person,
  note             text check (note <> ''),
  resolved_at      timestamptz,
  resolved_by      uuid references countersign.person,
  resolution       text check (resolution <> ''),
  event_first      bigint,
  event_last       bigint,
  -- What is asked to be a lease is not taken away meanwhile, and the other way round.
  constraint drift_one_way check (removal_asked_at is null or request_id is null or adoption_over_at is not null),
  check ((resolved_at is null) = (resolution is null))
);
create unique index drift_open on countersign.drift (directory, group_reference, person_reference, kind) where resolved_at is null;
create index drift_by_time on countersign.drift (detected_at, id);
create index drift_by_request on countersign.drift (request_id) where request_id is not null;

-- Drift that is declared, groups, tries and pauses of a directory ------------------------------------------------------

-- A group that was compared with the leases at least once; whoever was in it then is declared.
create table countersign.managed_group (
  id              uuid primary key,
  directory       text not null,
  group_reference text not null,
  imported_at     timestamptz not null,
  members         int not null check (members >= 0),
  read_at         timestamptz not null,
  stopped_at      timestamptz,
  stopped_why     text check (stopped_why in ('many', 'shrunk')),
  stopped_people  int check (stopped_people >= 0),
  believed_at     timestamptz,
  unique (directory, group_reference),
  check ((stopped_at is null) = (stopped_why is null) and (stopped_at is null) = (stopped_people is null))
);
create index managed_group_stopped on countersign.managed_group (stopped_at) where stopped_at is not null;

-- Members who were there before Countersign looked for the first time.
create table countersign.pre_existing_member (
  id               uuid primary key,
  directory        text not null,
  group_reference  text not null,
  person_reference text not null,
  person_id        uuid references countersign.person,
  through          text check (through <> ''),
  through_name     text,
  noted_at         timestamptz not null,
  gone_at          timestamptz
);
create unique index pre_existing_member_now on countersign.pre_existing_member (directory, group_reference, person_reference) where gone_at is null;
create index pre_existing_member_by_person on countersign.pre_existing_member (person_id) where gone_at is null;

-- A drift that somebody answers for, for a while.
create table countersign.drift_exception (
  id               uuid primary key,
  drift_id         uuid not null references countersign.drift,
  directory        text not null,
  group_reference  text not null,
  person_reference text not null,
  reason           text not null check (reason <> ''),
  owner_id         uuid not null references countersign.person,
  made_by          uuid not null references countersign.person,
  made_at          timestamptz not null,
  ends_at          timestamptz not null,
  ended_at         timestamptz,
  check (made_at < ends_at)
);
create unique index drift_exception_now on countersign.drift_exception (directory, group_reference, person_reference) where ended_at is null;

-- Every time a directory was told to change a membership.
create table countersign.provisioning_attempt (
  id              uuid primary key,
  target_id       uuid not null references countersign.target,
  grant_id        uuid references countersign.access_grant,
  action          text not null check (action in ('add', 'remove')),
  method          text not null check (method in ('idp_group', 'app_api', 'workflow', 'manual')),
  idempotency_key text not null check (idempotency_key <> ''),
  started_at      timestamptz not null,
  finished_at     timestamptz not null,
  result          text not null check (result <> ''),
  detail          text,
  verified_at     timestamptz,
  event_first     bigint,
  event_last      bigint,
  check (started_at <= finished_at)
);
create index provisioning_attempt_by_time on countersign.provisioning_attempt (started_at, id);
create index provisioning_attempt_by_target on countersign.provisioning_attempt (target_id, id);

-- While a directory is paused nothing new is given in it; with everything held, nothing is called at all.
create table countersign.directory_pause (
  id         uuid primary key,
  directory  text not null check (directory <> ''),
  everything boolean not null,
  reason     text not null check (reason <> ''),
  paused_by  uuid not null references countersign.person,
  paused_at  timestamptz not null,
  resumed_by uuid references countersign.person,
  resumed_at timestamptz,
  check ((resumed_at is null) = (resumed_by is null))
);
create unique index directory_pause_now on countersign.directory_pause (directory) where resumed_at is null;

-- Directories that asked to be left alone, for every replica to see.
create table countersign.directory_wait (
  directory text primary key check (directory <> ''),
  until     timestamptz not null
);

-- The password of the application's role, made once; only the owner reads it.
create table countersign.app_login (
  password text not null check (password ~ '^[0-9a-f]{64}$')
);

-- The life of people: reading directories, who leaves, who moves ------------------------------------------------------

-- How reading a directory goes. The token says where counting of changes goes on.
create table countersign.directory_sync (
  directory  text primary key check (directory <> ''),
  token      text check (token <> ''),
  started_at timestamptz,
  full_at    timestamptz,
  changes_at timestamptz,
  people     bigint not null default 0 check (people >= 0),
  groups     bigint not null default 0 check (groups >= 0),
  changed    bigint not null default 0 check (changed >= 0),
  leaving    bigint not null default 0 check (leaving >= 0),
  outcome    text check (outcome in ('complete', 'failed', 'shrunk')),
  detail     text check (detail <> ''),
  believe    boolean not null default false,
  believed_at timestamptz
);

-- What a directory was told to call when somebody changes, where that has to be renewed.
create table countersign.directory_subscription (
  directory  text primary key check (directory <> ''),
  id         text not null check (id <> ''),
  address    text not null check (address <> ''),
  expires_at timestamptz not null
);

-- Groups, as they were last seen in a directory; also for choosing from.
create table countersign.directory_group (
  directory   text not null check (directory <> ''),
  reference   text not null check (reference <> ''),
  name        text not null check (name <> ''),
  description text check (description <> ''),
  read_only   text check (read_only <> ''),
  warnings    text[] not null default '{}',
  seen_at     timestamptz not null,
  gone_at     timestamptz,
  primary key (directory, reference)
);
create index directory_group_by_name on countersign.directory_group (directory, lower(name) text_pattern_ops) where gone_at is null;
create index directory_group_in_order on countersign.directory_group (directory, name, reference) where gone_at is null;

-- Whom to ask a directory about again, by reference: hints of a listing, of a directory itself, or of somebody who was not found.
create table countersign.person_recheck (
  directory   text not null check (directory <> ''),
  reference   text not null check (reference <> ''),
  cause       text not null check (cause in ('listing', 'missing', 'change', 'hook', 'moved', 'decision')),
  held        boolean not null default false,
  asked_at    timestamptz not null,
  next_at     timestamptz not null,
  gen         bigint not null default 1,
  fails       int not null default 0,
  lease_until timestamptz,
  lease_token uuid,
  last_error  text check (last_error <> ''),
  primary key (directory, reference)
);
create index person_recheck_due on countersign.person_recheck (directory, next_at) where not held;

-- Who left, each time they did.
create table countersign.leaver (
  id                  uuid primary key,
  person_id           uuid not null references countersign.person,
  status              text not null check (status in ('disabled', 'gone')),
  deactivated_at      timestamptz,
  detected_at         timestamptz not null,
  grants_at_detection int not null check (grants_at_detection >= 0),
  requests_closed     int not null default 0 check (requests_closed >= 0),
  sla_hours           int not null check (sla_hours >= 1),
  event_id            bigint not null references countersign.audit_event,
  next_at             timestamptz,
  fails               int not null default 0,
  settled_at          timestamptz,
  returned_at         timestamptz,
  check ((settled_at is null) = (next_at is not null))
);
create index leaver_by_time on countersign.leaver (detected_at, id);
create index leaver_by_person on countersign.leaver (person_id, detected_at);
create index leaver_due on countersign.leaver (next_at) where settled_at is null;

-- What changed about somebody who held access, an attribute a row.
create table countersign.mover (
  id         uuid primary key,
  person_id  uuid not null references countersign.person,
  attribute  text not null check (attribute <> ''),
  old        text[] not null,
  new        text[] not null,
  changed_at timestamptz not null,
  event_id   bigint not null references countersign.audit_event
);
create index mover_by_time on countersign.mover (changed_at, id);
create index mover_by_person on countersign.mover (person_id, changed_at);

-- A grant whose holder no longer meets the policy that governed it, and what became of that.
create table countersign.eligibility_loss (
  id          uuid primary key,
  grant_id    uuid not null references countersign.access_grant,
  request_id  uuid not null references countersign.request,
  mover_id    uuid references countersign.mover,
  policy_version_id uuid not null references countersign.access_policy_version,
  rule        text not null check (rule <> ''),
  sentence    text not null check (sentence <> ''),
  found_at    timestamptz not null,
  due_at      timestamptz,
  next_at     timestamptz,
  resolved_at timestamptz,
  resolution  text check (resolution in ('revoked', 'restored', 'ended')),
  check ((resolved_at is null) = (resolution is null)),
  check (next_at is null or resolved_at is null and due_at is not null)
);
create unique index eligibility_loss_open on countersign.eligibility_loss (grant_id) where resolved_at is null;
create index eligibility_loss_by_grant on countersign.eligibility_loss (grant_id);
create index eligibility_loss_by_mover on countersign.eligibility_loss (mover_id) where mover_id is not null;
create index eligibility_loss_due on countersign.eligibility_loss (next_at) where next_at is not null;

-- Erasure --------------------------------------------------------------------------------------------------------------

-- Nothing of this person, or of this request, is erased until the hold is lifted, and for a day more.
create table countersign.legal_hold (
  id         uuid primary key,
  person_id  uuid references countersign.person,
  request_id uuid references countersign.request,
  reason     text not null check (reason <> ''),
  placed_by  uuid references countersign.person,
  placed_at  timestamptz not null,
  lifted_by  uuid references countersign.person,
  lifted_at  timestamptz,
  check ((person_id is null) <> (request_id is null)),
  check (lifted_by is null or lifted_at is not null)
);
create index legal_hold_of_person on countersign.legal_hold (person_id) where lifted_at is null;
create index legal_hold_of_request on countersign.legal_hold (request_id) where lifted_at is null;

-- Measures -----------------------------------------------------------------------------------------------------------

-- How often things were and how long they took, counted by day from the log; days long past are put together by month. `step` is an eighth of
-- a doubling, from a millisecond on, or -1 where only the number counts. Can be made again from the log at any time.
create table countersign.measure (
  begins  date not null,
  of_kind text not null check (of_kind in ('organisation', 'application', 'role', 'approver')),
  of_id   uuid not null,
  measure text not null check (measure ~ '^[a-z_0-9]+$'),
  step    smallint not null check (step between -1 and 320),
  count   bigint not null check (count > 0),
  primary key (of_kind, of_id, begins, measure, step)
);
create index measure_by_day on countersign.measure (begins);
create index measure_of_approvers on countersign.measure (begins, of_id, step) include (count) where of_kind = 'approver';
create table countersign.measure_day (
  day        date primary key,
  over       boolean not null,
  folded     boolean not null default false,
  counted_at timestamptz not null
);

-- Schedules of evidence --------------------------------------------------------------------------------------------------

-- What is sent by the clock, and where to.
create table countersign.evidence_schedule (
  id             uuid primary key,
  name           text not null check (name <> ''),
  source         text not null check (source in ('administrator', 'settings')),
  what           text not null check (what <> ''),
  mode           text not null check (mode in ('raw', 'safe')),
  whose          text not null check (whose in ('organisation', 'application', 'role', 'person')),
  application_id uuid references countersign.application,
  role_id        uuid references countersign.role,
  person_id      uuid references countersign.person,
  whose_key      text check (whose_key <> ''),
  period         text not null check (period in ('day', 'week', 'month', 'quarter', 'year', 'moment')),
  every          text not null check (every in ('day', 'week', 'month', 'quarter')),
  on_day         int not null check (on_day between 0 and 28),
  at_minute      int not null check (at_minute between 0 and 1439),
  place          text not null check (place in ('folder', 'webhook', 'mail')),
  sent_to        text[] not null check (cardinality(sent_to) between 1 and 20),
  is_on          boolean not null,
  made_by        uuid references countersign.person,
  made_at        timestamptz not null,
  changed_at     timestamptz not null,
  next_at        timestamptz not null,
  check (num_nonnulls(application_id, role_id, person_id) <= 1),
  check ((whose = 'organisation') = (num_nonnulls(application_id, role_id, person_id, whose_key) = 0)),
  check (made_by is null or source = 'administrator')
);
create unique index evidence_schedule_by_name on countersign.evidence_schedule (lower(name));
create index evidence_schedule_on on countersign.evidence_schedule (next_at) where is_on;

-- A time at which it was due, or somebody had it run, and what came of it.
create table countersign.evidence_run (
  id          uuid primary key,
  schedule_id uuid not null references countersign.evidence_schedule,
  due_at      timestamptz not null,
  asked_by    uuid references countersign.person,
  period_from timestamptz,
  period_to   timestamptz not null check (period_from is null or period_from < period_to),
  made_at     timestamptz not null,
  started_at  timestamptz,
  tries       int not null default 0,
  next_at     timestamptz,
  lease_until timestamptz,
  lease_token uuid,
  finished_at timestamptz,
  result      text check (result in ('sent', 'linked', 'failed')),
  file        text,
  bytes       bigint,
  sha256      text check (sha256 ~ '^[0-9a-f]{64}$'),
  sent_to     text,
  error       text,
  check ((result is null) = (finished_at is null)),
  check ((next_at is null) = (finished_at is not null)),
  check (result is distinct from 'sent' or num_nonnulls(file, bytes, sha256, sent_to) = 4),
  check (result is distinct from 'failed' or error is not null)
);
create unique index evidence_run_once on countersign.evidence_run (schedule_id, due_at) where asked_by is null;
create unique index evidence_run_open on countersign.evidence_run (schedule_id) where finished_at is null;
create index evidence_run_by_schedule on countersign.evidence_run (schedule_id, id);
create index evidence_run_due on countersign.evidence_run (next_at) where finished_at is null;

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
comment on column countersign.session.sid is 'The session at the provider, where its ID token named one.';
comment on column countersign.logout_token.jti_hash is 'SHA-256 of the token''s jti.';
comment on column countersign.session.token_hash is 'SHA-256 of the cookie; the cookie itself is kept nowhere.';
comment on column countersign.request.inputs is 'Canonical JSON of everything the decision was made from, so that it can be made again.';
comment on column countersign.request.ask_digest is 'SHA-256 over beneficiary, role, duration and policy version: what an approval authorises.';
comment on column countersign.request.granted_s is 'The shortest duration an approver chose, in seconds; null: as asked.';
comment on column countersign.audit_event.salt is 'From it comes a salt for each field that names a person or was written by one; the log holds commitments to those, never their text.';
comment on column countersign.audit_event.erased is 'Once something was erased, by pointer of each field with personal text: the commitment to what is gone, or the salt of what is not.';
comment on column countersign.request.erased_at is 'When texts of it were erased, or a name in what it was decided from: then that no longer has the digest it had.';
comment on column countersign.evidence_schedule.source is 'settings: it stands in the settings file, and is changed there alone.';
comment on column countersign.evidence_schedule.whose_key is 'Of one from the settings: the key or login there, looked up at each run.';
comment on column countersign.evidence_run.due_at is 'The last time that had passed when it was noticed: times missed before it are caught up by this one.';
comment on column countersign.evidence_run.tries is 'Counted when a try begins, so that one that never ends counts too.';
comment on column countersign.legal_hold.placed_by is 'Null: an operator, at the command line.';
comment on column countersign.audit_leaf.leaf_index is 'The order of record, without gaps; audit_event.id is only the order of insertion.';
comment on column countersign.audit_node.index is 'Which perfect subtree of 2^level leaves, counted from 0.';
comment on column countersign.audit_checkpoint.note is 'The signed note (C2SP tlog-checkpoint) as it is handed out.';
comment on column countersign.audit_event.txid is 'The writing transaction; lets a change be held against its event.';
comment on column countersign.access_grant.extension_no is 'How many leases it extends in a row.';
comment on column countersign.access_grant.no_extension is 'The holder said that it is not to be extended.';
comment on column countersign.request.step_left_s is 'What is left of the step''s limit while a question pauses it.';
comment on column countersign.request.fields is 'Values of the policy''s own fields, canonical JSON.';
comment on column countersign.request_step.procedure_step is 'Position of the step in its procedure version; steps whose conditions did not hold are left out.';
comment on column countersign.target.wanted is 'Whether a lease covered this moment when gen was last raised. A hint for order only; recomputed before every call.';
comment on column countersign.target.gen is 'Raised by every business transaction that may change what is wanted; work is owed while done_gen is lower.';
comment on column countersign.target.owed_since is 'When the oldest unfinished change became owed.';
comment on column countersign.target.pre_existing is 'The membership was there before the first lease, so no lease may take it away.';
comment on column countersign.access_policy_version.eligibility_grace_s is 'How long who no longer meets the policy keeps the access; null: for good.';
comment on column countersign.directory_sync.token is 'As the directory gave it; says where its list of changes goes on. A hint, worth nothing elsewhere.';
comment on column countersign.directory_sync.believe is 'An administrator said that so many people really left: the next full reading is believed.';
comment on column countersign.person_recheck.held is 'Waits until the listing that named it turns out to be believable.';
comment on column countersign.person_recheck.gen is 'Raised by every hint, so that one that comes while the person is being asked about is not lost.';
comment on column countersign.leaver.deactivated_at is 'When the directory says it was; null when it does not say.';
comment on column countersign.leaver.next_at is 'When to go on with what is still open of theirs; null: all is done.';
comment on column countersign.eligibility_loss.due_at is 'When the grace ends; null: the policy keeps the access.';
comment on column countersign.eligibility_loss.next_at is 'When to look next: the end of the grace, later where the directory could not be asked.';
comment on column countersign.role.drift is 'What happens to a member of its group that no lease explains: alert, remove, or adopt by a request of its own.';
comment on column countersign.drift.sweep_id is 'The comparison that saw it first.';
comment on column countersign.drift.through is 'Reference of the inner group by which the person is a member; null: directly.';
comment on column countersign.drift.adoption_over_at is 'When the request that was to adopt it was found closed without a lease.';
comment on column countersign.drift.event_first is 'The event that tells of it first; event_last: of its end.';
comment on column countersign.managed_group.members is 'Direct members as of read_at.';
comment on column countersign.managed_group.stopped_why is 'many: more would be removed than is believed; shrunk: more members are missing than is believed. Somebody has to look.';
comment on column countersign.managed_group.believed_at is 'When an administrator said that the short list is right; the next comparison takes it as it is.';
comment on column countersign.provisioning_attempt.idempotency_key is 'The same for every try to make the same wish so: id of the membership and the number of the wish.';
