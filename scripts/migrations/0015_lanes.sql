-- Kinds of passes in lanes, each with places of its own: what hangs in one takes no place in another.

BEGIN;

ALTER TABLE due
    -- panel: changes the panel. stripe: only reads Stripe and remembers. out: sends something to others.
    ADD COLUMN lane text NOT NULL DEFAULT 'panel' CHECK (lane IN ('panel', 'stripe', 'out'));
UPDATE due SET lane = 'stripe' WHERE kind <> 'customer';
-- A claim looks up the due rows of one lane and priority, oldest first, and counts the leases of its lane.
DROP INDEX due_claim_idx;
CREATE INDEX due_claim_idx ON due (lane, priority, due_at) WHERE due_at IS NOT NULL;
DROP INDEX due_leases_idx;
CREATE INDEX due_leases_idx ON due (lane, leased_until) WHERE leased_until IS NOT NULL;

INSERT INTO schema_migrations (version, name) VALUES (15, 'lanes');
COMMIT;
