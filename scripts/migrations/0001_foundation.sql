-- The foundation: what came in (events), what needs a pass (due), what we remember (customers, services), what we did
-- (actions), and what the operator sells (plan_mappings, plan_rules).
-- Everything is keyed by the billing provider's customer, so that a sharded Postgres could split it.

BEGIN;

-- What has been applied. Each file ends with its own row, so that one pasted into an SQL editor is known afterwards.
CREATE TABLE IF NOT EXISTS schema_migrations (
    version    integer     PRIMARY KEY,
    name       text        NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now()
);

-- A received provider event, kept whole: the body byte for byte as it came.
CREATE TABLE events (
    provider    text        NOT NULL DEFAULT 'stripe',
    event_id    text        NOT NULL,
    type        text        NOT NULL,
    livemode    boolean,
    -- The object it speaks of and its customer: all that is ever believed of a payload.
    object_id   text,
    customer_id text,
    created_at  timestamptz,
    received_at timestamptz NOT NULL DEFAULT now(),
    -- accepted: someone was made due. ignored: another mode or account, or nothing we act on. unreadable: signed, but no event.
    outcome     text        NOT NULL CHECK (outcome IN ('accepted', 'ignored', 'unreadable')),
    error       text,
    -- webhook: delivered. sweep: found missing by the sweep.
    source      text        NOT NULL DEFAULT 'webhook',
    body        text        NOT NULL,
    PRIMARY KEY (provider, event_id)
);
CREATE INDEX events_received_idx ON events (received_at);
CREATE INDEX events_customer_idx ON events (provider, customer_id, received_at) WHERE customer_id IS NOT NULL;
-- lz4 costs an acknowledgement less than pglz; servers built without it keep the default.
DO $$
BEGIN
    ALTER TABLE events ALTER COLUMN body SET COMPRESSION lz4;
EXCEPTION WHEN feature_not_supported THEN
    NULL;
END $$;

-- The work queue: one row per thing that needs a pass. A thousand events for one customer are one row.
CREATE TABLE due (
    kind          text        NOT NULL,
    key           text        NOT NULL,
    -- When the next pass may start; NULL: parked until an event, an admin or a sweep says otherwise.
    due_at        timestamptz DEFAULT now(),
    -- Raised by every nudge: a pass that settles an older generation leaves the row due.
    generation    bigint      NOT NULL DEFAULT 1,
    -- Failures in a row; reset by a pass that does not fail.
    attempts      integer     NOT NULL DEFAULT 0,
    -- When the retry curve lets it run by itself. A pass before that, because an event or a person asked for it, is no
    -- attempt: else a busy customer would use up the curve in a short outage.
    retry_at      timestamptz,
    lease_id      uuid,
    leased_until  timestamptz,
    last_error    text,
    waits_for     text,
    parked_reason text,
    parked_at     timestamptz,
    -- Every problem of the last pass: [{"reason", "detail", "subject"}].
    problems      jsonb       NOT NULL DEFAULT '[]',
    created_at    timestamptz NOT NULL DEFAULT now(),
    updated_at    timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (kind, key),
    -- A lease has an end, and only a lease has one.
    CHECK ((lease_id IS NULL) = (leased_until IS NULL)),
    -- A row without a date is one that a person must see.
    CHECK (due_at IS NOT NULL OR parked_reason IS NOT NULL),
    CHECK ((parked_reason IS NULL) = (parked_at IS NULL))
) WITH (fillfactor = 70);
CREATE INDEX due_due_at_idx ON due (due_at) WHERE due_at IS NOT NULL;
CREATE INDEX due_leases_idx ON due (leased_until) WHERE leased_until IS NOT NULL;
CREATE UNIQUE INDEX due_lease_idx ON due (lease_id) WHERE lease_id IS NOT NULL;
CREATE INDEX due_parked_idx ON due (parked_reason) WHERE parked_reason IS NOT NULL;

-- Things of which there is one over all processes, such as the creation of a website. Always taken with an end.
CREATE TABLE leases (
    name         text PRIMARY KEY,
    holder       uuid        NOT NULL,
    leased_until timestamptz NOT NULL
);

-- A payer at a billing provider, and their organisation, login and membership in the panel.
CREATE TABLE customers (
    provider    text        NOT NULL DEFAULT 'stripe',
    customer_id text        NOT NULL,
    livemode    boolean     NOT NULL DEFAULT true,
    email       text,
    name        text,
    org_id      uuid,
    -- The name we last gave the organisation; it carries our mark until the id is safely remembered. After somebody
    -- renamed it in the panel it is their name, so that the next pass gives it ours again.
    org_name    text,
    login_id    uuid,
    member_id   uuid,
    welcomed_at timestamptz,
    created_at  timestamptz NOT NULL DEFAULT now(),
    updated_at  timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (provider, customer_id)
);
-- One organisation belongs to one payer.
CREATE UNIQUE INDEX customers_org_idx ON customers (org_id) WHERE org_id IS NOT NULL;
CREATE INDEX customers_email_idx ON customers (lower(email) text_pattern_ops);

