-- Acts on many customers: whom each is still about, and dates that an amnesty has set.

BEGIN;

ALTER TABLE batches
    -- What is done besides the filter: {"reason", "until", "hold"}.
    ADD COLUMN given jsonb NOT NULL DEFAULT '{}';

-- Whom an act on many has still to come to. Empty once it is through.
CREATE TABLE batch_items (
    batch_id    uuid NOT NULL REFERENCES batches ON DELETE CASCADE,
    provider    text NOT NULL,
    customer_id text NOT NULL,
    PRIMARY KEY (batch_id, provider, customer_id)
);

ALTER TABLE services
    -- Its one-off date is an amnesty's: nobody is told of it before it is over.
    ADD COLUMN amnesty boolean NOT NULL DEFAULT false,
    ADD CHECK (NOT amnesty OR grace_override IS NOT NULL);

INSERT INTO schema_migrations (version, name) VALUES (30, 'acts');
COMMIT;
