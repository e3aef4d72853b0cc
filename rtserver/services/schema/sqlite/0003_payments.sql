-- Payments. Amounts are whole numbers of the smallest unit of their currency. No nonce, client token or card number is ever here.

create table rt_sale_items (
    id text primary key,
    name text not null,
    description text not null default '',
    amount integer not null check (amount > 0),
    currency text not null,
    -- '' is the default one of the gateway; a plan makes the item a subscription.
    merchant_account text not null default '',
    plan text not null default '',
    -- Authorise now, settle later.
    is_held integer not null default 0,
    is_active integer not null default 1,
    created_at integer not null
) strict;

create table rt_pay_customers (
    user_id text primary key references rt_users (id) on delete cascade,
    gateway_id text not null unique,
    -- When a payment was begun that saves its method; 0 once it is known what came of that.
    saving_at integer not null default 0,
    created_at integer not null
) strict;

create table rt_pay_methods (
    token text primary key,
    user_id text not null references rt_users (id) on delete cascade,
    kind text not null,
    brand text not null default '',
    last4 text not null default '',
    expires text not null default '',
    is_default integer not null default 0,
    created_at integer not null,
    removed_at integer
) strict;
create index rt_pay_methods_user on rt_pay_methods (user_id);

create table rt_pay_orders (
    id text primary key,
    user_id text not null references rt_users (id),
    item_id text not null references rt_sale_items (id),
    amount integer not null,
    currency text not null,
    state text not null,
    -- Submitted for settlement, and given back of it.
    captured integer not null default 0,
    refunded integer not null default 0,
    -- A name that the payer's program gave to it, so that a repeated request finds it.
    request_key text,
    request_sha256 text not null default '',
    created_at integer not null,
    changed_at integer not null,
    unique (user_id, request_key)
) strict;
create index rt_pay_orders_user on rt_pay_orders (user_id, created_at);

create table rt_pay_attempts (
    id text primary key,
    -- Null for what is about a subscription.
    order_id text references rt_pay_orders (id),
    op text not null,
    api_request_key text not null unique,
    -- Keyed digests, so that nothing can be found out from them: the name that the payer's program gave to its request (or the
    -- nonce), by which a repeated request finds it, and what was asked.
    request_key text unique,
    body_sha256 text not null default '',
    amount integer not null,
    currency text not null,
    -- The transaction (or subscription) that this is about.
    target text not null default '',
    -- A settlement that leaves the rest held.
    is_part integer not null default 0,
    state text not null,
    gateway_id text not null default '',
    code text not null default '',
    sentence text not null default '',
    is_soft integer not null default 0,
    errors text not null default '[]',
    sent_at integer not null,
    answered_at integer,
    -- How often its outcome was looked for, and how many searches that count found nothing.
    checks integer not null default 0,
    empties integer not null default 0,
    -- Null once the outcome is known.
    next_check_at integer
) strict;
create unique index rt_pay_attempts_open on rt_pay_attempts (order_id)
    where op = 'sale' and state in ('sending', 'unknown', 'approved');
create index rt_pay_attempts_order on rt_pay_attempts (order_id);
create index rt_pay_attempts_check on rt_pay_attempts (next_check_at);
create index rt_pay_attempts_sent on rt_pay_attempts (sent_at);

create table rt_pay_transactions (
    id text primary key,
    order_id text references rt_pay_orders (id),
    attempt_id text,
    kind text not null,
    status text not null,
    amount integer not null,
    currency text not null,
    parent text not null default '',
    instrument text not null default '',
    details text not null default '{}',
    created_at integer not null,
    changed_at integer not null
) strict;
create index rt_pay_transactions_order on rt_pay_transactions (order_id);
create index rt_pay_transactions_created on rt_pay_transactions (created_at);

create table rt_pay_subscriptions (
    id text primary key,
    user_id text not null references rt_users (id),
    item_id text not null references rt_sale_items (id),
    plan text not null,
    method text not null,
    status text not null,
    amount integer not null,
    currency text not null,
    paid_through text not null default '',
    created_at integer not null,
    changed_at integer not null
) strict;
create index rt_pay_subscriptions_user on rt_pay_subscriptions (user_id);

create table rt_pay_disputes (
    id text primary key,
    transaction_id text not null,
    status text not null,
    amount integer not null,
    currency text not null,
    reason text not null default '',
    reply_by text not null default '',
    changed_at integer not null
) strict;

create table rt_pay_webhooks (
    sha256 text primary key,
    kind text not null,
    happened_at integer not null,
    subject text not null,
    subject_id text not null,
    state text not null default 'new',
    tries integer not null default 0,
    next_at integer not null,
    received_at integer not null
) strict;
create index rt_pay_webhooks_next on rt_pay_webhooks (state, next_at);

-- What applications are told, at least once, and what pages are told.
create table rt_pay_events (
    number integer primary key autoincrement,
    id text not null unique,
    kind text not null,
    user_id text not null,
    order_id text not null default '',
    record text not null,
    state text not null default 'new',
    tries integer not null default 0,
    next_at integer not null,
    created_at integer not null
) strict;
create index rt_pay_events_next on rt_pay_events (state, next_at);
create index rt_pay_events_order on rt_pay_events (order_id);
