-- A mapping of an offline provider makes its own customers due: by the text of their keys, as the queue writes them.

BEGIN;

CREATE OR REPLACE FUNCTION nudge_customers_of_price(wanted_provider text, price text) RETURNS void LANGUAGE sql AS $$
    INSERT INTO due (kind, key, due_at, priority)
    SELECT 'customer', key, clock_timestamp(), min(priority)
    FROM (
        SELECT CASE wanted_provider WHEN 'stripe' THEN '' ELSE wanted_provider || ':' END || customer_id AS key,
            1 AS priority
        FROM (
            SELECT customer_id FROM services WHERE provider = wanted_provider AND price_id = price
            UNION ALL
            SELECT customer_id FROM subscriptions WHERE provider = wanted_provider AND prices @> ARRAY[price]
        ) AS theirs
        UNION ALL
        SELECT key, 0 FROM due
        WHERE kind = 'customer' AND parked_reason IS NOT NULL
            AND (problems @> jsonb_build_array(jsonb_build_object('reason', 'unmapped_price', 'subject', price))
                OR problems @> '[{"reason": "plan_not_found"}]')
    ) AS affected
    GROUP BY key ORDER BY key
    ON CONFLICT (kind, key) DO UPDATE
        SET due_at = least(due.due_at, excluded.due_at), priority = least(due.priority, excluded.priority),
            generation = due.generation + 1, updated_at = clock_timestamp();
$$;

INSERT INTO schema_migrations (version, name) VALUES (20, 'offline_plans');
COMMIT;
