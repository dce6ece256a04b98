-- What money did not come, and what did.

BEGIN;

ALTER TABLE services
    -- Since when its subscription has been behind: remembered until money comes, whatever becomes of the invoice.
    ADD COLUMN unpaid_since timestamptz,
    -- Stripe's time when it said what led to the present plan; invoices from before are about something else.
    ADD COLUMN plan_since timestamptz;

-- It has ended, and no invoice of it can be paid any more: nothing is left to ask Stripe about it.
ALTER TABLE subscriptions ADD COLUMN closed boolean NOT NULL DEFAULT false;

INSERT INTO schema_migrations (version, name) VALUES (10, 'money');
COMMIT;
