-- Changes to mappings are shown before they are made, and what is applied is what was shown.

BEGIN;

-- A preview of a change to the mappings: whom it would move, and to which plan. Kept for a day.
CREATE TABLE plan_previews (
    -- Told as `asOf`, and sent back to apply exactly this.
    as_of   timestamptz PRIMARY KEY,
    actor   text        NOT NULL,
    -- {"put": {...}} or {"delete": [provider, price]}: the change as it was sent.
    change  jsonb       NOT NULL,
    -- The row as it was; NULL: there was none.
    before  jsonb,
    -- [{"customer_id", "subscription_id", "slot", "plan"}]: what passes the brake once this is applied.
    moves   jsonb       NOT NULL
);

INSERT INTO schema_migrations (version, name) VALUES (12, 'plan_previews');
COMMIT;
