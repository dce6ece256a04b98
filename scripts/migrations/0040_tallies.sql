-- Numbers of the first page are kept, not counted: what changes one of them adds a row with the difference, so that
-- nobody waits for anybody, and a number is the sum of its rows. Sweeps fold the rows, and count once a day whether the
-- sums are true.

BEGIN;

CREATE TABLE tallies (
    name   text   NOT NULL,
    labels text[] NOT NULL,
    n      bigint NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000,
    autovacuum_vacuum_insert_scale_factor = 0, autovacuum_vacuum_insert_threshold = 2000);

-- What a row counts for. The triggers add it up, and the daily count sums it over the tables: there is no second place.
-- OFFSET 0: PostgreSQL 18 can't plan a UNION ALL about a whole row that it has pulled up into another statement.
CREATE FUNCTION counted(s services) RETURNS TABLE (name text, labels text[]) LANGUAGE sql IMMUTABLE AS $$
    SELECT * FROM (
        SELECT 'services', ARRAY[s.state]
        UNION ALL SELECT 'holds', ARRAY[h] FROM unnest(s.holds) AS h WHERE s.state <> 'terminated'
        UNION ALL SELECT 'prices', ARRAY[s.provider, s.price_id] WHERE s.state <> 'terminated'
    ) AS each OFFSET 0
$$;

CREATE FUNCTION counted(c customers) RETURNS TABLE (name text, labels text[]) LANGUAGE sql IMMUTABLE AS $$
    SELECT 'customers', '{}'::text[] WHERE c.erased_at IS NULL OR c.org_id IS NOT NULL
$$;

CREATE FUNCTION counted(o orders) RETURNS TABLE (name text, labels text[]) LANGUAGE sql IMMUTABLE AS $$
    SELECT 'orders', ARRAY[o.state, o.provider]
$$;

CREATE FUNCTION counted(p shadow_plans) RETURNS TABLE (name text, labels text[]) LANGUAGE sql IMMUTABLE AS $$
    SELECT * FROM (
        SELECT 'shadow_customers', '{}'::text[]
        UNION ALL SELECT 'shadow_actions', ARRAY[a ->> 'kind'] FROM jsonb_array_elements(p.actions) AS a
    ) AS each OFFSET 0
$$;

-- Whether a row of the queue was given a date that had not come, by whoever wrote it or by the end of a pass. A nudge leaves
-- it as it is: rows that have come to be due since are few, and are taken off by whoever reads the number.
ALTER TABLE due ADD COLUMN dated boolean NOT NULL DEFAULT false;
UPDATE due SET dated = true WHERE due_at > now();

CREATE FUNCTION due_is_dated() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.dated := true;
    RETURN NEW;
END $$;
CREATE TRIGGER due_dated BEFORE INSERT ON due FOR EACH ROW WHEN (NEW.due_at > NEW.updated_at)
    EXECUTE FUNCTION due_is_dated();

-- What it waits for. NULL: it was due when it was written, or is parked.
CREATE FUNCTION waits_as(parked_reason text, waits_for text, last_error text, dated boolean)
RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN parked_reason IS NOT NULL THEN NULL WHEN waits_for IS NOT NULL THEN waits_for
        WHEN last_error IS NOT NULL THEN 'retry' WHEN dated THEN 'date' END
$$;

CREATE FUNCTION counted(d due) RETURNS TABLE (name text, labels text[]) LANGUAGE sql IMMUTABLE AS $$
    SELECT 'waiting', ARRAY[d.kind, why]
    FROM (SELECT waits_as(d.parked_reason, d.waits_for, d.last_error, d.dated)) AS w (why)
    WHERE why IS NOT NULL
$$;

CREATE FUNCTION add_to_tallies() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        INSERT INTO tallies SELECT c.name, c.labels, count(*) FROM counted(NEW) AS c GROUP BY 1, 2;
    ELSIF TG_OP = 'DELETE' THEN
        INSERT INTO tallies SELECT c.name, c.labels, -count(*) FROM counted(OLD) AS c GROUP BY 1, 2;
    ELSE
        INSERT INTO tallies
        SELECT c.name, c.labels, sum(c.n) FROM (
            SELECT name, labels, -1 AS n FROM counted(OLD) UNION ALL SELECT name, labels, 1 FROM counted(NEW)) AS c
        GROUP BY 1, 2 HAVING sum(c.n) <> 0;
    END IF;
    RETURN NULL;
END $$;

CREATE TRIGGER services_tally AFTER INSERT OR DELETE ON services FOR EACH ROW EXECUTE FUNCTION add_to_tallies();
CREATE TRIGGER services_tally_again AFTER UPDATE OF state, holds, provider, price_id ON services FOR EACH ROW
    WHEN ((OLD.state, OLD.holds, OLD.provider, OLD.price_id) IS DISTINCT FROM
        (NEW.state, NEW.holds, NEW.provider, NEW.price_id))
    EXECUTE FUNCTION add_to_tallies();

