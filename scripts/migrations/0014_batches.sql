-- Acts on many at once, and how far they have come; and since when a subject of the queue has not come to rest.

BEGIN;

-- An act of a person on all that matched a filter.
CREATE TABLE batches (
    id      uuid        PRIMARY KEY DEFAULT gen_random_uuid(),
    at      timestamptz NOT NULL DEFAULT now(),
    actor   text        NOT NULL,
    action  text        NOT NULL,
    filter  jsonb       NOT NULL,
    -- What it was about (rows of the queue, events), as it was counted just before.
    matches integer     NOT NULL,
    -- How many rows of the queue it made due.
    subjects integer    NOT NULL DEFAULT 0
);

ALTER TABLE due
    -- The act on many that made it due last; empty once its pass has ended.
    ADD COLUMN batch_id uuid,
    -- When a pass last came to rest, neither failed nor parked: events since then have led to nothing yet.
    ADD COLUMN rested_at timestamptz;
CREATE INDEX due_batch_idx ON due (batch_id) WHERE batch_id IS NOT NULL;
CREATE INDEX due_failing_idx ON due (kind, key) WHERE last_error IS NOT NULL;

INSERT INTO schema_migrations (version, name) VALUES (14, 'batches');
COMMIT;
