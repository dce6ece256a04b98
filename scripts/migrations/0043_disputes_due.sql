-- Disputes as a list: the open ones by when they are due, also those of no order; and those that are over, newest first.

BEGIN;

CREATE INDEX disputes_open_due_idx ON disputes ((coalesce(due_by, 'infinity'::timestamptz)), dispute_id)
    WHERE status NOT IN ('won', 'lost', 'prevented', 'warning_closed');
CREATE INDEX disputes_over_idx ON disputes (created_at, dispute_id)
    WHERE status IN ('won', 'lost', 'prevented', 'warning_closed');
-- What a brake keeps as it is, among all that waits.
CREATE INDEX due_braked_idx ON due (kind, key) WHERE waits_for = 'brake';

INSERT INTO schema_migrations (version, name) VALUES (43, 'disputes_due');
COMMIT;
