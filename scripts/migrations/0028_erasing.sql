-- Erasing a person reaches the logs of their orders: what Stripe said in an error may quote what was typed.

BEGIN;

CREATE OR REPLACE FUNCTION order_steps_are_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    -- As in the ledger, erasing on request is the one exception; it says so for its own transaction only.
    IF TG_OP = 'UPDATE' AND current_setting('bridge.erasing', true) = 'on' THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION 'the log of an order is append-only' USING ERRCODE = 'check_violation';
END $$;

INSERT INTO schema_migrations (version, name) VALUES (28, 'erasing');
COMMIT;
