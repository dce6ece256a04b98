-- The list of what is due or waiting, in the order of turns, begins behind any row of it, also where many have one date.

BEGIN;

DROP INDEX due_claim_idx;
CREATE INDEX due_claim_idx ON due (lane, priority, due_at, kind, key) WHERE due_at IS NOT NULL;

INSERT INTO schema_migrations (version, name) VALUES (17, 'turns');
COMMIT;
