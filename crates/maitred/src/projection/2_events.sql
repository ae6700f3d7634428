-- Events of providers, with their plans and zones, as tables of their own. What was in `records` of them moves here.

CREATE TABLE events (
    tenant text NOT NULL,
    id uuid NOT NULL,
    provider text NOT NULL,
    external_id text NOT NULL,
    title text NOT NULL,
    -- online, offline, or null where the provider says something else.
    sell_mode text,
    ever_online boolean NOT NULL,
    organizer text,
    -- The earliest start and the latest end of its plans.
    starts_at timestamptz,
    ends_at timestamptz,
    -- In minor units; the smallest and the greatest of its zones.
    min_price_amount bigint,
    max_price_amount bigint,
    price_currency text,
    first_seen_at timestamptz NOT NULL,
    vanished_at timestamptz,
    version bigint NOT NULL,
    updated_at timestamptz NOT NULL,
    PRIMARY KEY (tenant, id),
    UNIQUE (tenant, provider, external_id)
);
CREATE INDEX events_by_start ON events (tenant, starts_at);

CREATE TABLE event_plans (
    tenant text NOT NULL,
    event_id uuid NOT NULL,
    -- The provider's, within the event.
    id text NOT NULL,
    starts_at timestamptz NOT NULL,
    -- Providers state ends before starts.
    ends_at timestamptz NOT NULL,
    sell_from timestamptz,
    sell_to timestamptz,
    sold_out boolean NOT NULL,
    vanished boolean NOT NULL,
    PRIMARY KEY (tenant, event_id, id)
);
CREATE INDEX event_plans_by_start ON event_plans (tenant, starts_at);

CREATE TABLE event_zones (
    tenant text NOT NULL,
    event_id uuid NOT NULL,
    plan_id text NOT NULL,
    -- The provider's, within the plan.
    id text NOT NULL,
    name text NOT NULL,
    capacity bigint NOT NULL,
    -- In minor units; null where the provider does not say.
    price_amount bigint,
    price_currency text,
    numbered boolean NOT NULL,
    vanished boolean NOT NULL,
    PRIMARY KEY (tenant, event_id, plan_id, id)
);

INSERT INTO events (tenant, id, provider, external_id, title, sell_mode, ever_online, organizer, starts_at, ends_at,
        min_price_amount, max_price_amount, price_currency, first_seen_at, vanished_at, version, updated_at)
    SELECT tenant, id, d->>'provider', d->>'external_id', d->>'title', d->>'sell_mode', (d->>'ever_online')::boolean,
        d->>'organizer', (d->>'starts_at')::timestamptz, (d->>'ends_at')::timestamptz,
        (d->'min_price'->>'amount')::bigint, (d->'max_price'->>'amount')::bigint, d->'min_price'->>'currency',
        (d->>'first_seen_at')::timestamptz, (d->>'vanished_at')::timestamptz, version, (d->>'updated_at')::timestamptz
    FROM records, LATERAL (SELECT data AS d) AS data WHERE kind = 'event';
INSERT INTO event_plans (tenant, event_id, id, starts_at, ends_at, sell_from, sell_to, sold_out, vanished)
    SELECT tenant, records.id, p->>'id', (p->>'starts_at')::timestamptz, (p->>'ends_at')::timestamptz,
        (p->>'sell_from')::timestamptz, (p->>'sell_to')::timestamptz, (p->>'sold_out')::boolean,
        (p->>'vanished')::boolean
    FROM records, LATERAL jsonb_array_elements(data->'plans') AS p WHERE kind = 'event';
INSERT INTO event_zones (tenant, event_id, plan_id, id, name, capacity, price_amount, price_currency, numbered, vanished)
    SELECT tenant, records.id, p->>'id', z->>'id', z->>'name', (z->>'capacity')::bigint,
        (z->'price'->>'amount')::bigint, z->'price'->>'currency', (z->>'numbered')::boolean, (z->>'vanished')::boolean
    FROM records, LATERAL jsonb_array_elements(data->'plans') AS p, LATERAL jsonb_array_elements(p->'zones') AS z
    WHERE kind = 'event';
DELETE FROM records WHERE kind = 'event';
