-- The last sign of life of each side, over all processes: the health check tells it instead of asking itself.

BEGIN;

CREATE TABLE pulses (
    -- The two other sides, and our own passes.
    name        text PRIMARY KEY CHECK (name IN ('stripe', 'enhance', 'passes')),
    -- When the last call ended that says how the side is, or the last pass. NULL: none has yet.
    beat_at     timestamptz,
    -- NULL: it was answered as it should be.
    error       text,
    took_ms     real,
    -- Until then one process asks for the health check; the others wait for what it finds.
    asked_until timestamptz
);
INSERT INTO pulses (name) VALUES ('stripe'), ('enhance'), ('passes');

INSERT INTO schema_migrations (version, name) VALUES (8, 'pulses');
COMMIT;
