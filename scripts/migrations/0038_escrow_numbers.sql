-- What of a seller's money is here, what was paid out of it, and since when nothing has happened to it.

BEGIN;

ALTER TABLE orders
    -- What of `seller_net` is here for them now: less what never came and what went back. NULL: nobody has looked yet.
    ADD COLUMN seller_due  bigint CHECK (seller_due >= 0),
    -- What was paid out to them, by an operator's word.
    ADD COLUMN released    bigint CHECK (released >= 0),
    -- From when the quiet days of what is held count. NULL: they do not begin before something else happens.
    ADD COLUMN quiet_since timestamptz;
UPDATE orders SET released = greatest(coalesce(seller_net, amount, 0), 0) WHERE escrow = 'released';
UPDATE orders SET seller_due = released WHERE escrow = 'released';
ALTER TABLE orders
    ADD CHECK (seller_id IS NOT NULL OR num_nonnulls(seller_due, released, quiet_since) = 0),
    ADD CHECK (seller_net IS NULL OR seller_due <= greatest(seller_net, 0)),
    ADD CHECK (released IS NULL OR escrow = 'released');
-- Paid out is paid out.
CREATE FUNCTION orders_stay_released() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the money of order % was paid out to its seller', OLD.order_id USING ERRCODE = 'check_violation';
END $$;
CREATE TRIGGER orders_stay_released BEFORE UPDATE ON orders
    FOR EACH ROW WHEN (OLD.escrow = 'released' AND (NEW.escrow IS DISTINCT FROM 'released'
        OR NEW.released IS DISTINCT FROM OLD.released))
    EXECUTE FUNCTION orders_stay_released();

-- Whose quiet days are over, and who was decided before there were these columns: what a sweep looks at once more.
CREATE INDEX orders_held_idx ON orders (quiet_since) WHERE escrow = 'held';
CREATE INDEX orders_due_to_seller_idx ON orders (order_id) WHERE escrow IN ('held', 'releasable') AND seller_due IS NULL;

-- When its status changed last to one that ends it: a refund can fail weeks after it had succeeded.
ALTER TABLE refunds ADD COLUMN ended_at timestamptz;

INSERT INTO schema_migrations (version, name) VALUES (38, 'escrow_numbers');
COMMIT;
