-- Mails to customers that came back: what a mail server said after it had taken one.

BEGIN;

ALTER TABLE notices
    -- What was reported last, its status code first; never with an address in it.
    ADD COLUMN reported    text,
    ADD COLUMN reported_at timestamptz,
    -- A digest of the report as it came, so that the same one twice is one.
    ADD COLUMN report      text;

ALTER TABLE notices DROP CONSTRAINT notices_status_check;
ALTER TABLE notices ADD CONSTRAINT notices_status_check
    CHECK (status IN ('pending', 'sending', 'sent', 'refused', 'bounced', 'obsolete', 'unsure'));

DROP INDEX notices_trouble_idx;
CREATE INDEX notices_trouble_idx ON notices (ended_at DESC, notice_id DESC)
    WHERE status IN ('refused', 'bounced', 'unsure');
-- A report that names the address alone.
CREATE INDEX notices_recipient_idx ON notices (lower(recipient)) WHERE recipient IS NOT NULL;

INSERT INTO schema_migrations (version, name) VALUES (41, 'bounces');
COMMIT;
