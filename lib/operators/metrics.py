"""The metrics, as Prometheus reads them: collected for each scrape from the database, the same by every process.

Totals never fall, whatever is pruned. Each value of a closed set is there, with zero where there is none of it. Nothing
names a customer, an object or an address: a label is a word of ours, or the place of an endpoint in OUTBOX_URL.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from typing import TYPE_CHECKING, Any

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric

from lib.database import due, latest_version, metric_totals, metrics, schema_version
from lib.database.metric_totals import BUCKETS, Totals
from lib.kinds import KINDS
from lib.model import ActionKind, Hold, Lane, ServiceState
from lib.model.money import OrderState
from lib.model.provider import Provider
from lib.model.reason import Reason, SettingsFault

if TYPE_CHECKING:
    from lib.bridge import Bridge

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

SOURCES = ("webhook", "sweep")
OUTCOMES = ("accepted", "ignored", "unreadable")
ACTION_STATES = ("intent", "unknown", "applied", "verified", "failed", "planned", "noted")
SIDES = {"events": "eventsMissed", "billing": "billingDiffers", "panel": "panelDiffers"}
"""Where the last sweep found a difference, and how it counted it."""

AWAY = {"stripe": "stripe", "enhance": "panel", "mail": "mail"}
"""Side, as its last call is remembered -> as it is called here."""

REMOVED = "removed"
"""The label of endpoints that OUTBOX_URL has no more."""


async def exposition(bridge: Bridge) -> bytes:
    """Everything that is measured, in Prometheus' text format.

    Raises:
        DatabaseUnavailable: nothing can be told.
    """
    settings, version = bridge.settings, (bridge.settings.app_version, bridge.settings.provisioning_mode)
    applied = await schema_version(bridge.db)
    families = [
        _gauge("info", "Version and mode.", ("version", "mode"), {version: 1}),
        _gauge("schema_migrations_pending", "Missing migrations.", (), {(): max(latest_version() - applied, 0)}),
    ]
    if applied >= latest_version():  # with an older schema nothing else can be read
        totals, state = await metric_totals.read(bridge.db), await metrics.read(bridge.db)
        places = {endpoint.id: str(number) for number, endpoint in enumerate(settings.outbox.endpoints, 1)}
        families += [*_state(state), *_queue(state), *_totals(totals), *_outgoing(state, totals, places)]
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Collected(families))
    return generate_latest(registry)


class _Collected:
    """What was read, for the registry of one scrape."""

    def __init__(self, families: Sequence[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterator[Metric]:
        """Hand it over."""
        yield from self._families


Values = Mapping[Any, float]
"""A value for each tuple of labels."""


def _gauge(name: str, says: str, labels: Sequence[str], values: Values) -> Metric:
    family = GaugeMetricFamily(f"bridge_{name}", says, labels=labels)
    for key, value in values.items():
        family.add_metric(key, value)
    return family


def _counter(name: str, says: str, labels: Sequence[str], values: Values) -> Metric:
    family = CounterMetricFamily(f"bridge_{name}", says, labels=labels)
    for key, value in values.items():
        family.add_metric(key, value)
    return family


def _time(name: str, says: str, at: float | None) -> Metric:
    """A point in time; without a sample where there is none."""
    return _gauge(f"{name}_timestamp_seconds", says, (), {} if at is None else {(): at})


def _each(words: Sequence[str], found: Mapping[str, float]) -> Values:
    """Every word, with zero where nothing was found, and what another version has named besides."""
    return {(word,): found.get(word, 0) for word in dict.fromkeys([*words, *found])}


def _pairs(ones: Sequence[str], others: Sequence[str], found: Values) -> Values:
    return dict.fromkeys(product(ones, others), 0.0) | dict(found)


def _state(found: Mapping[str, Any]) -> Iterator[Metric]:
    services = _each([state.value for state in ServiceState], found["services"])
    yield _gauge("services", "Hosting subscriptions that are remembered.", ("state",), services)
    holds = _each([hold.value for hold in Hold], found["holds"])
    yield _gauge("service_holds", "Holds of services; one may have several.", ("hold",), holds)
    orders = {(state, provider): n for state, provider, n in found["orders"]}
    states, providers = [state.value for state in OrderState], [provider.value for provider in Provider]
    yield _gauge("orders", "Orders.", ("state", "provider"), _pairs(states, providers, orders))
    yield _gauge("disputes_open", "Disputes that are not decided.", (), {(): found["disputes"]})
    yield _gauge("brake_engaged", "1 while a brake is on.", (), {(): float(found["braked"])})
    counts = found["differences"] or {}
    differences = {(side,): counts.get(counted, 0) for side, counted in SIDES.items()}
    yield _gauge("sweep_differences", "What the last sweep found.", ("side",), differences)
    failing = {(word,): float(found["failing"].get(side, 0)) for side, word in AWAY.items()}
    yield _gauge("side_failing", "1 while the last call to it failed.", ("side",), failing)
    yield _time("sweep_last_success", "When the last sweep ended that left nothing out.", found["swept"])
    yield _time("panel_token_expiry", "When the panel's token ends, as far as it is known.", found["token_ends"])
    yield _time("event_last_received", "When the webhook last brought an event.", found["newest_webhook"])


def _queue(found: dict[str, Any]) -> Iterator[Metric]:
    yield _gauge("queue_items", "Rows of the queue.", ("kind", "status"), metrics.items(found, list(KINDS)))
    oldest = {(lane.value,): found["oldest"][lane] for lane in Lane if lane in found["oldest"]}
    says = "Since when the oldest due row waits that nobody works on; none where nothing is due."
    yield _gauge("queue_oldest_due_timestamp_seconds", says, ("lane",), oldest)
    reasons = _each([reason.value for reason in Reason], found["reasons"])
    yield _gauge("parked_items", "Rows of the queue that wait for a person.", ("reason",), reasons)


def _totals(totals: Totals) -> Iterator[Metric]:
    events = _pairs(SOURCES, OUTCOMES, totals.get("events", {}))
    yield _counter("events_received", "Events that were stored.", ("source", "outcome"), events)
    actions = _pairs([kind.value for kind in ActionKind], ACTION_STATES, totals.get("actions", {}))
    yield _counter("actions", "Entries of the ledger.", ("kind", "state"), actions)
    words = [*(reason.value for reason in Reason), *(fault.value for fault in SettingsFault), due.FAILED]
    failures = _each(words, {key[0]: value for key, value in totals.get("failures", {}).items()})
    yield _counter("pass_failures", "Passes that ended with an error, or parked.", ("reason",), failures)
    yield _live(totals)


def _live(totals: Totals) -> Metric:
    found = totals.get("paid_to_live", {})
    buckets, so_far = [], 0.0
    for number, limit in enumerate([*(str(float(limit)) for limit in BUCKETS), "+Inf"]):
        so_far += found.get((str(number),), 0)
        buckets.append((limit, so_far))
    family = HistogramMetricFamily("bridge_paid_to_live_seconds", "From the payment until the hosting was seen to run.")
    family.add_metric((), buckets, totals.get("paid_to_live_sum", {}).get(("seconds",), 0.0))
    return family


def _outgoing(found: Mapping[str, Any], totals: Totals, places: Mapping[str, str]) -> Iterator[Metric]:
    waiting = {(place,): found["outbox"].get(endpoint, 0) for endpoint, place in places.items()}
    yield _gauge("outbox_pending", "Events that wait for an endpoint.", ("endpoint",), waiting)
    tried = _pairs(list(places.values()), ("delivered", "failed"), {})
    for (endpoint, outcome), value in totals.get("deliveries", {}).items():
        key = places.get(endpoint, REMOVED), outcome
        tried = {**tried, key: tried.get(key, 0) + value}
    yield _counter("outbox_deliveries", "Attempts to deliver an event.", ("endpoint", "outcome"), tried)
