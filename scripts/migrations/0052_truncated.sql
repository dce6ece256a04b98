-- Whoever empties a table as a whole (TRUNCATE) meets no trigger of its rows: then the kept numbers (0040, 0049) are counted
-- anew at once, and not by the next day's sweep.

BEGIN;

CREATE FUNCTION count_tallies_anew() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO tallies SELECT * FROM tallies_lack();
    RETURN NULL;
END $$;

CREATE TRIGGER services_tally_none AFTER TRUNCATE ON services EXECUTE FUNCTION count_tallies_anew();
CREATE TRIGGER customers_tally_none AFTER TRUNCATE ON customers EXECUTE FUNCTION count_tallies_anew();
CREATE TRIGGER orders_tally_none AFTER TRUNCATE ON orders EXECUTE FUNCTION count_tallies_anew();
CREATE TRIGGER shadow_plans_tally_none AFTER TRUNCATE ON shadow_plans EXECUTE FUNCTION count_tallies_anew();
CREATE TRIGGER due_tally_none AFTER TRUNCATE ON due EXECUTE FUNCTION count_tallies_anew();
CREATE TRIGGER disputes_tally_none AFTER TRUNCATE ON disputes EXECUTE FUNCTION count_tallies_anew();
CREATE TRIGGER notices_tally_none AFTER TRUNCATE ON notices EXECUTE FUNCTION count_tallies_anew();
CREATE TRIGGER outbox_tally_none AFTER TRUNCATE ON outbox EXECUTE FUNCTION count_tallies_anew();

INSERT INTO schema_migrations (version, name) VALUES (52, 'truncated');
COMMIT;