-- One hosting subscription that we answer for.
CREATE TABLE services (
    provider              text        NOT NULL DEFAULT 'stripe',
    customer_id           text        NOT NULL,
    subscription_id       text        NOT NULL,
    -- The number of the service within its subscription, from 1; never used twice.
    slot                  integer     NOT NULL CHECK (slot >= 1),
    item_id               text        NOT NULL,
    price_id              text        NOT NULL,
    -- The mapping's plan that was last made true, as the mapping spells it.
    plan                  text,
    state                 text        NOT NULL DEFAULT 'pending'
        CHECK (state IN ('pending', 'live', 'suspended', 'terminated')),
    panel_subscription_id integer,
    panel_plan_id         integer,
    website_id            uuid,
    domain                text,
    domain_sought_at      timestamptz,
    holds                 text[]      NOT NULL DEFAULT '{}'
        CHECK (holds <@ ARRAY['unpaid', 'paused', 'ended', 'dispute', 'refund', 'admin']),
    -- What the panel wrote into suspendedBy when we suspended it; anything else there is somebody else's suspension.
    suspended_by          uuid,
    -- Somebody in the panel suspended it; shown, never lifted.
    panel_suspended       boolean     NOT NULL DEFAULT false,
    grace_until           timestamptz,
    -- A one-off date set by an admin.
    grace_override        timestamptz,
    ended_at              timestamptz,
    retain_until          timestamptz,
    waits_for             text,
    created_at            timestamptz NOT NULL DEFAULT now(),
    updated_at            timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (provider, subscription_id, slot),
    FOREIGN KEY (provider, customer_id) REFERENCES customers,
    -- What the panel has given an id is no longer pending.
    CHECK ((panel_subscription_id IS NULL) = (state = 'pending'))
);
CREATE INDEX services_customer_idx ON services (provider, customer_id);
CREATE INDEX services_price_idx ON services (provider, price_id);
-- For the brake: whether there are a hundred live ones.
CREATE INDEX services_live_idx ON services (state) WHERE state = 'live';
-- A hosting subscription answers to one service: this is what makes a second provisioning impossible to remember.
CREATE UNIQUE INDEX services_panel_idx ON services (panel_subscription_id) WHERE panel_subscription_id IS NOT NULL;
CREATE UNIQUE INDEX services_website_idx ON services (website_id) WHERE website_id IS NOT NULL;

-- The ledger: every change in the panel, from its intent to its proof. Facts are only ever added.
CREATE TABLE actions (
    id              bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    -- Groups the facts of one action.
    action_id       uuid        NOT NULL,
    pass_id         uuid,
    at              timestamptz NOT NULL DEFAULT clock_timestamp(),
    provider        text        NOT NULL DEFAULT 'stripe',
    customer_id     text        NOT NULL,
    subscription_id text,
    slot            integer,
    kind            text        NOT NULL,
    -- intent: about to be done. unknown: the answer was lost. applied: the panel said yes. verified: read back and seen.
    -- failed: did not happen, or not for certain, and is done again if it is still needed.
    -- planned: would be done (shadow mode). noted: nothing to do in the panel, but worth knowing.
    state           text        NOT NULL
        CHECK (state IN ('intent', 'unknown', 'applied', 'verified', 'failed', 'planned', 'noted')),
    -- The rule of lib/policy that led to it.
    rule            text,
    before          jsonb,
    after           jsonb,
    -- What was known when it was decided.
    facts           jsonb,
    error           text,
    actor           text        NOT NULL DEFAULT 'bridge'
);
CREATE INDEX actions_customer_idx ON actions (provider, customer_id, id);
-- Each fact of an action is written once, also when the answer to writing it was lost and it is written again.
CREATE UNIQUE INDEX actions_fact_idx ON actions (action_id, state);
-- For the brake: suspensions and terminations of the last hour.
CREATE INDEX actions_braked_idx ON actions (at) WHERE state = 'intent' AND kind IN ('suspend', 'terminate');
-- Whom the panel has named for the newest of our suspensions.
CREATE INDEX actions_suspended_idx ON actions (id) WHERE state = 'verified' AND kind = 'suspend';
-- For the dashboard: what was done within a day.
CREATE INDEX actions_applied_idx ON actions (at) WHERE state = 'applied';

CREATE FUNCTION actions_are_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    -- Erasing personal data on request is the one exception; it says so for its own transaction only.
    IF TG_OP = 'UPDATE' AND current_setting('bridge.erasing', true) = 'on' THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION 'the ledger is append-only';
END $$;
CREATE TRIGGER actions_append_only BEFORE UPDATE OR DELETE ON actions
    FOR EACH ROW EXECUTE FUNCTION actions_are_append_only();

