-- Who asked for a sweep; empty where it is the schedule's.

BEGIN;

ALTER TABLE sweeps
    ADD COLUMN asked_by text,
    -- And for the one that follows it.
    ADD COLUMN again_by text;

INSERT INTO schema_migrations (version, name) VALUES (35, 'sweep_asked');
COMMIT;
