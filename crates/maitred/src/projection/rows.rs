//! A page of changes as rows: statements that take the page as it came, as one parameter.
//!
//! Of several changes of a record in one page only the newest becomes a row, but for the table of versions.

/// `$1` is the tenant, `$2` the changes as a list of JSON. Carried out in this order.
pub(super) const STATEMENTS: &[&str] = &[
    "INSERT INTO records (tenant, kind, id, version, changed_at, deleted, data)
     SELECT DISTINCT ON (c->>'kind', c->>'record_id')
         $1, c->>'kind', (c->>'record_id')::uuid, (c->>'version')::bigint, (c->>'at')::timestamptz,
         c->>'type' = 'deleted', c->'data'
     FROM jsonb_array_elements($2) AS c
     WHERE c->>'kind' NOT IN ('appointment', 'booking', 'order', 'event')
     ORDER BY c->>'kind', c->>'record_id', (c->>'version')::bigint DESC
     ON CONFLICT (tenant, kind, id) DO UPDATE SET
         version = EXCLUDED.version, changed_at = EXCLUDED.changed_at, deleted = EXCLUDED.deleted,
         data = EXCLUDED.data",
    "INSERT INTO appointment_versions (tenant, id, version, change_id, type, external_id, resource, starts_at,
         ends_at, created_at, updated_at, received_at, title, metadata, cancelled)
     SELECT $1, (c->>'record_id')::uuid, (c->>'version')::bigint, c->>'id', c->>'type', d->>'external_id',
         d->>'resource', (d->>'starts_at')::timestamptz, (d->>'ends_at')::timestamptz,
         (d->>'created_at')::timestamptz, (d->>'updated_at')::timestamptz, (d->>'received_at')::timestamptz,
         d->>'title', nullif(d->'metadata', 'null'), (d->>'cancelled')::boolean
     FROM jsonb_array_elements($2) AS c, LATERAL (SELECT c->'data' AS d) AS data
     WHERE c->>'kind' = 'appointment'",
    "INSERT INTO appointments (tenant, id, external_id, resource, starts_at, ends_at, created_at, updated_at,
         version, received_at, title, metadata, cancelled)
     SELECT DISTINCT ON (c->>'record_id')
         $1, (c->>'record_id')::uuid, d->>'external_id', d->>'resource', (d->>'starts_at')::timestamptz,
         (d->>'ends_at')::timestamptz, (d->>'created_at')::timestamptz, (d->>'updated_at')::timestamptz,
         (c->>'version')::bigint, (d->>'received_at')::timestamptz, d->>'title',
         nullif(d->'metadata', 'null'), (d->>'cancelled')::boolean
     FROM jsonb_array_elements($2) AS c, LATERAL (SELECT c->'data' AS d) AS data
     WHERE c->>'kind' = 'appointment'
     ORDER BY c->>'record_id', (c->>'version')::bigint DESC
     ON CONFLICT (tenant, id) DO UPDATE SET
         resource = EXCLUDED.resource, starts_at = EXCLUDED.starts_at, ends_at = EXCLUDED.ends_at,
         created_at = EXCLUDED.created_at, updated_at = EXCLUDED.updated_at, version = EXCLUDED.version,
         received_at = EXCLUDED.received_at, title = EXCLUDED.title, metadata = EXCLUDED.metadata,
         cancelled = EXCLUDED.cancelled",
    "INSERT INTO bookings (tenant, id, customer_id, status, starts_at, ends_at, hold_expires_at, forced, version,
         created_at, updated_at)
     SELECT DISTINCT ON (c->>'record_id')
         $1, (c->>'record_id')::uuid, (d->>'customer_id')::uuid, d->>'status', (d->>'starts_at')::timestamptz,
         (d->>'ends_at')::timestamptz, (d->>'hold_expires_at')::timestamptz, (d->>'forced')::boolean,
         (c->>'version')::bigint, (d->>'created_at')::timestamptz, (d->>'updated_at')::timestamptz
     FROM jsonb_array_elements($2) AS c, LATERAL (SELECT c->'data' AS d) AS data
     WHERE c->>'kind' = 'booking'
     ORDER BY c->>'record_id', (c->>'version')::bigint DESC
     ON CONFLICT (tenant, id) DO UPDATE SET
         customer_id = EXCLUDED.customer_id, status = EXCLUDED.status, starts_at = EXCLUDED.starts_at,
         ends_at = EXCLUDED.ends_at, hold_expires_at = EXCLUDED.hold_expires_at, forced = EXCLUDED.forced,
         version = EXCLUDED.version, updated_at = EXCLUDED.updated_at",
    "DELETE FROM booking_items WHERE tenant = $1 AND booking_id IN (
         SELECT (c->>'record_id')::uuid FROM jsonb_array_elements($2) AS c WHERE c->>'kind' = 'booking')",
    "INSERT INTO booking_items (tenant, booking_id, place, service_id, name, employee_id, resource_id, starts_at,
         ends_at, price_amount, price_currency)
     SELECT $1, booking, place::integer, (i->>'service_id')::uuid, i->>'name', (i->>'employee_id')::uuid,
         (i->>'resource_id')::uuid, (i->>'starts_at')::timestamptz, (i->>'ends_at')::timestamptz,
         (i->'price'->>'amount')::bigint, i->'price'->>'currency'
     FROM (SELECT DISTINCT ON (c->>'record_id') (c->>'record_id')::uuid AS booking, c->'data'->'items' AS items
           FROM jsonb_array_elements($2) AS c
           WHERE c->>'kind' = 'booking'
           ORDER BY c->>'record_id', (c->>'version')::bigint DESC) AS newest,
         LATERAL jsonb_array_elements(items) WITH ORDINALITY AS item(i, place)",
    "INSERT INTO orders (tenant, id, sale_id, product_id, buyer_id, status, price_amount, price_currency,
         hold_expires_at, failure, payment_reference, version, placed_at, updated_at)
     SELECT DISTINCT ON (c->>'record_id')
         $1, (c->>'record_id')::uuid, (d->>'sale_id')::uuid, (d->>'product_id')::uuid, (d->>'buyer_id')::uuid,
         d->>'status', (d->'price'->>'amount')::bigint, d->'price'->>'currency',
         (d->>'hold_expires_at')::timestamptz, d->>'failure', d->>'payment_reference', (c->>'version')::bigint,
         (d->>'placed_at')::timestamptz, (d->>'updated_at')::timestamptz
     FROM jsonb_array_elements($2) AS c, LATERAL (SELECT c->'data' AS d) AS data
     WHERE c->>'kind' = 'order'
     ORDER BY c->>'record_id', (c->>'version')::bigint DESC
     ON CONFLICT (tenant, id) DO UPDATE SET
         status = EXCLUDED.status, hold_expires_at = EXCLUDED.hold_expires_at, failure = EXCLUDED.failure,
         payment_reference = EXCLUDED.payment_reference, version = EXCLUDED.version,
         updated_at = EXCLUDED.updated_at",
    "INSERT INTO events (tenant, id, provider, external_id, title, sell_mode, ever_online, organizer, starts_at,
         ends_at, min_price_amount, max_price_amount, price_currency, first_seen_at, vanished_at, version, updated_at)
     SELECT DISTINCT ON (c->>'record_id')
         $1, (c->>'record_id')::uuid, d->>'provider', d->>'external_id', d->>'title', d->>'sell_mode',
         (d->>'ever_online')::boolean, d->>'organizer', (d->>'starts_at')::timestamptz,
         (d->>'ends_at')::timestamptz, (d->'min_price'->>'amount')::bigint, (d->'max_price'->>'amount')::bigint,
         d->'min_price'->>'currency', (d->>'first_seen_at')::timestamptz, (d->>'vanished_at')::timestamptz,
         (c->>'version')::bigint, (d->>'updated_at')::timestamptz
     FROM jsonb_array_elements($2) AS c, LATERAL (SELECT c->'data' AS d) AS data
     WHERE c->>'kind' = 'event'
     ORDER BY c->>'record_id', (c->>'version')::bigint DESC
     ON CONFLICT (tenant, id) DO UPDATE SET
         title = EXCLUDED.title, sell_mode = EXCLUDED.sell_mode, ever_online = EXCLUDED.ever_online,
         organizer = EXCLUDED.organizer, starts_at = EXCLUDED.starts_at, ends_at = EXCLUDED.ends_at,
         min_price_amount = EXCLUDED.min_price_amount, max_price_amount = EXCLUDED.max_price_amount,
         price_currency = EXCLUDED.price_currency, first_seen_at = EXCLUDED.first_seen_at,
         vanished_at = EXCLUDED.vanished_at, version = EXCLUDED.version, updated_at = EXCLUDED.updated_at",
    "DELETE FROM event_plans WHERE tenant = $1 AND event_id IN (
         SELECT (c->>'record_id')::uuid FROM jsonb_array_elements($2) AS c WHERE c->>'kind' = 'event')",
    "DELETE FROM event_zones WHERE tenant = $1 AND event_id IN (
         SELECT (c->>'record_id')::uuid FROM jsonb_array_elements($2) AS c WHERE c->>'kind' = 'event')",
    "INSERT INTO event_plans (tenant, event_id, id, starts_at, ends_at, sell_from, sell_to, sold_out, vanished)
     SELECT $1, event, p->>'id', (p->>'starts_at')::timestamptz, (p->>'ends_at')::timestamptz,
         (p->>'sell_from')::timestamptz, (p->>'sell_to')::timestamptz, (p->>'sold_out')::boolean,
         (p->>'vanished')::boolean
     FROM (SELECT DISTINCT ON (c->>'record_id') (c->>'record_id')::uuid AS event, c->'data'->'plans' AS plans
           FROM jsonb_array_elements($2) AS c
           WHERE c->>'kind' = 'event'
           ORDER BY c->>'record_id', (c->>'version')::bigint DESC) AS newest,
         LATERAL jsonb_array_elements(plans) AS plan(p)",
    "INSERT INTO event_zones (tenant, event_id, plan_id, id, name, capacity, price_amount, price_currency, numbered,
         vanished)
     SELECT $1, event, p->>'id', z->>'id', z->>'name', (z->>'capacity')::bigint,
         (z->'price'->>'amount')::bigint, z->'price'->>'currency', (z->>'numbered')::boolean,
         (z->>'vanished')::boolean
     FROM (SELECT DISTINCT ON (c->>'record_id') (c->>'record_id')::uuid AS event, c->'data'->'plans' AS plans
           FROM jsonb_array_elements($2) AS c
           WHERE c->>'kind' = 'event'
           ORDER BY c->>'record_id', (c->>'version')::bigint DESC) AS newest,
         LATERAL jsonb_array_elements(plans) AS plan(p), LATERAL jsonb_array_elements(p->'zones') AS zone(z)",
];
