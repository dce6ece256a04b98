-- The ledger as a list, newest first. What is rare has an index of its own; what is common is met soon in any order.

BEGIN;

CREATE INDEX actions_at_idx ON actions (at, id);
CREATE INDEX actions_kind_idx ON actions (kind, at, id);
CREATE INDEX actions_persons_idx ON actions (actor, at, id) WHERE actor <> 'bridge';
CREATE INDEX actions_rare_idx ON actions (state, at, id) WHERE state IN ('unknown', 'failed', 'planned');

INSERT INTO schema_migrations (version, name) VALUES (22, 'ledger_list');
COMMIT;
