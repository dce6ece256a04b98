-- A body is kept as it came: it goes to the database beside the document that tells about it. Inside, 3.5 kB were
-- written with escapes by the sender and read again here, for every event.

BEGIN;

-- Store events and mark their subjects due; the ids that were new. `documents` is a JSON array of events as they go
-- into the inbox, each with its `nudges`: [[kind, key, lane], ...]; `bodies` are theirs, in the same order. The code of
-- before goes on with the function of before while it is being replaced.
CREATE FUNCTION accept_events(given_source text, documents json, bodies text[]) RETURNS SETOF text
LANGUAGE plpgsql AS $$
BEGIN
    RETURN QUERY
    WITH incoming AS (
        SELECT * FROM ROWS FROM (json_to_recordset(documents) AS (event_id text, type text, livemode boolean,
            object_id text, customer_id text, subscription_id text, created_at timestamptz, outcome text, error text,
            nudges json)) WITH ORDINALITY AS e (event_id, type, livemode, object_id, customer_id, subscription_id,
            created_at, outcome, error, nudges, number)
    ), stored AS (
        INSERT INTO events (provider, source, event_id, type, livemode, object_id, customer_id, subscription_id,
            created_at, outcome, error, body)
        SELECT 'stripe', given_source, e.event_id, e.type, e.livemode, e.object_id, e.customer_id, e.subscription_id,
            -- Of whom was erased no body is kept again. One value is looked up by its key: for EXISTS the plan that is
            -- kept, which reckons with a hundred events at a time, went through all customers at each event.
            e.created_at, e.outcome, e.error, CASE WHEN (
                SELECT c.erased_at FROM customers c WHERE c.provider = 'stripe' AND c.customer_id = e.customer_id
            ) IS NOT NULL THEN '{}' ELSE bodies[e.number] END
        FROM incoming e ORDER BY e.event_id
        ON CONFLICT (provider, event_id) DO NOTHING
        RETURNING events.event_id
    ), nudged AS (
        INSERT INTO due (kind, key, lane)
        SELECT DISTINCT n ->> 0, n ->> 1, n ->> 2
        FROM incoming JOIN stored USING (event_id), json_array_elements(incoming.nudges) AS n
        -- Two batches never wait for each other in a circle.
        ORDER BY 1, 2
        ON CONFLICT (kind, key) DO UPDATE
            SET due_at = least(due.due_at, excluded.due_at), priority = least(due.priority, excluded.priority),
                lane = excluded.lane, generation = due.generation + 1, updated_at = now()
    )
    SELECT stored.event_id FROM stored;
END $$;

INSERT INTO schema_migrations (version, name) VALUES (45, 'accept_bodies');
COMMIT;
