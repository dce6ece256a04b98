-- Money: orders, their log and their payments, what refunds and disputes are about, the operator's fees, offline money.
-- Amounts are whole minor units in Stripe's sense (see lib/policy/currencies.py). There is no wallet and no balance.

BEGIN;

-- The sum of frozen fee lines, so that a table can check it.
CREATE FUNCTION sum_of_fees(fees jsonb) RETURNS bigint LANGUAGE sql IMMUTABLE AS $$
    SELECT coalesce(sum((line ->> 'amount')::bigint), 0)::bigint FROM jsonb_array_elements(fees) AS line
$$;

-- One purchase. Its id is Stripe's client_reference_id, and the first idempotency key.
CREATE TABLE orders (
    order_id         uuid        PRIMARY KEY,
    provider         text        NOT NULL CHECK (provider IN ('stripe', 'bank_transfer', 'cash_on_delivery')),
    livemode         boolean     NOT NULL DEFAULT true,
    -- checkout: begun by our own. learnt: somebody else began it. admin: offline. renewal: the next period of such a one.
    origin           text        NOT NULL CHECK (origin IN ('checkout', 'learnt', 'admin', 'renewal')),
    mode             text        NOT NULL DEFAULT 'subscription' CHECK (mode IN ('subscription', 'payment')),
    state            text        NOT NULL DEFAULT 'pending'
        CHECK (state IN ('pending', 'paying', 'paid', 'expired', 'failed', 'refunded')),
    -- What is bought. A learnt session may sell several prices at once; then none is named.
    billing_plan_id  text,
    quantity         integer     NOT NULL DEFAULT 1 CHECK (quantity >= 1),
    domain           text,
    -- Who buys. `buyer` is who shares an open session with whom; NULL shares with nobody.
    buyer            text,
    email            text,
    name             text,
    client_reference text,
    customer_id      text,
    seller_id        text,
    -- Digest of all that makes two purchases different.
    fingerprint      text,
    -- The caller's own.
    idempotency_key  text,
    -- The whole request to Stripe, written once: as json, which keeps the order of its fields.
    request          json,
    -- Which idempotency key it is sent with, and when this one was first used.
    key_number       integer     NOT NULL DEFAULT 1 CHECK (key_number >= 1),
    sent_at          timestamptz,
    session_id       text,
    session_url      text,
    subscription_id  text,
    hosted_invoice_url text,
    expires_at       timestamptz,
    currency         text        CHECK (currency ~ '^[a-z]{3}$'),
    -- What it costs as far as was known when it started, and what was asked for in the end.
    amount           bigint      CHECK (amount >= 0),
    total            bigint      CHECK (total >= 0),
    -- The newest attempt to pay.
    attempt          integer     NOT NULL DEFAULT 0 CHECK (attempt >= 0),
    -- Partial refund, dispute and overpayment are columns, and no states.
    refunded         bigint      NOT NULL DEFAULT 0 CHECK (refunded >= 0),
    disputed         boolean     NOT NULL DEFAULT false,
    -- Offline: what came in, by the rows of `collections` (a trigger keeps it), and what was given back of a surplus.
    collected        bigint      NOT NULL DEFAULT 0 CHECK (collected >= 0),
    returned         bigint      NOT NULL DEFAULT 0 CHECK (returned >= 0),
    overpaid         bigint      GENERATED ALWAYS AS (
        CASE WHEN provider <> 'stripe' AND amount IS NOT NULL THEN greatest(collected - amount, 0) - returned ELSE 0 END
    ) STORED,
    -- The operator's fees, frozen when it starts, each with its rule's version: [{"kind", "rule_id", "amount", ...}].
    fees             jsonb       NOT NULL DEFAULT '[]',
    fees_total       bigint      GENERATED ALWAYS AS (sum_of_fees(fees)) STORED,
    -- What is left for whom it was sold for.
    seller_net       bigint,
    escrow           text        CHECK (escrow IN ('held', 'releasable', 'released', 'returned')),
    releasable_at    timestamptz,
    -- Offline: the payment reference, when its money is due, and which time it pays for.
    reference        text,
    due_at           timestamptz,
    period_days      integer     CHECK (period_days BETWEEN 1 AND 3660),
    period_start     timestamptz,
    period_end       timestamptz,
    -- The first order of a line of renewals, and the one whose period this continues.
    line_id          uuid        REFERENCES orders,
    renews           uuid        REFERENCES orders,
    paid_at          timestamptz,
    ended_at         timestamptz,
    cancelled        boolean     NOT NULL DEFAULT false,
    created_at       timestamptz NOT NULL,
    updated_at       timestamptz NOT NULL DEFAULT now(),
    -- Only what somebody else began may come without a plan, and without a currency until it is told.
    CHECK (origin = 'learnt' OR billing_plan_id IS NOT NULL),
    CHECK (origin = 'learnt' OR provider = 'stripe' OR (currency IS NOT NULL AND amount IS NOT NULL)),
    -- A number without its currency is no amount.
    CHECK (currency IS NOT NULL OR (amount IS NULL AND total IS NULL AND refunded = 0 AND collected = 0)),
    -- Offline money is found by its reference, and only offline money is collected.
    CHECK ((provider = 'stripe') = (reference IS NULL)),
    CHECK (provider <> 'stripe' OR (collected = 0 AND returned = 0)),
    -- No more is given back as a surplus than there was of it.
    CHECK (returned <= greatest(collected - coalesce(amount, 0), 0)),
    -- What is paid has a date, and so has what came to its end; a period ends after it began.
    CHECK (state NOT IN ('paid', 'refunded') OR paid_at IS NOT NULL),
    CHECK (state NOT IN ('expired', 'failed') OR ended_at IS NOT NULL),
    CHECK ((period_start IS NULL) = (period_end IS NULL) AND period_end > period_start),
    CHECK (seller_net IS NULL OR (seller_id IS NOT NULL AND seller_net = amount - fees_total)),
    CHECK (escrow IS NULL OR seller_id IS NOT NULL),
    CHECK ((origin = 'renewal') = (renews IS NOT NULL)),
    -- For the foreign key of `collections`: money of another currency can't even be written down.
    UNIQUE (order_id, currency)
);
-- The guard against double purchases: one open order for the same buyer, price, quantity and domain. It lives as long as
-- the session does.
CREATE UNIQUE INDEX orders_open_idx ON orders (buyer, livemode, billing_plan_id, quantity, coalesce(domain, ''))
    WHERE state IN ('pending', 'paying') AND buyer IS NOT NULL AND provider = 'stripe';