-- A billing plan (at Stripe: a price) and the panel plan it buys.
CREATE TABLE plan_mappings (
    billing_provider text        NOT NULL,
    billing_plan_id  text        NOT NULL CHECK (btrim(billing_plan_id) <> ''),
    -- The panel plan's integer id, or its exact name.
    enhance_plan_id  text        CHECK (btrim(enhance_plan_id) <> ''),
    kind             text        NOT NULL DEFAULT 'service' CHECK (kind IN ('service', 'addon', 'ignore')),
    -- When an active subscription is switched on: once money is settled, or already while a bank debit is under way.
    activate_on      text        NOT NULL DEFAULT 'paid' CHECK (activate_on IN ('paid', 'processing')),
    grace_days       integer     CHECK (grace_days BETWEEN 0 AND 365),
    create_website   boolean     NOT NULL DEFAULT true,
    server_group_id  uuid,
    created_at       timestamptz NOT NULL DEFAULT now(),
    updated_at       timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (billing_provider, billing_plan_id),
    -- Only a price that buys nothing by itself may name no plan.
    CHECK (kind <> 'service' OR enhance_plan_id IS NOT NULL)
);

-- What a base plan and an add-on buy together: the panel has no stackable add-ons.
CREATE TABLE plan_rules (
    billing_provider text    NOT NULL DEFAULT 'stripe',
    base_plan_id     text    NOT NULL,
    addon_plan_id    text    NOT NULL,
    min_quantity     integer NOT NULL DEFAULT 1 CHECK (min_quantity >= 1),
    enhance_plan_id  text    NOT NULL CHECK (btrim(enhance_plan_id) <> ''),
    PRIMARY KEY (billing_provider, base_plan_id, addon_plan_id, min_quantity)
);

-- What Stripe said of a subscription when its customer last came to rest: the sweep compares with this, in bulk.
CREATE TABLE subscriptions (
    provider        text        NOT NULL DEFAULT 'stripe',
    subscription_id text        NOT NULL,
    customer_id     text        NOT NULL,
    fingerprint     text        NOT NULL,
    -- Of every item, add-ons and ignored ones too: whom a mapping that changes concerns.
    prices          text[]      NOT NULL DEFAULT '{}',
    updated_at      timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (provider, subscription_id)
);
CREATE INDEX subscriptions_customer_idx ON subscriptions (provider, customer_id);
CREATE INDEX subscriptions_prices_idx ON subscriptions USING gin (prices);

-- A mapping that appears or changes, also by plain SQL, makes those due who wait for it or live by it.
CREATE FUNCTION nudge_customers_of_price(wanted_provider text, price text) RETURNS void LANGUAGE sql AS $$
    INSERT INTO due (kind, key)
    SELECT 'customer', customer_id
    FROM (
        SELECT customer_id FROM services WHERE provider = wanted_provider AND price_id = price
        UNION
        SELECT customer_id FROM subscriptions WHERE provider = wanted_provider AND prices @> ARRAY[price]
        UNION
        SELECT key FROM due
        WHERE kind = 'customer' AND parked_reason IS NOT NULL
            AND (problems @> jsonb_build_array(jsonb_build_object('reason', 'unmapped_price', 'subject', price))
                OR problems @> '[{"reason": "plan_not_found"}]')
    ) AS affected
    ORDER BY customer_id
    ON CONFLICT (kind, key) DO UPDATE
        SET due_at = least(due.due_at, now()), generation = due.generation + 1, updated_at = now();
$$;
CREATE FUNCTION plan_mapping_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP <> 'INSERT' THEN
        PERFORM nudge_customers_of_price(OLD.billing_provider, OLD.billing_plan_id);
    END IF;
    IF TG_OP <> 'DELETE' THEN
        PERFORM nudge_customers_of_price(NEW.billing_provider, NEW.billing_plan_id);
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER plan_mappings_nudge AFTER INSERT OR UPDATE OR DELETE ON plan_mappings
    FOR EACH ROW EXECUTE FUNCTION plan_mapping_changed();
CREATE FUNCTION plan_rule_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP <> 'INSERT' THEN
        PERFORM nudge_customers_of_price(OLD.billing_provider, OLD.base_plan_id);
        PERFORM nudge_customers_of_price(OLD.billing_provider, OLD.addon_plan_id);
    END IF;
    IF TG_OP <> 'DELETE' THEN
        PERFORM nudge_customers_of_price(NEW.billing_provider, NEW.base_plan_id);
        PERFORM nudge_customers_of_price(NEW.billing_provider, NEW.addon_plan_id);
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER plan_rules_nudge AFTER INSERT OR UPDATE OR DELETE ON plan_rules
    FOR EACH ROW EXECUTE FUNCTION plan_rule_changed();

INSERT INTO schema_migrations (version, name) VALUES (1, 'foundation');
COMMIT;
