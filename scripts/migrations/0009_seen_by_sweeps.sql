-- What a sweep has told a pass of already, so that no sweep makes the same unchanged customer due a second time.

BEGIN;

ALTER TABLE services
    -- The website showed another state than its subscription has.
    ADD COLUMN website_differs boolean NOT NULL DEFAULT false,
    -- The plan that it showed when that was another one than its subscription's.
    ADD COLUMN website_plan_id integer,
    -- The panel would not tell whether it is there.
    ADD COLUMN website_unclear boolean NOT NULL DEFAULT false,
    -- Stripe's list lacked its subscription.
    ADD COLUMN unlisted boolean NOT NULL DEFAULT false;
-- The panel would not tell whether it is there.
ALTER TABLE customers ADD COLUMN org_unclear boolean NOT NULL DEFAULT false;

INSERT INTO schema_migrations (version, name) VALUES (9, 'seen_by_sweeps');
COMMIT;
