-- The list of what waits for a person begins behind any row of it.

BEGIN;

CREATE INDEX due_parked_key_idx ON due (kind, key) WHERE parked_reason IS NOT NULL;

INSERT INTO schema_migrations (version, name) VALUES (13, 'parked_list');
COMMIT;
