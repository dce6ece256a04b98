-- Counters that never fall: what is pruned was added to a total before, in one transaction with the mark up to which.

BEGIN;

CREATE TABLE metric_totals (
    name   text             NOT NULL,
    labels text[]           NOT NULL,
    value  double precision NOT NULL CHECK (value >= 0),
    PRIMARY KEY (name, labels)
);

-- Up to where rows of a table are in the totals; what comes behind is counted where it stands. No row behind its mark is
-- pruned.
CREATE TABLE metric_marks (
    name text        PRIMARY KEY CHECK (name IN ('events', 'actions', 'attempts')),
    at   timestamptz NOT NULL DEFAULT '1970-01-01',
    id   bigint      NOT NULL DEFAULT 0
);
INSERT INTO metric_marks (name) VALUES ('events'), ('actions'), ('attempts');

CREATE INDEX orders_counted_idx ON orders (provider, state);
CREATE INDEX disputes_open_idx ON disputes (created_at)
    WHERE status NOT IN ('won', 'lost', 'prevented', 'warning_closed');

INSERT INTO schema_migrations (version, name) VALUES (34, 'metrics');
COMMIT;