-- A caller's key stands for one order, for good.
CREATE UNIQUE INDEX orders_key_idx ON orders (idempotency_key) WHERE idempotency_key IS NOT NULL;
CREATE UNIQUE INDEX orders_session_idx ON orders (session_id) WHERE session_id IS NOT NULL;
CREATE UNIQUE INDEX orders_reference_idx ON orders (reference) WHERE reference IS NOT NULL;
-- A period is continued once.
CREATE UNIQUE INDEX orders_renews_idx ON orders (renews) WHERE renews IS NOT NULL;
CREATE INDEX orders_line_idx ON orders (line_id) WHERE line_id IS NOT NULL;
CREATE INDEX orders_buyer_idx ON orders (buyer, created_at) WHERE buyer IS NOT NULL;
CREATE INDEX orders_customer_idx ON orders (provider, customer_id, created_at) WHERE customer_id IS NOT NULL;
CREATE INDEX orders_subscription_idx ON orders (subscription_id) WHERE subscription_id IS NOT NULL;
CREATE INDEX orders_newest_idx ON orders (created_at DESC, order_id DESC);
CREATE INDEX orders_state_idx ON orders (state, created_at DESC, order_id DESC);

-- What may follow what: the same pairs as in lib/policy/orders.py (a test compares them).
CREATE FUNCTION order_may_move(old_state text, new_state text) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
    SELECT old_state = new_state OR (old_state, new_state) IN (
        ('pending', 'paying'), ('pending', 'paid'), ('pending', 'expired'), ('pending', 'failed'),
        ('paying', 'paid'), ('paying', 'failed'),
        ('failed', 'paid'), ('expired', 'paid'),
        ('paid', 'refunded'), ('refunded', 'paid'))
