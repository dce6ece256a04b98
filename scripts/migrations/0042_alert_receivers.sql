-- Who is told of a cause is told each for themselves: one that refuses makes nobody else be told twice.

BEGIN;

CREATE TABLE alert_receivers (
    cause      text        NOT NULL REFERENCES alerts ON DELETE CASCADE,
    receiver   text        NOT NULL CHECK (receiver IN ('webhook', 'mail')),
    -- When it last took the word that it is so, and under which title. NULL: it took none, or took that it is over.
    told_at    timestamptz,
    told_title text,
    -- Why it did not take the last word. NULL: it did.
    error      text,
    PRIMARY KEY (cause, receiver),
    CHECK ((told_at IS NULL) = (told_title IS NULL))
);
INSERT INTO alert_receivers (cause, receiver, told_at, told_title, error)
SELECT cause, receiver, told_at, told_title, delivery_error FROM alerts, unnest(ARRAY['webhook', 'mail']) AS receiver
WHERE told_at IS NOT NULL;

ALTER TABLE alerts DROP COLUMN told_at, DROP COLUMN told_title, DROP COLUMN delivery_error;

INSERT INTO schema_migrations (version, name) VALUES (42, 'alert_receivers');
COMMIT;
