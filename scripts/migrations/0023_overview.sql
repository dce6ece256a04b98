-- What the overview shows, each a range of one index, however many customers there are and however long the ledger is.
-- None has a column that every write changes: the rows of services stay cheap to write.

BEGIN;

-- When hosting was first seen to run.
CREATE INDEX actions_made_idx ON actions (at) WHERE kind = 'create_subscription' AND state = 'verified';
-- What calls for a look.
CREATE INDEX services_website_gone_idx ON services (subscription_id, slot)
    WHERE website_gone AND state <> 'terminated';
CREATE INDEX services_domain_differs_idx ON services (subscription_id, slot) WHERE waits_for = 'domain_differs';
CREATE INDEX services_panel_suspended_idx ON services (subscription_id, slot) WHERE panel_suspended;
CREATE INDEX customers_org_suspended_idx ON customers (customer_id) WHERE org_suspended;
CREATE INDEX customers_erased_idx ON customers (customer_id) WHERE erased_at IS NOT NULL AND org_id IS NULL;

INSERT INTO schema_migrations (version, name) VALUES (23, 'overview');
COMMIT;
