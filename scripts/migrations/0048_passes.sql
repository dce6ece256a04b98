-- A pass begins with one short call: its claim, and with it what is remembered of the customer and what is sold. The
-- backend keeps the plans of a function, also behind a pooler in transaction mode; as statements of their own these
-- were planned anew at each pass, went over the way five times, and kept the lock that all claims share meanwhile.

BEGIN;

-- What is remembered of one customer, with what is sold at their provider: the columns of tables as they are.
CREATE FUNCTION customer_memory(whose_provider text, whose_id text) RETURNS json LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN json_build_object(
        'customer', (
            SELECT to_json(c) FROM customers c WHERE c.provider = whose_provider AND c.customer_id = whose_id),
        'services', (
            SELECT coalesce(json_agg(to_json(s) ORDER BY s.subscription_id, s.slot), '[]')
            FROM services s WHERE s.provider = whose_provider AND s.customer_id = whose_id),
        'intents', (
            SELECT coalesce(json_agg(json_build_object(
                'action_id', i.action_id, 'kind', i.kind, 'subscription_id', i.subscription_id, 'slot', i.slot,
                'facts', i.facts, 'at', i.at, 'lost_at', u.at,
                'answered', coalesce((u.facts ->> 'answered')::boolean, false)) ORDER BY i.id), '[]')
            FROM actions i
            LEFT JOIN actions u ON u.action_id = i.action_id AND u.state = 'unknown'
            WHERE i.provider = whose_provider AND i.customer_id = whose_id AND i.state = 'intent'
                AND NOT EXISTS (
                    SELECT FROM actions e WHERE e.action_id = i.action_id AND e.state IN ('applied', 'failed'))),
        'disputes', (
            SELECT coalesce(json_agg(json_build_array(d.subscription_id, d.status) ORDER BY d.dispute_id), '[]')
            FROM disputes d
            WHERE d.provider = whose_provider AND d.customer_id = whose_id AND d.subscription_id IS NOT NULL
                AND NOT d.waived),
        'refunded', (
            SELECT coalesce(json_agg(whole.invoice_id), '[]') FROM (
                -- One of several payments of a bill is not the whole bill.
                SELECT r.invoice_id FROM refunds r
                WHERE r.provider = whose_provider AND r.customer_id = whose_id AND r.invoice_id IS NOT NULL
                    AND NOT r.waived
                GROUP BY r.invoice_id HAVING bool_or(r.charge_refunded) AND coalesce(
                    sum(r.amount) FILTER (WHERE r.status NOT IN ('failed', 'canceled')) >= max(r.invoice_paid), true)
            ) AS whole),
        'said', (
            SELECT coalesce(json_agg(json_build_array(s.subscription_id, s.fingerprint, s.quantity_let_pass, s.closed)),
                '[]')
            FROM subscriptions s WHERE s.provider = whose_provider AND s.customer_id = whose_id),
        'named', (
            SELECT coalesce(json_agg(DISTINCT e.subscription_id), '[]') FROM events e
            WHERE e.provider = whose_provider AND e.customer_id = whose_id AND e.subscription_id IS NOT NULL
                AND e.outcome = 'accepted' AND e.received_at > now() - interval '3 days'),
        'session_event_at', (
            SELECT max(e.received_at) FROM events e
            WHERE e.provider = whose_provider AND e.customer_id = whose_id AND e.type LIKE 'checkout.session.%'),
        'mappings', (
            SELECT coalesce(json_agg(to_json(m)), '[]') FROM plan_mappings m
            WHERE m.billing_provider = whose_provider),
        'rules', (
            SELECT coalesce(json_agg(to_json(r)), '[]') FROM plan_rules r
            WHERE r.billing_provider = whose_provider));
END $$;

-- The same of whom a row of the queue is about; nothing where that is no customer. Its key is `provider:id`, or an id
-- at Stripe.
CREATE FUNCTION memory_for(kind text, key text) RETURNS json LANGUAGE plpgsql STABLE AS $$
BEGIN
    IF kind <> 'customer' THEN
        RETURN NULL;
    END IF;
    IF split_part(key, ':', 1) IN ('bank_transfer', 'cash_on_delivery') AND split_part(key, ':', 2) <> '' THEN
        RETURN customer_memory(split_part(key, ':', 1), substr(key, strpos(key, ':') + 1));
    END IF;
    RETURN customer_memory('stripe', key);
END $$;

