-- The newest changes to mappings, to be set back.

BEGIN;

CREATE INDEX actions_mapping_idx ON actions (id) WHERE kind = 'mapping' AND state = 'noted';

INSERT INTO schema_migrations (version, name) VALUES (33, 'mapping_changes');
COMMIT;
