-- The customers of one Stripe account on several databases, each with a deployment of its own (setting SHARD).

BEGIN;

-- The same as shard_of in lib/model/shard.py.
CREATE FUNCTION shard_of(customer_id text, count integer) RETURNS integer
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$
    SELECT (('x00000000' || left(encode(sha256(convert_to(customer_id, 'UTF8')), 'hex'), 8))::bit(64)::bigint
        % count)::integer
$$;

-- Which of them this database is: none, or one row. A deployment with another SHARD runs nothing here.
CREATE TABLE shard (
    number integer NOT NULL CHECK (number >= 0 AND number < count),
    count  integer NOT NULL CHECK (count BETWEEN 2 AND 64),
    since  timestamptz NOT NULL DEFAULT now()
);
CREATE UNIQUE INDEX shard_one_idx ON shard ((true));

-- Disputes and refunds that were read and belong to a customer of another shard: no sweep asks again.
CREATE TABLE elsewhere (
    kind      text        NOT NULL,
    object_id text        NOT NULL,
    seen_at   timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (kind, object_id)
);

INSERT INTO schema_migrations (version, name) VALUES (46, 'shards');
COMMIT;
