-- Who is suspended or deleted next, in the order of the dates.

BEGIN;

CREATE INDEX services_grace_idx ON services (grace_until, subscription_id, slot)
    WHERE state = 'live' AND grace_until IS NOT NULL;
CREATE INDEX services_ends_idx ON services (ends_at, subscription_id, slot)
    WHERE state = 'live' AND ends_at IS NOT NULL;
CREATE INDEX services_retention_idx ON services (retain_until, subscription_id, slot)
    WHERE state = 'suspended' AND retain_until IS NOT NULL;

-- Whoever is held for one cause, however many are for another.
CREATE INDEX services_held_unpaid_idx ON services (provider, customer_id) WHERE holds @> ARRAY['unpaid']::text[];
CREATE INDEX services_held_paused_idx ON services (provider, customer_id) WHERE holds @> ARRAY['paused']::text[];
CREATE INDEX services_held_ended_idx ON services (provider, customer_id) WHERE holds @> ARRAY['ended']::text[];
CREATE INDEX services_held_dispute_idx ON services (provider, customer_id) WHERE holds @> ARRAY['dispute']::text[];
CREATE INDEX services_held_refund_idx ON services (provider, customer_id) WHERE holds @> ARRAY['refund']::text[];
CREATE INDEX services_held_admin_idx ON services (provider, customer_id) WHERE holds @> ARRAY['admin']::text[];

INSERT INTO schema_migrations (version, name) VALUES (27, 'upcoming');
COMMIT;