-- Lease up to `most` rows of a lane that are due, while fewer than `places` leases of it exist: of the priority `first`
-- before the other one, the longest waiting before the others. With `only_kind` it is this very row or none, and with
-- `forced` also one whose time has not come. `claims_lock` is what all claims of a lane share.
--
-- Each row is looked up by an index that gives it in its order: everybody waits while one of these runs.
CREATE FUNCTION claim_due(wanted_lane text, places integer, most integer, first smallint, length interval,
    claims_lock bigint, only_kind text DEFAULT NULL, only_key text DEFAULT NULL, forced boolean DEFAULT false)
RETURNS TABLE (kind text, key text, lease_id uuid, generation bigint, attempts integer, parked_reason text,
    retry_at timestamptz, claimed_at timestamptz, memory json)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    moment timestamptz := clock_timestamp();
    room integer;
    picked record;
BEGIN
    -- A look without the lock comes first: with every event somebody asks, and mostly there is no room.
    room := places - (SELECT count(*) FROM due WHERE lane = wanted_lane AND leased_until > moment);
    IF room <= 0 THEN
        RETURN;
    END IF;
    IF only_kind IS NOT NULL THEN
        PERFORM FROM due WHERE kind = only_kind AND key = only_key AND lane = wanted_lane
            AND (due_at <= moment OR forced) AND (leased_until IS NULL OR leased_until <= moment);
    ELSE
        -- Each in its index' order: a plan that reckons with many that are due would look for one in the whole table.
        PERFORM WHERE coalesce(
            (SELECT true FROM due WHERE lane = wanted_lane AND priority = first AND due_at <= moment
                AND (leased_until IS NULL OR leased_until <= moment) ORDER BY due_at LIMIT 1),
            (SELECT true FROM due WHERE lane = wanted_lane AND priority = 1 - first AND due_at <= moment
                AND (leased_until IS NULL OR leased_until <= moment) ORDER BY due_at LIMIT 1));
    END IF;
    IF NOT FOUND THEN
        RETURN;
    END IF;

    PERFORM set_config('lock_timeout', '20s', true);
    PERFORM pg_advisory_xact_lock(claims_lock);
    moment := clock_timestamp();
    room := least(most, places - (SELECT count(*) FROM due WHERE lane = wanted_lane AND leased_until > moment));
    WHILE room > 0 LOOP
        IF only_kind IS NOT NULL THEN
            SELECT kind, key INTO picked FROM due
            WHERE kind = only_kind AND key = only_key AND lane = wanted_lane
                AND (due_at <= moment OR forced) AND (leased_until IS NULL OR leased_until <= moment)
            FOR UPDATE SKIP LOCKED;
        ELSE
            SELECT kind, key INTO picked FROM due
            WHERE lane = wanted_lane AND priority = first AND due_at <= moment
                AND (leased_until IS NULL OR leased_until <= moment)
            ORDER BY due_at LIMIT 1 FOR UPDATE SKIP LOCKED;
            IF NOT FOUND THEN
                SELECT kind, key INTO picked FROM due
                WHERE lane = wanted_lane AND priority = 1 - first AND due_at <= moment
                    AND (leased_until IS NULL OR leased_until <= moment)
                ORDER BY due_at LIMIT 1 FOR UPDATE SKIP LOCKED;
            END IF;
        END IF;
        EXIT WHEN NOT FOUND;
        -- What is remembered is read by a statement that begins with the row locked: a nudge that it does not know of
        -- is not in `generation` either.
        RETURN QUERY UPDATE due SET lease_id = gen_random_uuid(), leased_until = moment + length
        WHERE kind = picked.kind AND key = picked.key
        RETURNING kind, key, lease_id, generation, attempts, parked_reason, retry_at, moment, memory_for(kind, key);
        room := room - 1;
    END LOOP;
END $$;

-- Whether the brake lets an action begin; if not, it is noted as waiting. What a release has shown as waiting passes, and
-- is not counted (`let_pass`). `engaged` says why by the very call that engaged the brake. Whoever asks keeps the lock
-- until what they begin stands in the ledger, so that counting and adding one are a single step.
--
-- `most` within `within`, or `percent` of what is live once there are `meaningful` of them; `enough` live ones are
-- counted, more change nothing. Everybody who suspends waits while this runs: it must not read the whole ledger.
CREATE FUNCTION brake_verdict(counted text, begins uuid, whose_provider text, whose_id text, subscription text,
    which_slot integer, what text, to_plan text, most integer, percent integer, within interval, let_pass_for interval,
    meaningful integer, enough bigint, brake_lock bigint, words text)
