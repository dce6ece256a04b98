-- What waits for an endpoint that is away is kept as a number as well (see 0049), and its oldest is found by an index: a day
-- without an answer leaves a hundred thousand, which the first page, the metrics and the look for alerts counted one by one.

BEGIN;

CREATE FUNCTION counted(o outbox) RETURNS TABLE (name text, labels text[], n bigint) LANGUAGE sql IMMUTABLE AS $$
    SELECT 'outbox', ARRAY[o.endpoint], 1::bigint WHERE o.state = 'waiting'
$$;

CREATE TRIGGER outbox_tally AFTER INSERT ON outbox FOR EACH ROW WHEN (NEW.state = 'waiting')
    EXECUTE FUNCTION add_to_tallies();
CREATE TRIGGER outbox_tally_gone AFTER DELETE ON outbox FOR EACH ROW WHEN (OLD.state = 'waiting')
    EXECUTE FUNCTION add_to_tallies();
CREATE TRIGGER outbox_tally_again AFTER UPDATE OF state ON outbox FOR EACH ROW
    WHEN ((OLD.state = 'waiting') <> (NEW.state = 'waiting')) EXECUTE FUNCTION add_to_tallies();

CREATE OR REPLACE FUNCTION tallies_lack() RETURNS TABLE (name text, labels text[], n bigint) LANGUAGE sql STABLE AS $$
    SELECT d.name, d.labels, sum(d.n)::bigint FROM (
        SELECT c.name, c.labels, sum(c.n) AS n FROM services AS r, counted(r) AS c GROUP BY 1, 2
        UNION ALL SELECT c.name, c.labels, sum(c.n) FROM customers AS r, counted(r) AS c GROUP BY 1, 2
        UNION ALL SELECT c.name, c.labels, sum(c.n) FROM orders AS r, counted(r) AS c GROUP BY 1, 2
        UNION ALL SELECT c.name, c.labels, sum(c.n) FROM shadow_plans AS r, counted(r) AS c GROUP BY 1, 2
        UNION ALL SELECT c.name, c.labels, sum(c.n) FROM due AS r, counted(r) AS c GROUP BY 1, 2
        UNION ALL SELECT c.name, c.labels, sum(c.n) FROM disputes AS r, counted(r) AS c GROUP BY 1, 2
        UNION ALL SELECT c.name, c.labels, sum(c.n) FROM notices AS r, counted(r) AS c GROUP BY 1, 2
        UNION ALL SELECT c.name, c.labels, sum(c.n) FROM outbox AS r, counted(r) AS c WHERE r.state = 'waiting' GROUP BY 1, 2
        UNION ALL SELECT t.name, t.labels, -sum(t.n) FROM tallies AS t GROUP BY 1, 2
    ) AS d (name, labels, n) GROUP BY 1, 2 HAVING sum(d.n) <> 0
$$;
INSERT INTO tallies
SELECT c.name, c.labels, sum(c.n) FROM outbox AS r, counted(r) AS c WHERE r.state = 'waiting' GROUP BY 1, 2;

CREATE INDEX outbox_waiting_since_idx ON outbox (endpoint, created_at) WHERE state = 'waiting';

INSERT INTO schema_migrations (version, name) VALUES (51, 'outbox_numbers');
COMMIT;
