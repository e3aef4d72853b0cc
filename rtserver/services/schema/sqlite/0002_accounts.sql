-- Accounts: who signs in, by what, and the letters that prove addresses. Secrets are kept as SHA-256 only.

create table rt_users (
    id text primary key,
    username text not null,
    username_norm text not null unique,
    -- Always a proven address: whoever has not proven one is a row of rt_proofs only.
    email text not null,
    email_norm text not null unique,
    password_hash text,
    is_active integer not null default 1,
    is_staff integer not null default 0,
    created_at integer not null
) strict;

create table rt_identities (
    id text primary key,
    user_id text not null references rt_users (id) on delete cascade,
    provider text not null,
    id_key text not null default '',
    uid text not null check (uid <> ''),
    -- What the provider calls the person, to be shown; and what it said, as JSON.
    handle text not null default '',
    extra text not null default '{}',
    created_at integer not null,
    modified_at integer not null,
    unique (provider, id_key, uid)
) strict;
create index rt_identities_user on rt_identities (user_id);

create table rt_sessions (
    sid_hash text primary key,
    -- What a person sees of a session, and ends it by.
    id text not null unique,
    user_id text references rt_users (id) on delete cascade,
    csrf text not null,
    agent text not null default '',
    remote text not null default '',
    created_at integer not null,
    seen_at integer not null,
    expires_at integer not null
) strict;
create index rt_sessions_user on rt_sessions (user_id);
create index rt_sessions_end on rt_sessions (expires_at);

create table rt_session_items (
    sid_hash text not null references rt_sessions (sid_hash) on delete cascade,
    name text not null,
    -- JSON.
    value text not null,
    set_at integer not null,
    primary key (sid_hash, name)
) strict;

create table rt_proofs (
    id text primary key,
    purpose text not null,
    code_hash text not null unique,
    digits_hash text not null,
    email text not null,
    email_norm text not null,
    user_id text references rt_users (id) on delete cascade,
    -- What is to happen on confirmation, as JSON: name and password hash of a new account, provider and partial.
    data text not null default '{}',
    browser_hash text not null default '',
    target text not null default '',
    created_at integer not null,
    expires_at integer not null,
    tries integer not null default 0,
    sends integer not null default 1,
    sent_at integer not null,
    used_at integer,
    -- Whom it confirmed, and when the browser that began went on with that.
    outcome_user text references rt_users (id) on delete cascade,
    redeemed_at integer
) strict;
create index rt_proofs_address on rt_proofs (email_norm);
create index rt_proofs_end on rt_proofs (expires_at);
create index rt_proofs_user on rt_proofs (user_id);
create index rt_proofs_outcome on rt_proofs (outcome_user);

create table rt_auth_partials (
    token_hash text primary key,
    backend text not null,
    next_step integer not null,
    data text not null,
    -- Of which version of the pipeline next_step is an index.
    pipeline text not null,
    created_at integer not null,
    expires_at integer not null
) strict;
create index rt_auth_partials_end on rt_auth_partials (expires_at);

create table rt_auth_nonces (
    scope text not null,
    stamp integer not null,
    salt text not null,
    created_at integer not null,
    primary key (scope, stamp, salt)
) strict;
create index rt_auth_nonces_age on rt_auth_nonces (created_at);

create table rt_auth_associations (
    id text primary key,
    server_url text not null,
    handle text not null,
    secret text not null,
    -- Seconds, as the protocol counts them.
    issued integer not null,
    lifetime integer not null,
    assoc_type text not null,
    unique (server_url, handle)
) strict;

-- How often something was tried in a window of time.
create table rt_attempts (
    name text not null,
    window_start integer not null,
    n integer not null,
    expires_at integer not null,
    primary key (name, window_start)
) strict;
create index rt_attempts_end on rt_attempts (expires_at);

create table rt_letters (
    id text primary key,
    kind text not null,
    rcpt text not null,
    -- The message as sent; '' once it is sent or given up, since it holds a live link.
    raw text not null,
    state text not null default 'new',
    tries integer not null default 0,
    next_at integer not null,
    code integer,
    created_at integer not null,
    -- When its link ends; 0: never. It is not sent after that.
    expires_at integer not null default 0,
    ended_at integer
) strict;
create index rt_letters_next on rt_letters (state, next_at);