$$;
CREATE FUNCTION orders_keep_their_word() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        IF NEW.state <> 'pending' THEN
            RAISE EXCEPTION 'an order begins as pending, not as %', NEW.state USING ERRCODE = 'check_violation';
        END IF;
        RETURN NEW;
    END IF;
    IF NOT order_may_move(OLD.state, NEW.state) THEN
        RAISE EXCEPTION 'no order goes from % to %', OLD.state, NEW.state USING ERRCODE = 'check_violation';
    END IF;
    -- What was frozen at its start stays: what Stripe is asked for, what it costs, the operator's fees. Only personal
    -- data is erased on request, which says so for its own transaction.
    IF NEW.provider <> OLD.provider OR NEW.origin <> OLD.origin OR NEW.livemode <> OLD.livemode
        OR NEW.created_at <> OLD.created_at OR NEW.fees <> OLD.fees
        OR (OLD.amount IS NOT NULL AND NEW.amount IS DISTINCT FROM OLD.amount)
        OR (OLD.currency IS NOT NULL AND NEW.currency IS DISTINCT FROM OLD.currency)
        OR (OLD.seller_net IS NOT NULL AND NEW.seller_net IS DISTINCT FROM OLD.seller_net)
        OR (OLD.request IS NOT NULL AND NEW.request::text IS DISTINCT FROM OLD.request::text
            AND coalesce(current_setting('bridge.erasing', true), '') <> 'on') THEN
        RAISE EXCEPTION 'what was frozen when order % started is not changed', OLD.order_id
            USING ERRCODE = 'check_violation';
    END IF;
    -- What came in is counted by `collections` alone.
    IF NEW.collected <> OLD.collected AND pg_trigger_depth() < 2 THEN
        RAISE EXCEPTION 'what order % collected is the sum of its collections', OLD.order_id
            USING ERRCODE = 'check_violation';
    END IF;
    -- An older attempt never takes the place of a newer one.
    IF NEW.attempt < OLD.attempt THEN
        RAISE EXCEPTION 'attempt % of order % is older than %', NEW.attempt, OLD.order_id, OLD.attempt
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER orders_keep_their_word BEFORE INSERT OR UPDATE ON orders
    FOR EACH ROW EXECUTE FUNCTION orders_keep_their_word();

-- An order's log: every step, and what led to it. Only ever added to.
CREATE TABLE order_steps (
    id         bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    order_id   uuid        NOT NULL REFERENCES orders,
    at         timestamptz NOT NULL DEFAULT clock_timestamp(),
    kind       text        NOT NULL CHECK (kind IN ('order', 'session', 'payment', 'breakdown', 'collection', 'refund',
        'dispute', 'escrow')),
    state      text        NOT NULL CHECK (state IN ('started', 'pending', 'succeeded', 'failed')),
    -- Where the order was and is.
    from_state text,
    to_state   text,
    fact       text,
    attempt    integer,
    -- The session, payment, refund or dispute it is about.
    subject    text,
    -- What led to it: event:evt_..., pass:..., admin:anna, bank:...
    cause      text        NOT NULL CHECK (cause <> ''),
    -- Numbers and ids; never an address, a name or a domain, so that erasing a person touches no log.
    detail     jsonb       NOT NULL DEFAULT '{}',
    error      text
);
CREATE INDEX order_steps_order_idx ON order_steps (order_id, id);
CREATE FUNCTION order_steps_are_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the log of an order is append-only' USING ERRCODE = 'check_violation';
END $$;
CREATE TRIGGER order_steps_append_only BEFORE UPDATE OR DELETE ON order_steps
    FOR EACH ROW EXECUTE FUNCTION order_steps_are_append_only();

