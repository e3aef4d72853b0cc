-- Which migrations were applied, and the outbox: what is put here inside a transaction is published when it commits.

create table rt_schema_version (
    number integer primary key,
    name text not null,
    sha256 text not null,
    applied_at integer not null
) strict;

create table rt_outbox (
    id integer primary key autoincrement,
    channel text not null,
    data text not null,
    -- The idempotency key: a row that is published twice after a crash is delivered once.
    key text not null default (lower(hex(randomblob(16)))),
    created_at integer not null default (cast((julianday('now') - 2440587.5) * 86400000 as integer))
) strict;

create table rt_outbox_dead (
    id integer primary key,
    channel text not null,
    data text not null,
    key text not null,
    created_at integer not null,
    reason text not null,
    died_at integer not null
) strict;
