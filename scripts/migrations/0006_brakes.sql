-- The brake counts twice: suspensions and terminations, and moves to another plan that no change at Stripe asked for.

BEGIN;

ALTER TABLE brake DROP COLUMN the_one;
ALTER TABLE brake ADD COLUMN counts text NOT NULL DEFAULT 'suspensions' PRIMARY KEY
    CHECK (counts IN ('suspensions', 'moves'));
INSERT INTO brake (counts) VALUES ('moves');

-- What the brake has stopped: shown as waiting, and let pass by the release that follows.
CREATE TABLE braked (
    provider        text        NOT NULL DEFAULT 'stripe',
    customer_id     text        NOT NULL,
    subscription_id text        NOT NULL,
    slot            integer     NOT NULL,
    counts          text        NOT NULL REFERENCES brake,
    kind            text        NOT NULL,
    -- Where it was to be moved, as its mapping spells it; empty for what is no move.
    plan            text        NOT NULL DEFAULT '',
    stopped_at      timestamptz NOT NULL DEFAULT now(),
    -- NULL: it waits.
    released_at     timestamptz,
    PRIMARY KEY (provider, subscription_id, slot, kind)
);
CREATE INDEX braked_waiting_idx ON braked (counts, customer_id) WHERE released_at IS NULL;

-- For the brake: the moves of the last hour that nobody asked Stripe for.
CREATE INDEX actions_moves_idx ON actions (at)
    WHERE state = 'intent' AND kind = 'change_plan' AND rule IN ('mapping_edited', 'plan_put_back');

INSERT INTO schema_migrations (version, name) VALUES (6, 'brakes');
COMMIT;
