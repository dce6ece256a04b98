-- Mails to customers: one row is one mail about one fact, written in the transaction of the fact itself.

BEGIN;

CREATE TABLE notices (
    notice_id       uuid        PRIMARY KEY DEFAULT gen_random_uuid(),
    provider        text        NOT NULL,
    -- NULL: an order whose buyer is no customer.
    customer_id     text        CHECK (customer_id <> ''),
    kind            text        NOT NULL CHECK (kind IN ('payment_failed', 'suspension_soon', 'suspended',
        'running_again', 'ended', 'deletion_soon', 'renewal_due', 'order_paid')),
    -- Names the fact among those of its kind; it holds the id of a subscription or of an order, and so whose it is.
    about           text        NOT NULL CHECK (about <> ''),
    subscription_id text,
    slot            integer     CHECK (slot >= 1),
    order_id        uuid,
    -- What it announces: sent as long as it is true.
    date            timestamptz,
    send_at         timestamptz NOT NULL DEFAULT clock_timestamp(),
    status          text        NOT NULL DEFAULT 'pending'
        CHECK (status IN ('pending', 'sending', 'sent', 'refused', 'obsolete', 'unsure')),
    attempts        integer     NOT NULL DEFAULT 0,
    -- How often it was handed over without an answer.
    lost            integer     NOT NULL DEFAULT 0,
    looked_again    boolean     NOT NULL DEFAULT false,
    -- The last answer of the mail server, or why it was not sent; never with the address in it.
    answer          text,
    -- To whom it was last handed over; NULL once they were erased.
    recipient       text,
    language        text,
    created_at      timestamptz NOT NULL DEFAULT clock_timestamp(),
    tried_at        timestamptz,
    ended_at        timestamptz,
    CHECK ((subscription_id IS NULL) = (slot IS NULL)),
    CHECK ((subscription_id IS NULL) <> (order_id IS NULL)),
    CHECK ((status IN ('pending', 'sending')) = (ended_at IS NULL))
);
-- One mail about one fact, however often a pass finds it.
CREATE UNIQUE INDEX notices_once_idx ON notices (provider, coalesce(customer_id, ''), kind, about);
CREATE INDEX notices_customer_idx ON notices (provider, customer_id, created_at DESC, notice_id DESC);
CREATE INDEX notices_waiting_idx ON notices (send_at) WHERE status IN ('pending', 'sending');
CREATE INDEX notices_trouble_idx ON notices (ended_at DESC, notice_id DESC) WHERE status IN ('refused', 'unsure');
CREATE INDEX notices_ended_idx ON notices (ended_at) WHERE ended_at IS NOT NULL;

INSERT INTO schema_migrations (version, name) VALUES (19, 'notices');
COMMIT;
