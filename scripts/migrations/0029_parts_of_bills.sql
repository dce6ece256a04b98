-- Bills that several payments pay.

BEGIN;

-- It came, and its bill still asked for more when that was read last: an order is not paid by a part of its bill.
ALTER TABLE payments ADD COLUMN part boolean NOT NULL DEFAULT false;

-- What all payments of the bill brought, one of which a refund takes back: a bill is refunded once all of that went back.
ALTER TABLE refunds ADD COLUMN invoice_paid bigint;

INSERT INTO schema_migrations (version, name) VALUES (29, 'parts_of_bills');
COMMIT;
