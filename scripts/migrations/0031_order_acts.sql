-- What is done to orders by hand: once under each key, and the lists that show what waits for a person.

BEGIN;

-- An act that was done to an order under its caller's key: the same call, sent again, does nothing more.
CREATE TABLE order_acts (
    -- A digest of who calls, of the verb and of the caller's own key.
    idempotency_key text        PRIMARY KEY,
    order_id        uuid        NOT NULL REFERENCES orders,
    -- Of all that was said, so that other words under the same key are refused.
    digest          text        NOT NULL,
    at              timestamptz NOT NULL DEFAULT now()
);

-- Money that came for an offline order, or for one at Stripe, when it had expired or failed already.
ALTER TABLE orders ADD COLUMN paid_late boolean NOT NULL DEFAULT false;
UPDATE orders SET paid_late = true
WHERE order_id IN (SELECT order_id FROM order_steps WHERE kind = 'order' AND detail @> '{"late": true}');
CREATE INDEX orders_late_idx ON orders (created_at DESC, order_id DESC) WHERE paid_late;
-- Whose money waits for whom.
CREATE INDEX orders_escrow_idx ON orders (escrow, created_at DESC, order_id DESC) WHERE escrow IS NOT NULL;

INSERT INTO schema_migrations (version, name) VALUES (31, 'order_acts');
COMMIT;