-- One attempt to pay, or one renewal, with its numbers once the money has settled.
CREATE TABLE payments (
    payment_id           uuid        PRIMARY KEY,
    order_id             uuid        NOT NULL REFERENCES orders,
    provider             text        NOT NULL CHECK (provider IN ('stripe', 'bank_transfer', 'cash_on_delivery')),
    attempt              integer     NOT NULL CHECK (attempt >= 1),
    state                text        NOT NULL
        CHECK (state IN ('pending', 'action_required', 'processing', 'succeeded', 'failed', 'canceled')),
    amount               bigint      NOT NULL CHECK (amount >= 0),
    currency             text        NOT NULL CHECK (currency ~ '^[a-z]{3}$'),
    payment_intent_id    text,
    charge_id            text,
    invoice_id           text,
    failure_code         text,
    failure_message      text,
    paid_at              timestamptz,
    -- The breakdown. NULL of a part: not told. Frozen with settled_at.
    subtotal             bigint,
    discount             bigint,
    tax                  bigint,
    tax_included         bigint,
    shipping             bigint,
    total                bigint,
    paid                 bigint,
    -- What was paid in the currency of the provider's balance, what the provider took, and what is left.
    gross                bigint,
    provider_fee         bigint,
    net                  bigint,
    balance_currency     text        CHECK (balance_currency ~ '^[a-z]{3}$'),
    exchange_rate        numeric     CHECK (exchange_rate > 0),
    -- What the buyer saw.
    presentment_amount   bigint,
    presentment_currency text        CHECK (presentment_currency ~ '^[a-z]{3}$'),
    -- Of each number where it came from: {"total": "invoice", "net": "balance_transaction", ...}.
    sources              jsonb       NOT NULL DEFAULT '{}',
    settled_at           timestamptz,
    created_at           timestamptz NOT NULL,
    updated_at           timestamptz NOT NULL DEFAULT now(),
    UNIQUE (order_id, attempt),
    -- All numbers or none.
    CHECK ((settled_at IS NOT NULL) = (total IS NOT NULL) AND num_nulls(
        subtotal, total, paid, gross, provider_fee, net, balance_currency, settled_at) IN (0, 8)),
    CHECK (settled_at IS NULL OR state = 'succeeded'),
    -- The parts add up: included tax is in the subtotal already.
    CHECK (total = subtotal - coalesce(discount, 0) + coalesce(shipping, 0) + coalesce(tax, 0) - coalesce(tax_included, 0)),
    CHECK ((tax IS NULL) = (tax_included IS NULL)),
    CHECK (net = gross - provider_fee),
    -- Without an exchange both sides are the same amount.
    CHECK (balance_currency <> currency OR gross = paid),
    CHECK (balance_currency = currency OR exchange_rate IS NOT NULL),
    CHECK ((presentment_amount IS NULL) = (presentment_currency IS NULL))
);
-- A PaymentIntent pays one order, once.
CREATE UNIQUE INDEX payments_intent_idx ON payments (payment_intent_id) WHERE payment_intent_id IS NOT NULL;
CREATE INDEX payments_charge_idx ON payments (charge_id) WHERE charge_id IS NOT NULL;
CREATE INDEX payments_invoice_idx ON payments (invoice_id) WHERE invoice_id IS NOT NULL;
-- Whose numbers are still to come.
CREATE INDEX payments_unsettled_idx ON payments (payment_id) WHERE state = 'succeeded' AND settled_at IS NULL;

CREATE FUNCTION payments_keep_their_numbers() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.settled_at IS NOT NULL AND (
            (NEW.subtotal, NEW.discount, NEW.tax, NEW.tax_included, NEW.shipping, NEW.total, NEW.paid, NEW.gross,
                NEW.provider_fee, NEW.net, NEW.balance_currency, NEW.exchange_rate, NEW.presentment_amount,
                NEW.presentment_currency, NEW.sources, NEW.settled_at, NEW.currency, NEW.order_id)
            IS DISTINCT FROM
            (OLD.subtotal, OLD.discount, OLD.tax, OLD.tax_included, OLD.shipping, OLD.total, OLD.paid, OLD.gross,
                OLD.provider_fee, OLD.net, OLD.balance_currency, OLD.exchange_rate, OLD.presentment_amount,
                OLD.presentment_currency, OLD.sources, OLD.settled_at, OLD.currency, OLD.order_id)) THEN
        RAISE EXCEPTION 'the numbers of payment % were frozen when it settled', OLD.payment_id
            USING ERRCODE = 'check_violation';
    END IF;
    -- What is final at the provider stays, whatever an older answer says.
    IF OLD.state IN ('succeeded', 'canceled') AND NEW.state <> OLD.state THEN
        RAISE EXCEPTION 'payment % is % for good', OLD.payment_id, OLD.state USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER payments_keep_their_numbers BEFORE UPDATE ON payments
    FOR EACH ROW EXECUTE FUNCTION payments_keep_their_numbers();

