-- A page at Stripe that was given to somebody by nothing but the buyer's e-mail, which anybody can type.

BEGIN;

-- From then on whoever has its session's id is told how the purchase stands, and no address of it. It lasts as long as the
-- order, since the id does.
ALTER TABLE orders ADD COLUMN shared boolean NOT NULL DEFAULT false;

INSERT INTO schema_migrations (version, name) VALUES (25, 'shared_pages');
COMMIT;
