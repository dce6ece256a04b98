-- What an event or a person asked for goes before what a sweep found; a mapping's open transaction holds nobody up.

BEGIN;

ALTER TABLE due
    -- 0: an event or a person asked for it. 1: routine, such as what a sweep found or a date that has come.
    ADD COLUMN priority smallint NOT NULL DEFAULT 0 CHECK (priority IN (0, 1));
-- A claim looks up the due rows of one priority and then of the other, oldest first.
CREATE INDEX due_claim_idx ON due (priority, due_at) WHERE due_at IS NOT NULL;
DROP INDEX due_due_at_idx;

-- Whoever waits for this very price has paid for something; all others live by it, and there may be thousands.
CREATE OR REPLACE FUNCTION nudge_customers_of_price(wanted_provider text, price text) RETURNS void LANGUAGE sql AS $$
    INSERT INTO due (kind, key, due_at, priority)
    SELECT 'customer', customer_id, clock_timestamp(), min(priority)
    FROM (
        SELECT customer_id, 1 AS priority FROM services WHERE provider = wanted_provider AND price_id = price
        UNION ALL
        SELECT customer_id, 1 FROM subscriptions WHERE provider = wanted_provider AND prices @> ARRAY[price]
        UNION ALL
        SELECT key, 0 FROM due
        WHERE kind = 'customer' AND parked_reason IS NOT NULL
            AND (problems @> jsonb_build_array(jsonb_build_object('reason', 'unmapped_price', 'subject', price))
                OR problems @> '[{"reason": "plan_not_found"}]')
    ) AS affected
    GROUP BY customer_id ORDER BY customer_id
    ON CONFLICT (kind, key) DO UPDATE
        SET due_at = least(due.due_at, excluded.due_at), priority = least(due.priority, excluded.priority),
            generation = due.generation + 1, updated_at = clock_timestamp();
$$;
-- At the end of the transaction: a person may leave one open for long, and the rows of the queue that were locked by it
-- would keep the events of those customers waiting.
DROP TRIGGER plan_mappings_nudge ON plan_mappings;
CREATE CONSTRAINT TRIGGER plan_mappings_nudge AFTER INSERT OR UPDATE OR DELETE ON plan_mappings
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION plan_mapping_changed();
DROP TRIGGER plan_rules_nudge ON plan_rules;
CREATE CONSTRAINT TRIGGER plan_rules_nudge AFTER INSERT OR UPDATE OR DELETE ON plan_rules
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION plan_rule_changed();

INSERT INTO schema_migrations (version, name) VALUES (7, 'priority');
COMMIT;
