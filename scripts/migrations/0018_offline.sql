-- Offline money at work: what is to be given back, orders that nothing was made for, organisations that are shared.

BEGIN;

-- Also what came for an order that is over, and what of it went back: before, only a surplus could be returned.
ALTER TABLE orders DROP COLUMN overpaid;
ALTER TABLE orders ADD COLUMN overpaid bigint GENERATED ALWAYS AS (
    CASE WHEN provider = 'stripe' OR amount IS NULL THEN 0
        WHEN state IN ('expired', 'failed') THEN collected - returned
        ELSE greatest(collected - amount, 0) - returned END
) STORED;
DO $$
DECLARE
    rule text;
BEGIN
    SELECT conname INTO STRICT rule FROM pg_constraint
    WHERE conrelid = 'orders'::regclass AND contype = 'c' AND pg_get_constraintdef(oid) LIKE '%returned <= GREATEST%';
    EXECUTE format('ALTER TABLE orders DROP CONSTRAINT %I', rule);
END $$;
-- No more is given back than there was of it: of an order that is over, all that came.
ALTER TABLE orders ADD CHECK (returned >= 0 AND returned <=
    CASE WHEN state IN ('expired', 'failed') THEN collected ELSE greatest(collected - coalesce(amount, 0), 0) END);

-- When hosting of a paid order was first seen to run. NULL of a paid one: nothing runs for it yet.
ALTER TABLE orders ADD COLUMN served_at timestamptz;
CREATE FUNCTION orders_are_served() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM services WHERE provider = NEW.provider AND state = 'live' AND subscription_id =
            CASE WHEN NEW.provider = 'stripe' THEN NEW.subscription_id
                ELSE 'off_' || replace(NEW.line_id::text, '-', '') END) THEN
        NEW.served_at := clock_timestamp();
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER orders_are_served BEFORE INSERT OR UPDATE ON orders
    FOR EACH ROW WHEN (NEW.state = 'paid' AND NEW.served_at IS NULL) EXECUTE FUNCTION orders_are_served();
CREATE FUNCTION services_serve_orders() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.provider = 'stripe' THEN
        UPDATE orders SET served_at = clock_timestamp()
        WHERE subscription_id = NEW.subscription_id AND state = 'paid' AND served_at IS NULL;
    ELSIF NEW.subscription_id ~ '^off_[0-9a-f]{32}$' THEN
        UPDATE orders SET served_at = clock_timestamp()
        WHERE line_id = substr(NEW.subscription_id, 5)::uuid AND state = 'paid' AND served_at IS NULL;
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER services_serve_orders AFTER UPDATE OF state ON services
    FOR EACH ROW WHEN (NEW.state = 'live' AND OLD.state <> 'live') EXECUTE FUNCTION services_serve_orders();
CREATE TRIGGER services_serve_new_orders AFTER INSERT ON services
    FOR EACH ROW WHEN (NEW.state = 'live') EXECUTE FUNCTION services_serve_orders();

-- One page of each filter of the list is a range of one index.
CREATE INDEX orders_provider_idx ON orders (provider, created_at DESC, order_id DESC);
CREATE INDEX orders_disputed_idx ON orders (created_at DESC, order_id DESC) WHERE disputed;
CREATE INDEX orders_overpaid_idx ON orders (created_at DESC, order_id DESC) WHERE overpaid > 0;
CREATE INDEX orders_unserved_idx ON orders (created_at DESC, order_id DESC)
    WHERE state = 'paid' AND served_at IS NULL AND mode = 'subscription';
CREATE INDEX orders_offline_open_idx ON orders (created_at DESC, order_id DESC)
    WHERE provider <> 'stripe' AND state IN ('pending', 'paying');
CREATE INDEX orders_their_newest_idx ON orders (provider, customer_id, created_at DESC, order_id DESC)
    WHERE customer_id IS NOT NULL;
DROP INDEX orders_customer_idx;
CREATE INDEX orders_email_idx ON orders (lower(email), created_at DESC, order_id DESC) WHERE email IS NOT NULL;
-- Each line of offline orders once, for the sweep.
CREATE INDEX orders_lines_idx ON orders (order_id) WHERE line_id = order_id;

-- The customer with whom an organisation is shared, as the text of their key: one person, who pays in two ways.
ALTER TABLE customers ADD COLUMN linked_to text CHECK (linked_to <> '');
-- One organisation belongs to one payer, and to those who were linked to them by an operator.
DROP INDEX customers_org_idx;
CREATE UNIQUE INDEX customers_org_idx ON customers (org_id) WHERE org_id IS NOT NULL AND linked_to IS NULL;
CREATE INDEX customers_any_org_idx ON customers (org_id) WHERE org_id IS NOT NULL;

INSERT INTO schema_migrations (version, name) VALUES (18, 'offline');
COMMIT;
