-- What the lists of the operators are read by, each a range of one index.

BEGIN;

CREATE INDEX customers_newest_idx ON customers (created_at DESC, provider DESC, customer_id DESC);
-- In the order of their bytes, so that a beginning is a range whatever the language of the database is.
DROP INDEX customers_email_idx;
CREATE INDEX customers_email_idx ON customers (lower(email) COLLATE "C", provider, customer_id);
CREATE INDEX customers_name_idx ON customers (lower(name) COLLATE "C", provider, customer_id);
CREATE INDEX services_domain_idx ON services (domain COLLATE "C", provider, customer_id) WHERE domain IS NOT NULL;
CREATE INDEX services_state_idx ON services (state, provider, customer_id);
CREATE INDEX services_held_idx ON services (provider, customer_id) INCLUDE (holds) WHERE holds <> '{}';
DROP INDEX due_parked_idx;
CREATE INDEX due_parked_idx ON due (kind, parked_reason, key) WHERE parked_reason IS NOT NULL;
DROP INDEX events_received_idx;
CREATE INDEX events_received_idx ON events (received_at, event_id);

INSERT INTO schema_migrations (version, name) VALUES (3, 'lists');
COMMIT;
