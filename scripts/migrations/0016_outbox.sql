-- Events for the operator's own systems: one row is one event for one endpoint, written beside the fact it tells of.

BEGIN;

CREATE TABLE outbox_endpoints (
    -- ep_ and a digest of the address.
    endpoint        text        PRIMARY KEY,
    -- The address without what may be secret in it, for people, also when the settings have it no more.
    url             text        NOT NULL,
    failing_since   timestamptz,
    -- In a row, whoever they were about.
    failures        integer     NOT NULL DEFAULT 0,
    last_failed     text,
    last_error      text,
    -- Events of more than one customer failed: one is tried at a time, that of `probe`, until one arrives.
    probing         boolean     NOT NULL DEFAULT false,
    probe           text,
    next_try_at     timestamptz,
    disabled_at     timestamptz,
    disabled_reason text        CHECK (disabled_reason IN ('gone', 'failing')),
    created_at      timestamptz NOT NULL DEFAULT now(),
    CHECK ((disabled_at IS NULL) = (disabled_reason IS NULL))
);

-- The events of one customer for one endpoint. Whoever writes the next one holds this row until it is committed, so that
-- none with a higher number is ever seen before one with a lower.
CREATE TABLE outbox_streams (
    endpoint text   NOT NULL REFERENCES outbox_endpoints,
    -- The text of a customer's key; '-' where nobody is known.
    customer text   NOT NULL,
    sequence bigint NOT NULL,
    tried_at timestamptz,
    PRIMARY KEY (endpoint, customer)
);

CREATE TABLE outbox (
    id         bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    endpoint   text        NOT NULL,
    customer   text        NOT NULL,
    sequence   bigint      NOT NULL,
    -- The same at every endpoint and in every repetition.
    event_id   text        NOT NULL,
    type       text        NOT NULL,
    -- What is signed and sent, byte for byte; empty once its customer was erased.
    body       text        NOT NULL,
    state      text        NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'delivered', 'skipped')),
    attempts   integer     NOT NULL DEFAULT 0,
    last_error text,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    ended_at   timestamptz,
    UNIQUE (endpoint, customer, sequence),
    UNIQUE (endpoint, event_id),
    FOREIGN KEY (endpoint, customer) REFERENCES outbox_streams,
    CHECK (state <> 'waiting' OR body <> ''),
    CHECK ((state = 'waiting') = (ended_at IS NULL)),
    -- The receivers' promise is 20 kB.
    CHECK (octet_length(body) < 20000)
);
DO $$
BEGIN
    ALTER TABLE outbox ALTER COLUMN body SET COMPRESSION lz4;
EXCEPTION WHEN feature_not_supported THEN
    NULL;
END $$;
CREATE INDEX outbox_waiting_idx ON outbox (endpoint, customer, sequence) WHERE state = 'waiting';
CREATE INDEX outbox_newest_idx ON outbox (created_at, id);
CREATE INDEX outbox_undelivered_idx ON outbox (created_at, id) WHERE state = 'waiting';
CREATE INDEX outbox_customer_idx ON outbox (customer, created_at, id);
CREATE INDEX outbox_event_idx ON outbox (event_id);
CREATE INDEX outbox_ended_idx ON outbox (ended_at) WHERE ended_at IS NOT NULL;

CREATE TABLE outbox_attempts (
    id          bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    outbox_id   bigint      NOT NULL REFERENCES outbox ON DELETE CASCADE,
    at          timestamptz NOT NULL DEFAULT clock_timestamp(),
    -- Of the answer; NULL: there was none.
    status      integer,
    duration_ms integer     NOT NULL,
    -- NULL: it was delivered.
    error       text
);
CREATE INDEX outbox_attempts_idx ON outbox_attempts (outbox_id, id);

INSERT INTO schema_migrations (version, name) VALUES (16, 'outbox');
COMMIT;
