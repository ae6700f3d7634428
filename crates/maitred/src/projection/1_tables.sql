-- The tables of a projection. Every row is a record of a tenant in its newest version, but for the table of versions.

CREATE TABLE projection_cursors (
    tenant text PRIMARY KEY,
    -- What the next request for changes names as `after`.
    after text NOT NULL,
    -- When the newest change was decided that is in the tables.
    changed_at timestamptz,
    -- When the tables were last known to hold all that the server had.
    caught_up_at timestamptz
);

-- Any record, as the API shows it.
CREATE TABLE records (
    tenant text NOT NULL,
    kind text NOT NULL,
    id uuid NOT NULL,
    version bigint NOT NULL,
    changed_at timestamptz NOT NULL,
    deleted boolean NOT NULL,
    data jsonb NOT NULL,
    PRIMARY KEY (tenant, kind, id)
);

CREATE TABLE appointments (
    tenant text NOT NULL,
    id uuid NOT NULL,
    external_id text NOT NULL,
    resource text,
    starts_at timestamptz,
    ends_at timestamptz,
    during tstzrange GENERATED ALWAYS AS (tstzrange(starts_at, ends_at)) STORED,
    created_at timestamptz,
    updated_at timestamptz NOT NULL,
    version bigint NOT NULL,
    received_at timestamptz NOT NULL,
    title text,
    metadata jsonb,
    cancelled boolean NOT NULL,
    PRIMARY KEY (tenant, id),
    UNIQUE (tenant, external_id),
    -- What the engine promises, kept by the database as well. Within a transaction times may change hands.
    CONSTRAINT appointments_never_overlap
        EXCLUDE USING gist (tenant WITH =, resource WITH =, during WITH &&) WHERE (NOT cancelled)
        DEFERRABLE INITIALLY DEFERRED
);

CREATE TABLE appointment_versions (
    tenant text NOT NULL,
    id uuid NOT NULL,
    version bigint NOT NULL,
    change_id text NOT NULL,
    type text NOT NULL,
    external_id text NOT NULL,
    resource text,
    starts_at timestamptz,
    ends_at timestamptz,
    created_at timestamptz,
    updated_at timestamptz NOT NULL,
    received_at timestamptz NOT NULL,
    title text,
    metadata jsonb,
    cancelled boolean NOT NULL,
    PRIMARY KEY (tenant, id, version)
);

CREATE TABLE bookings (
    tenant text NOT NULL,
    id uuid NOT NULL,
    customer_id uuid NOT NULL,
    status text NOT NULL,
    starts_at timestamptz NOT NULL,
    ends_at timestamptz NOT NULL,
    hold_expires_at timestamptz,
    forced boolean NOT NULL,
    version bigint NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    PRIMARY KEY (tenant, id)
);
CREATE INDEX bookings_by_start ON bookings (tenant, starts_at);

CREATE TABLE booking_items (
    tenant text NOT NULL,
    booking_id uuid NOT NULL,
    -- From 1.
    place integer NOT NULL,
    service_id uuid NOT NULL,
    name text NOT NULL,
    employee_id uuid NOT NULL,
    resource_id uuid,
    starts_at timestamptz NOT NULL,
    ends_at timestamptz NOT NULL,
    -- In minor units.
    price_amount bigint NOT NULL,
    price_currency text NOT NULL,
    PRIMARY KEY (tenant, booking_id, place)
);

CREATE TABLE orders (
    tenant text NOT NULL,
    id uuid NOT NULL,
    sale_id uuid NOT NULL,
    product_id uuid NOT NULL,
    buyer_id uuid NOT NULL,
    status text NOT NULL,
    -- In minor units.
    price_amount bigint NOT NULL,
    price_currency text NOT NULL,
    hold_expires_at timestamptz,
    failure text,
    payment_reference text,
    version bigint NOT NULL,
    placed_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    PRIMARY KEY (tenant, id)
);
CREATE INDEX orders_by_sale ON orders (tenant, sale_id);

-- How far behind the tables are, in seconds: 0 where they held everything when that was last looked at.
CREATE VIEW projection_lag AS
    SELECT tenant, after, changed_at, caught_up_at, extract(epoch FROM now() - caught_up_at) AS seconds
    FROM projection_cursors;
