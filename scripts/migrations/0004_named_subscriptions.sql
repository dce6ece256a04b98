-- The subscription that an event speaks of or belongs to: a pass reads it by its id when the customer's list lacks it.

BEGIN;

ALTER TABLE events ADD COLUMN subscription_id text;
-- Events about an object whose customer is found out later.
CREATE INDEX events_unowned_idx ON events (provider, object_id) WHERE customer_id IS NULL;

INSERT INTO schema_migrations (version, name) VALUES (4, 'named_subscriptions');
COMMIT;
