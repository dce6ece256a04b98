-- A cancellation that is known before its date, and the mail about it.

BEGIN;

ALTER TABLE services
    -- When its subscription ends by a cancellation that is known; NULL: none is, or it has ended.
    ADD COLUMN ends_at timestamptz;

ALTER TABLE notices DROP CONSTRAINT notices_kind_check;
ALTER TABLE notices ADD CONSTRAINT notices_kind_check CHECK (kind IN ('payment_failed', 'suspension_soon', 'suspended',
    'running_again', 'ending', 'ended', 'deletion_soon', 'renewal_due', 'order_paid'));

INSERT INTO schema_migrations (version, name) VALUES (24, 'cancellations');
COMMIT;
