-- What a sweep looks at once more: few rows, however many payments there are.

BEGIN;

CREATE INDEX payments_open_idx ON payments (created_at) WHERE state NOT IN ('succeeded', 'canceled');
CREATE INDEX refunds_requested_idx ON refunds (created_at) WHERE status = 'requested';
-- Refunds and disputes are found by the charge of their payment.
CREATE INDEX disputes_charge_idx ON disputes (provider, charge_id);

INSERT INTO schema_migrations (version, name) VALUES (21, 'unsettled');
COMMIT;
