-- Orders are found by every word that somebody has left of themselves, at a checkout and when offline money comes.

BEGIN;

CREATE INDEX orders_domain_idx ON orders (domain) WHERE domain IS NOT NULL;
CREATE INDEX orders_reference_of_shop_idx ON orders (client_reference) WHERE client_reference IS NOT NULL;
CREATE INDEX orders_address_idx ON orders (lower(btrim(email))) WHERE email IS NOT NULL;

INSERT INTO schema_migrations (version, name) VALUES (37, 'one_debt');
COMMIT;