ALTER TABLE refunds
    -- What it takes back.
    ADD COLUMN payment_id   uuid REFERENCES payments,
    ADD COLUMN order_id     uuid REFERENCES orders,
    -- An operator's refund has a row before Stripe is asked: this is its id, the idempotency key, and what the refund's
    -- metadata carry. Until the answer the row's refund_id is the same text, its status is `requested`, and it is waived:
    -- it holds no service, and no sweep asks Stripe for an id that is ours.
    ADD COLUMN request_id   uuid,
    ADD COLUMN requested_by text,
    ADD COLUMN note         text,
    ADD COLUMN failure      text,
    ADD CHECK (amount >= 0),
    ADD CHECK (status <> 'requested' OR (request_id IS NOT NULL AND payment_id IS NOT NULL AND waived));
CREATE UNIQUE INDEX refunds_request_idx ON refunds (request_id) WHERE request_id IS NOT NULL;
-- A payment is locked while one of its refunds waits for its answer.
CREATE UNIQUE INDEX refunds_locked_idx ON refunds (payment_id) WHERE status = 'requested';
CREATE INDEX refunds_payment_idx ON refunds (payment_id) WHERE payment_id IS NOT NULL;
-- Nobody asks for more than is left. The payment's row is locked, so that two requests are counted one after the other.
CREATE FUNCTION refunds_take_what_is_left() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    came bigint;
BEGIN
    SELECT coalesce(paid, amount) INTO came FROM payments WHERE payment_id = NEW.payment_id FOR UPDATE;
    IF NEW.amount > came - (SELECT coalesce(sum(amount), 0) FROM refunds
            WHERE payment_id = NEW.payment_id AND status NOT IN ('failed', 'canceled')) THEN
        RAISE EXCEPTION 'less than % is left of payment %', NEW.amount, NEW.payment_id
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER refunds_take_what_is_left BEFORE INSERT ON refunds
    FOR EACH ROW WHEN (NEW.status = 'requested') EXECUTE FUNCTION refunds_take_what_is_left();

ALTER TABLE disputes
    ADD COLUMN payment_id        uuid REFERENCES payments,
    ADD COLUMN order_id          uuid REFERENCES orders,
    ADD COLUMN payment_intent_id text,
    -- When the evidence must be there, whether some is, and how often it was sent.
    ADD COLUMN due_by            timestamptz,
    ADD COLUMN has_evidence      boolean,
    ADD COLUMN submissions       integer,
    -- The card network's own code for the reason, and whether it is an inquiry or takes the money.
    ADD COLUMN network_reason    text,
    ADD COLUMN case_type         text,
    -- What was taken from the balance with it, and the provider's fee for it.
    ADD COLUMN withdrawn         bigint,
    ADD COLUMN fee               bigint,
    ADD COLUMN closed_at         timestamptz;
CREATE INDEX disputes_payment_idx ON disputes (payment_id) WHERE payment_id IS NOT NULL;
CREATE INDEX disputes_due_idx ON disputes (due_by) WHERE closed_at IS NULL AND due_by IS NOT NULL;