CREATE TRIGGER customers_tally AFTER INSERT OR DELETE ON customers FOR EACH ROW EXECUTE FUNCTION add_to_tallies();
CREATE TRIGGER customers_tally_again AFTER UPDATE OF erased_at, org_id ON customers FOR EACH ROW
    WHEN ((OLD.erased_at IS NULL OR OLD.org_id IS NOT NULL) <> (NEW.erased_at IS NULL OR NEW.org_id IS NOT NULL))
    EXECUTE FUNCTION add_to_tallies();

CREATE TRIGGER orders_tally AFTER INSERT OR DELETE ON orders FOR EACH ROW EXECUTE FUNCTION add_to_tallies();
CREATE TRIGGER orders_tally_again AFTER UPDATE ON orders FOR EACH ROW
    WHEN ((OLD.state, OLD.provider) IS DISTINCT FROM (NEW.state, NEW.provider))
    EXECUTE FUNCTION add_to_tallies();

CREATE TRIGGER shadow_plans_tally AFTER INSERT OR UPDATE OR DELETE ON shadow_plans
    FOR EACH ROW EXECUTE FUNCTION add_to_tallies();

-- Rows of the queue are written at each event. What `waits_as` says is written out here, and an event or a claim writes none
-- of these columns: whoever makes somebody due, and whoever takes them up, calls nothing.
CREATE TRIGGER due_tally AFTER INSERT ON due FOR EACH ROW
    WHEN (NEW.parked_reason IS NULL AND (NEW.dated OR NEW.waits_for IS NOT NULL OR NEW.last_error IS NOT NULL))
    EXECUTE FUNCTION add_to_tallies();
CREATE TRIGGER due_tally_again AFTER UPDATE OF parked_reason, waits_for, last_error, dated ON due FOR EACH ROW WHEN (
        CASE WHEN OLD.parked_reason IS NOT NULL THEN NULL WHEN OLD.waits_for IS NOT NULL THEN OLD.waits_for
            WHEN OLD.last_error IS NOT NULL THEN 'retry' WHEN OLD.dated THEN 'date' END
        IS DISTINCT FROM
        CASE WHEN NEW.parked_reason IS NOT NULL THEN NULL WHEN NEW.waits_for IS NOT NULL THEN NEW.waits_for
            WHEN NEW.last_error IS NOT NULL THEN 'retry' WHEN NEW.dated THEN 'date' END)
    EXECUTE FUNCTION add_to_tallies();
CREATE TRIGGER due_tally_gone AFTER DELETE ON due FOR EACH ROW
    WHEN (OLD.parked_reason IS NULL AND (OLD.dated OR OLD.waits_for IS NOT NULL OR OLD.last_error IS NOT NULL))
    EXECUTE FUNCTION add_to_tallies();

-- By how much each sum is wrong: nothing, unless somebody wrote with the triggers off.
CREATE FUNCTION tallies_lack() RETURNS TABLE (name text, labels text[], n bigint) LANGUAGE sql STABLE AS $$
    SELECT d.name, d.labels, sum(d.n)::bigint FROM (
        SELECT c.name, c.labels, count(*) AS n FROM services AS r, counted(r) AS c GROUP BY 1, 2
        UNION ALL SELECT c.name, c.labels, count(*) FROM customers AS r, counted(r) AS c GROUP BY 1, 2
        UNION ALL SELECT c.name, c.labels, count(*) FROM orders AS r, counted(r) AS c GROUP BY 1, 2
        UNION ALL SELECT c.name, c.labels, count(*) FROM shadow_plans AS r, counted(r) AS c GROUP BY 1, 2
        UNION ALL SELECT c.name, c.labels, count(*) FROM due AS r, counted(r) AS c GROUP BY 1, 2
        UNION ALL SELECT t.name, t.labels, -sum(t.n) FROM tallies AS t GROUP BY 1, 2
    ) AS d (name, labels, n) GROUP BY 1, 2 HAVING sum(d.n) <> 0
$$;
INSERT INTO tallies SELECT * FROM tallies_lack();

-- When it was last looked whether the sums are true.
ALTER TABLE pulses DROP CONSTRAINT pulses_name_check;
ALTER TABLE pulses ADD CONSTRAINT pulses_name_check
    CHECK (name IN ('stripe', 'enhance', 'passes', 'alerts', 'tallies'));
INSERT INTO pulses (name) VALUES ('tallies');

-- Events of each hour, as far as the mark of the totals goes: the charts of the first page read these and what is newer.
CREATE TABLE events_by_hour (
    at     timestamptz NOT NULL,
    source text        NOT NULL,
    n      bigint      NOT NULL,
    PRIMARY KEY (at, source)
);
INSERT INTO events_by_hour
SELECT date_trunc('hour', received_at), source, count(*) FROM events
WHERE received_at > now() - interval '3 days' AND received_at <= (SELECT at FROM metric_marks WHERE name = 'events')
GROUP BY 1, 2;

INSERT INTO schema_migrations (version, name) VALUES (40, 'tallies');
COMMIT;