RETURNS TABLE (passes boolean, let_pass boolean, engaged text) LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    since timestamptz;
    standing record;
    recent bigint;
    base bigint;
BEGIN
    PERFORM pg_advisory_xact_lock(brake_lock);
    -- Sent once more, because the answer to it was lost: it is counted already.
    IF EXISTS (SELECT FROM actions a WHERE a.action_id = begins AND a.state = 'intent') THEN
        RETURN QUERY SELECT true, false, NULL::text;
        RETURN;
    END IF;
    IF EXISTS (
        SELECT FROM braked b WHERE b.provider = whose_provider AND b.subscription_id = subscription
            AND b.slot = which_slot AND b.kind = what AND b.plan = to_plan
            AND b.released_at > clock_timestamp() - let_pass_for
    ) THEN
        RETURN QUERY SELECT true, true, NULL::text;
        RETURN;
    END IF;

    SELECT b.engaged_at, greatest(clock_timestamp() - within, b.released_at) AS since INTO standing
    FROM brake b WHERE b.counts = counted;
    since := standing.since;
    IF standing.engaged_at IS NULL THEN
        -- What was suspended in the window was live before it, and counts into the hundred. Looked up one by one: as
        -- joins these would read whole tables.
        IF counted = 'suspensions' THEN
            WITH begun AS MATERIALIZED (
                SELECT i.action_id, i.kind, i.provider, i.subscription_id, i.slot FROM actions i
                WHERE i.kind IN ('suspend', 'terminate') AND i.state = 'intent' AND i.at > since
                    AND i.facts ->> 'brake' IS DISTINCT FROM 'let_pass'
            ), counts AS (
                SELECT * FROM begun
                WHERE (SELECT true FROM actions f WHERE f.action_id = begun.action_id AND f.state = 'failed') IS NULL
            )
            SELECT (SELECT count(*) FROM counts), (
                SELECT count(*) FROM (
                    SELECT DISTINCT c.provider, c.subscription_id, c.slot FROM counts c WHERE c.kind = 'suspend') AS r
                WHERE 'live' <> (SELECT s.state FROM services AS s WHERE (s.provider, s.subscription_id, s.slot)
                    = (r.provider, r.subscription_id, r.slot)))
            INTO recent, base;
        ELSE
            WITH begun AS MATERIALIZED (
                SELECT i.action_id FROM actions i
                WHERE i.kind = 'change_plan' AND i.rule IN ('mapping_edited', 'plan_put_back') AND i.state = 'intent'
                    AND i.at > since AND i.facts ->> 'brake' IS DISTINCT FROM 'let_pass'
            )
            SELECT count(*), 0 INTO recent, base FROM begun
            WHERE (SELECT true FROM actions f WHERE f.action_id = begun.action_id AND f.state = 'failed') IS NULL;
        END IF;
        base := base + (SELECT count(*) FROM (SELECT FROM services s WHERE s.state = 'live' LIMIT enough) AS l);
        IF recent < (CASE WHEN base >= meaningful THEN least(most, base * percent / 100) ELSE most END) THEN
            RETURN QUERY SELECT true, false, NULL::text;
            RETURN;
        END IF;
    END IF;

    INSERT INTO braked (provider, customer_id, subscription_id, slot, counts, kind, plan)
    VALUES (whose_provider, whose_id, subscription, which_slot, counted, what, to_plan)
    ON CONFLICT (provider, subscription_id, slot, kind) DO UPDATE SET plan = excluded.plan,
        stopped_at = clock_timestamp(), released_at = NULL;
    IF standing.engaged_at IS NOT NULL THEN
        RETURN QUERY SELECT false, false, NULL::text;
        RETURN;
    END IF;
    RETURN QUERY UPDATE brake b SET engaged_at = clock_timestamp(), reason = recent || ' ' || words ||
        ' within an hour, ' || (
            SELECT coalesce(sum(t.n), 0)::bigint FROM tallies t WHERE t.name = 'services' AND t.labels = '{live}'
        ) || ' services live'
    WHERE b.counts = counted RETURNING false, false, b.reason;
END $$;

INSERT INTO schema_migrations (version, name) VALUES (48, 'passes');
COMMIT;