-- The operator's own fees, as plain SQL:
--   INSERT INTO fee_rules (kind, percent, fixed, currency) VALUES ('platform', 2.5, 30, 'eur');
-- A rule is never changed: a newer one of the same kind and scope is the next version, and one of nothing ends it.
CREATE TABLE fee_rules (
    id              bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind            text        NOT NULL CHECK (kind IN ('platform', 'buyer_protection', 'cash_handling', 'shipping')),
    percent         numeric     NOT NULL DEFAULT 0 CHECK (percent BETWEEN 0 AND 100),
    -- Minor units.
    fixed           bigint      NOT NULL DEFAULT 0 CHECK (fixed >= 0),
    minimum         bigint      CHECK (minimum >= 0),
    maximum         bigint      CHECK (maximum >= 0),
    -- NULL of these three: any. The most specific rule counts: a plan says more than a provider, that more than a currency.
    currency        text        CHECK (currency ~ '^[a-z]{3}$'),
    provider        text        CHECK (provider IN ('stripe', 'bank_transfer', 'cash_on_delivery')),
    billing_plan_id text        CHECK (btrim(billing_plan_id) <> ''),
    valid_from      timestamptz NOT NULL DEFAULT now(),
    -- Counted by a trigger within kind and scope.
    version         integer     NOT NULL DEFAULT 0,
    created_at      timestamptz NOT NULL DEFAULT now(),
    CHECK (maximum >= minimum),
    -- Minor units are of a currency.
    CHECK (currency IS NOT NULL OR (fixed = 0 AND minimum IS NULL AND maximum IS NULL))
);
-- Which rule holds at any time is never a matter of chance.
CREATE UNIQUE INDEX fee_rules_scope_idx ON fee_rules
    (kind, coalesce(currency, ''), coalesce(provider, ''), coalesce(billing_plan_id, ''), valid_from);
CREATE UNIQUE INDEX fee_rules_version_idx ON fee_rules
    (kind, coalesce(currency, ''), coalesce(provider, ''), coalesce(billing_plan_id, ''), version);
CREATE FUNCTION fee_rules_are_versions() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        NEW.version := 1 + coalesce((SELECT max(version) FROM fee_rules
            WHERE kind = NEW.kind AND currency IS NOT DISTINCT FROM NEW.currency
                AND provider IS NOT DISTINCT FROM NEW.provider
                AND billing_plan_id IS NOT DISTINCT FROM NEW.billing_plan_id), 0);
        RETURN NEW;
    END IF;
    RAISE EXCEPTION 'a fee rule is never changed: insert a newer one of the same kind and scope'
        USING ERRCODE = 'check_violation';
END $$;
CREATE TRIGGER fee_rules_are_versions BEFORE INSERT OR UPDATE OR DELETE ON fee_rules
    FOR EACH ROW EXECUTE FUNCTION fee_rules_are_versions();

-- Offline money that came in. What is written here happened, so a row is neither changed nor taken away.
CREATE TABLE collections (
    collection_id   uuid        PRIMARY KEY DEFAULT gen_random_uuid(),
    order_id        uuid        NOT NULL,
    provider        text        NOT NULL CHECK (provider IN ('bank_transfer', 'cash_on_delivery')),
    amount          bigint      NOT NULL CHECK (amount > 0),
    currency        text        NOT NULL,
    -- The bank's or the courier's own id of it: the same money is never taken twice.
    external_id     text,
    idempotency_key text,
    collected_at    timestamptz NOT NULL,
    actor           text        NOT NULL,
    recorded_at     timestamptz NOT NULL DEFAULT now(),
    FOREIGN KEY (order_id, currency) REFERENCES orders (order_id, currency)
);
CREATE UNIQUE INDEX collections_external_idx ON collections (provider, external_id) WHERE external_id IS NOT NULL;
CREATE UNIQUE INDEX collections_key_idx ON collections (idempotency_key) WHERE idempotency_key IS NOT NULL;
CREATE INDEX collections_order_idx ON collections (order_id);
CREATE FUNCTION collections_are_counted() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        UPDATE orders SET collected = collected + NEW.amount, updated_at = now() WHERE order_id = NEW.order_id;
        RETURN NULL;
    END IF;
    RAISE EXCEPTION 'money that came in is not written off again: return it' USING ERRCODE = 'check_violation';
END $$;
CREATE TRIGGER collections_are_counted AFTER INSERT OR UPDATE OR DELETE ON collections
    FOR EACH ROW EXECUTE FUNCTION collections_are_counted();

-- How often an address or a mailbox has asked for a checkout since a window began: counted here, because no process lives
-- long enough. The subject is a digest, so that no address is kept.
CREATE TABLE checkout_limits (
    subject    text        PRIMARY KEY,
    begun_at   timestamptz NOT NULL,
    asked      integer     NOT NULL CHECK (asked >= 1)
);
CREATE INDEX checkout_limits_begun_idx ON checkout_limits (begun_at);

INSERT INTO schema_migrations (version, name) VALUES (11, 'orders');
COMMIT;
