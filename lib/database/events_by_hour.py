"""How many events came in each of the last hours: what is behind the mark of the totals is kept, what is newer counted.

Both parts are read in one statement, in which the mark stands still: each event is in one of them.
"""

from __future__ import annotations

_MARK = "(SELECT at FROM metric_marks WHERE name = 'events')"

_WHOLE = "date_trunc('hour', now() - interval '1 day') + interval '1 hour'"
"""From when on hours of the last day are whole."""

LAST_DAY = f"""
    SELECT (SELECT coalesce(sum(n), 0)::bigint FROM events_by_hour WHERE at >= {_WHOLE})
        + (SELECT count(*) FROM events WHERE received_at > now() - interval '1 day' AND received_at < {_WHOLE})
        + (SELECT count(*) FROM events WHERE received_at >= {_WHOLE} AND received_at > {_MARK})
"""

_SINCE = "date_trunc('hour', now()) - make_interval(hours => %(hours)s - 1)"

CHART = f"""
    SELECT jsonb_agg(jsonb_build_object('at', h.at, 'webhook', coalesce(e.webhook, 0), 'sweep', coalesce(e.sweep, 0))
        ORDER BY h.at)
    FROM generate_series({_SINCE}, date_trunc('hour', now()), interval '1 hour') AS h (at)
    LEFT JOIN (
        SELECT at, sum(n) FILTER (WHERE source = 'webhook') AS webhook, sum(n) FILTER (WHERE source = 'sweep') AS sweep
        FROM (
            SELECT at, source, n FROM events_by_hour WHERE at >= {_SINCE}
            UNION ALL
            SELECT date_trunc('hour', received_at), source, 1 FROM events
            WHERE received_at >= {_SINCE} AND received_at > {_MARK}
        ) AS k GROUP BY 1
    ) AS e USING (at)
"""

FOLD = """
    WITH old AS (DELETE FROM events_by_hour WHERE at < now() - interval '3 days')
    INSERT INTO events_by_hour
    SELECT date_trunc('hour', received_at), source, count(*) FROM events
    WHERE received_at > %(at)s AND received_at <= %(upto)s
        AND received_at >= date_trunc('hour', now() - interval '3 days') + interval '1 hour'
    GROUP BY 1, 2 ORDER BY 1, 2
    ON CONFLICT (at, source) DO UPDATE SET n = events_by_hour.n + excluded.n
"""
"""Add what the totals take in, in their own transaction."""
