-- What somebody must know of: one row is one cause that is open, and what has been told of it. What is over has none.

BEGIN;

CREATE TABLE alerts (
    -- Names it for good: `brake`, `parked:unmapped_price`, `dispute:dp_...`. The key of its row in the queue, too.
    cause          text        PRIMARY KEY,
    code           text        NOT NULL,
    title          text        NOT NULL,
    detail         text        NOT NULL,
    remedy         text        NOT NULL,
    severity       text        NOT NULL CHECK (severity IN ('critical', 'error', 'warning')),
    opened_at      timestamptz NOT NULL DEFAULT clock_timestamp(),
    -- When the receiver last took a word of it, and under which title. NULL: it has taken none.
    told_at        timestamptz,
    told_title     text,
    -- Not found by the last look, for the first time then. NULL: found.
    clean_since    timestamptz,
    -- Why the receiver did not take the last word. NULL: it did, or was sent none.
    delivery_error text,
    CHECK ((told_at IS NULL) = (told_title IS NULL))
);

-- When the last look for causes was, over all processes.
ALTER TABLE pulses DROP CONSTRAINT pulses_name_check;
ALTER TABLE pulses ADD CONSTRAINT pulses_name_check CHECK (name IN ('stripe', 'enhance', 'passes', 'alerts'));
INSERT INTO pulses (name) VALUES ('alerts');
-- When the panel's token ends, as the panel said last. NULL: never, or it does not say.
ALTER TABLE pulses ADD COLUMN expires_at timestamptz CHECK (expires_at IS NULL OR name = 'enhance');

-- What a look reads: few rows each, however many events, orders and disputes there are, and however long the ledger is.
CREATE INDEX events_missed_idx ON events (received_at) WHERE source = 'sweep';
CREATE INDEX actions_late_money_idx ON actions (at) WHERE kind = 'paid_after_end';
CREATE INDEX orders_unserved_since_idx ON orders (paid_at)
    WHERE state = 'paid' AND served_at IS NULL AND mode = 'subscription';

INSERT INTO schema_migrations (version, name) VALUES (32, 'alerts');
COMMIT;
