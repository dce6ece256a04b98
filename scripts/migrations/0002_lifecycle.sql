-- The whole lifecycle: disputes and refunds, sweeps, the brake, shadow mode.

BEGIN;

-- A dispute as Stripe last said, and the subscription whose invoice its charge paid.
CREATE TABLE disputes (
    provider        text        NOT NULL DEFAULT 'stripe',
    dispute_id      text        NOT NULL,
    customer_id     text,
    subscription_id text,
    charge_id       text,
    -- Stripe's word; warning_* are inquiries, which move no money.
    status          text        NOT NULL,
    reason          text,
    amount          bigint      NOT NULL,
    currency        text        NOT NULL,
    -- An admin's word that this one holds nothing (it was settled otherwise).
    waived          boolean     NOT NULL DEFAULT false,
    created_at      timestamptz NOT NULL,
    updated_at      timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (provider, dispute_id)
);
CREATE INDEX disputes_customer_idx ON disputes (provider, customer_id);

-- A refund as Stripe last said, and the invoice whose money went back.
CREATE TABLE refunds (
    provider        text        NOT NULL DEFAULT 'stripe',
    refund_id       text        NOT NULL,
    customer_id     text,
    subscription_id text,
    invoice_id      text,
    charge_id       text,
    status          text        NOT NULL,
    amount          bigint      NOT NULL,
    currency        text        NOT NULL,
    -- Whether its charge is refunded in full, by this refund and others together.
    charge_refunded boolean     NOT NULL,
    -- An admin's word that this one holds nothing.
    waived          boolean     NOT NULL DEFAULT false,
    created_at      timestamptz NOT NULL,
    updated_at      timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (provider, refund_id)
);
CREATE INDEX refunds_customer_idx ON refunds (provider, customer_id);
CREATE INDEX refunds_charge_idx ON refunds (provider, charge_id);

ALTER TABLE services
    -- A second purchase of the same price that an admin let through.
    ADD COLUMN released boolean NOT NULL DEFAULT false,
    -- It existed before us: linked by an operator, never made by us.
    ADD COLUMN adopted boolean NOT NULL DEFAULT false,
    -- How the last sweep saw its website: whether it is off, and whether it is there at all.
    ADD COLUMN website_off boolean NOT NULL DEFAULT false,
    ADD COLUMN website_gone boolean NOT NULL DEFAULT false;

ALTER TABLE customers
    -- How the last sweep saw the organisation.
    ADD COLUMN org_suspended boolean NOT NULL DEFAULT false,
    ADD COLUMN org_gone boolean NOT NULL DEFAULT false,
    ADD COLUMN panel_name text,
    ADD COLUMN panel_email text,
    -- How many more hosting subscriptions the panel counted there than we answer for. NULL: not looked at yet.
    ADD COLUMN panel_surplus integer,
    -- Personal data was erased on request; it is never filled in again.
    ADD COLUMN erased_at timestamptz;

-- A comparison of both sides, in chunks; the cursor is where the next chunk begins.
CREATE TABLE sweeps (
    id          bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    started_at  timestamptz NOT NULL DEFAULT now(),
    finished_at timestamptz,
    phase       text        NOT NULL DEFAULT 'events',
    cursor      text,
    -- What was read, found and made due so far: {"events": ..., "subscriptions": ..., "marked": ...}.
    counts      jsonb       NOT NULL DEFAULT '{}',
    -- Things in the panel that carry our mark and that nobody answers for.
    orphans     jsonb       NOT NULL DEFAULT '[]',
    -- What could not be compared, and why: {"disputes": "..."}. The other phases went on.
    errors      jsonb       NOT NULL DEFAULT '{}',
    -- How often it was begun at this place and came to no end.
    tries       integer     NOT NULL DEFAULT 0,
    -- Somebody asked for everybody when it had already passed some: another one follows it.
    again       boolean     NOT NULL DEFAULT false,
    updated_at  timestamptz NOT NULL DEFAULT now()
);
-- One sweep is under way at a time.
CREATE UNIQUE INDEX sweeps_running_idx ON sweeps ((true)) WHERE finished_at IS NULL;

-- What a sweep has met so far, so that what it never met can be told without holding it all in memory. Not written to
-- the log, so it is empty after a crash of the database: a row of kind 'walk' for each list tells that all is there.
CREATE UNLOGGED TABLE sweep_seen (
    sweep_id bigint NOT NULL,
    kind     text   NOT NULL,
    id       text   NOT NULL,
    PRIMARY KEY (sweep_id, kind, id)
);

-- Stops mass suspensions. One row; engaged until somebody releases it.
CREATE TABLE brake (
    the_one     boolean     PRIMARY KEY DEFAULT true CHECK (the_one),
    engaged_at  timestamptz,
    reason      text,
    released_at timestamptz,
    released_by text
);
INSERT INTO brake DEFAULT VALUES;

-- What shadow mode would do to a customer; gone once it was done or is no longer wanted.
CREATE TABLE shadow_plans (
    provider    text        NOT NULL DEFAULT 'stripe',
    customer_id text        NOT NULL,
    actions     jsonb       NOT NULL,
    planned_at  timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (provider, customer_id)
);

INSERT INTO schema_migrations (version, name) VALUES (2, 'lifecycle');
COMMIT;
