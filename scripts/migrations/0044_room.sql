-- Tables that stay fast: room on the page for what is written again, so that an update enters no index (HOT), and a
-- vacuum that comes by the number of rows changed, and not by a fifth of a table that has grown for years.

BEGIN;

-- Written again at each nudge, claim and end of a pass. What is dead in it is what a claim must pass over.
ALTER TABLE due SET (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000,
    autovacuum_analyze_scale_factor = 0.05, autovacuum_analyze_threshold = 1000);
-- Written again by passes, sweeps and payments; most of it in columns of no index.
ALTER TABLE customers SET (fillfactor = 85, autovacuum_vacuum_scale_factor = 0.05, autovacuum_analyze_scale_factor = 0.05);
ALTER TABLE services SET (fillfactor = 85, autovacuum_vacuum_scale_factor = 0.05, autovacuum_analyze_scale_factor = 0.05);
ALTER TABLE subscriptions SET (fillfactor = 85, autovacuum_vacuum_scale_factor = 0.05,
    autovacuum_analyze_scale_factor = 0.05);
ALTER TABLE orders SET (fillfactor = 85, autovacuum_vacuum_scale_factor = 0.05, autovacuum_analyze_scale_factor = 0.05);
ALTER TABLE payments SET (fillfactor = 85, autovacuum_vacuum_scale_factor = 0.05, autovacuum_analyze_scale_factor = 0.05);
ALTER TABLE outbox SET (fillfactor = 85, autovacuum_vacuum_scale_factor = 0.05, autovacuum_analyze_scale_factor = 0.05);
ALTER TABLE notices SET (fillfactor = 85, autovacuum_vacuum_scale_factor = 0.05, autovacuum_analyze_scale_factor = 0.05);
-- A few rows that are written again all the time.
ALTER TABLE leases SET (fillfactor = 50);
ALTER TABLE pulses SET (fillfactor = 50);
ALTER TABLE metric_totals SET (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);
-- Only ever added to, and deleted from at the old end: the planner hears of the newest day while it is the newest, and
-- pages are marked as seen by all before an index alone could answer from them.
ALTER TABLE events SET (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 5000,
    autovacuum_vacuum_insert_scale_factor = 0.02, autovacuum_vacuum_insert_threshold = 5000,
    autovacuum_analyze_scale_factor = 0.02, autovacuum_analyze_threshold = 5000);
ALTER TABLE actions SET (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 5000,
    autovacuum_vacuum_insert_scale_factor = 0.02, autovacuum_vacuum_insert_threshold = 5000,
    autovacuum_analyze_scale_factor = 0.02, autovacuum_analyze_threshold = 5000);

-- Facts of the ledger above two kilobytes are compressed as bodies of events are; a server without lz4 keeps its own way.
DO $$
BEGIN
    ALTER TABLE actions ALTER COLUMN before SET COMPRESSION lz4, ALTER COLUMN after SET COMPRESSION lz4,
        ALTER COLUMN facts SET COMPRESSION lz4;
EXCEPTION WHEN feature_not_supported THEN
    NULL;
END $$;

-- The ledger is added to, and whole actions that are long over go where LEDGER_RETENTION_DAYS says so: never one of the
-- last year, whatever asks for it.
CREATE OR REPLACE FUNCTION actions_are_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    -- Erasing personal data on request is one exception, and pruning the other; each says so for its own transaction only.
    IF TG_OP = 'UPDATE' AND current_setting('bridge.erasing', true) = 'on' THEN
        RETURN NEW;
    END IF;
    IF TG_OP = 'DELETE' AND current_setting('bridge.pruning', true) = 'on' AND OLD.at < now() - interval '365 days' THEN
        RETURN OLD;
    END IF;
    RAISE EXCEPTION 'the ledger is append-only';
END $$;

INSERT INTO schema_migrations (version, name) VALUES (44, 'room');
COMMIT;
