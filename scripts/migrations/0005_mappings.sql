-- A mapping is not a customer's decision: what a plan was made true for, and rows of mappings that mean what they look like.

BEGIN;

ALTER TABLE services
    -- What had been bought when its plan was made true: [[price, quantity], ...], its own price first. Whether Stripe
    -- asked for another plan, or only somebody who edited a mapping, shows by it.
    ADD COLUMN made_for jsonb;
UPDATE services SET made_for = jsonb_build_array(jsonb_build_array(price_id, 1))
WHERE panel_subscription_id IS NOT NULL AND plan IS NOT NULL;

ALTER TABLE subscriptions
    -- The highest quantity of one of its items when its customer last came to rest, and the one that an admin let pass.
    ADD COLUMN quantity bigint,
    ADD COLUMN quantity_let_pass bigint;

-- Blanks around what was typed or pasted mean nothing, nor does the case of words that we chose; a provider that nobody
-- knows would be a row without any effect.
CREATE FUNCTION tidy(typed text) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT regexp_replace(typed, '^\s+|\s+$', '', 'g')
$$;
CREATE FUNCTION known_provider(typed text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    provider text := lower(tidy(typed));
BEGIN
    IF provider NOT IN ('stripe', 'bank_transfer', 'cash_on_delivery') THEN
        RAISE EXCEPTION 'billing_provider % is not known', quote_literal(typed)
            USING ERRCODE = 'check_violation', HINT = 'It is stripe, bank_transfer or cash_on_delivery.';
    END IF;
    RETURN provider;
END $$;
CREATE FUNCTION tidy_plan_mapping() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.billing_provider := known_provider(NEW.billing_provider);
    NEW.billing_plan_id := tidy(NEW.billing_plan_id);
    NEW.enhance_plan_id := tidy(NEW.enhance_plan_id);
    NEW.kind := lower(tidy(NEW.kind));
    NEW.activate_on := lower(tidy(NEW.activate_on));
    RETURN NEW;
END $$;
CREATE FUNCTION tidy_plan_rule() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.billing_provider := known_provider(NEW.billing_provider);
    NEW.base_plan_id := tidy(NEW.base_plan_id);
    NEW.addon_plan_id := tidy(NEW.addon_plan_id);
    NEW.enhance_plan_id := tidy(NEW.enhance_plan_id);
    IF NEW.base_plan_id = '' OR NEW.addon_plan_id = '' OR NEW.base_plan_id = NEW.addon_plan_id THEN
        RAISE EXCEPTION 'a rule needs a base_plan_id and another addon_plan_id' USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER plan_mappings_tidy BEFORE INSERT OR UPDATE ON plan_mappings
    FOR EACH ROW EXECUTE FUNCTION tidy_plan_mapping();
CREATE TRIGGER plan_rules_tidy BEFORE INSERT OR UPDATE ON plan_rules
    FOR EACH ROW EXECUTE FUNCTION tidy_plan_rule();

-- What stands there already is tidied as far as it can be; the doctor names what is left (a twin of it, or no provider).
DO $$
DECLARE
    place tid;
BEGIN
    FOR place IN SELECT ctid FROM plan_mappings
        WHERE (billing_provider, billing_plan_id) IS DISTINCT FROM (lower(tidy(billing_provider)), tidy(billing_plan_id))
            OR enhance_plan_id IS DISTINCT FROM tidy(enhance_plan_id)
    LOOP
        BEGIN
            UPDATE plan_mappings SET updated_at = now() WHERE ctid = place;
        EXCEPTION WHEN unique_violation OR check_violation THEN
            NULL;
        END;
    END LOOP;
    FOR place IN SELECT ctid FROM plan_rules
        WHERE (billing_provider, base_plan_id, addon_plan_id, enhance_plan_id) IS DISTINCT FROM
            (lower(tidy(billing_provider)), tidy(base_plan_id), tidy(addon_plan_id), tidy(enhance_plan_id))
    LOOP
        BEGIN
            UPDATE plan_rules SET min_quantity = min_quantity WHERE ctid = place;
        EXCEPTION WHEN unique_violation OR check_violation THEN
            NULL;
        END;
    END LOOP;
END $$;

INSERT INTO schema_migrations (version, name) VALUES (5, 'mappings');
COMMIT;
