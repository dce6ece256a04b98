-- What was shown is what is done: an act on all that match is bound to those whom its preview was about.

BEGIN;

-- A preview of an act on many. Kept for a day.
CREATE TABLE previews (
    -- Told as `asOf`, and sent back to do exactly this.
    as_of   timestamptz NOT NULL,
    actor   text        NOT NULL,
    -- The act with its filter, as it was sent.
    act     jsonb       NOT NULL,
    -- Says whether others match by now.
    digest  text        NOT NULL
);
CREATE INDEX previews_idx ON previews (as_of);

-- Says whether others live by the mapping by now.
ALTER TABLE plan_previews ADD COLUMN concerned text NOT NULL DEFAULT '';

INSERT INTO schema_migrations (version, name) VALUES (39, 'previews');
COMMIT;
