"""The deliveries of the simulated Stripe: each event to each endpoint that wants it, again until it is taken."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import httpx

if TYPE_CHECKING:
    from scripts.sim.stripe_sim import Obj, StripeSim

WAITS = (2.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0)
"""Seconds between tries. Stripe's grow as well, up to three days in all; nobody at a terminal waits that long."""

LOOK = 0.25
"""Seconds between two looks for what happened at the simulated Stripe without a command."""


@dataclass(slots=True)
class Delivery:
    """One event on its way to one endpoint."""

    event: Obj
    url: str
    next_try: float = 0.0
    """By the courier's clock; meaningless once it is over."""
    tries: int = 0
    answer: str = ""
    """The status of the last answer, or that there was none."""
    taken: bool = False
    over: bool = False
    """Taken, or given up: only a sweep finds it then."""


class Courier:
    """Delivers in the background, and at once what somebody waits for."""

    def __init__(
        self, stripe: StripeSim, waits: Sequence[float] = WAITS, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._stripe = stripe
        self._waits = waits
        self._clock = clock
        self._lock = threading.Lock()
        self._seen = 0
        self._deliveries: dict[str, list[Delivery]] = {}

    def deliver(self, events: Iterable[Obj]) -> list[Delivery]:
        """Deliver what was not tried yet of these events, in their order; answers what became of each so far."""
        with self._lock:
            self._collect()
            wanted = [delivery for event in events for delivery in self._deliveries.get(event["id"], ())]
            for delivery in wanted:
                if not delivery.tries:
                    self._try(delivery)
            return wanted

    def deliver_due(self) -> list[Delivery]:
        """Deliver what is new, repeat what it is time to repeat, and answer both."""
        with self._lock:
            self._collect()
            wanted = [delivery for delivery in self.waiting() if delivery.next_try <= self._clock()]
            for delivery in wanted:
                self._try(delivery)
            return wanted

    def pass_over(self) -> None:
        """Take what has happened so far as delivered."""
        with self._lock:
            self._seen = len(self._stripe.events)

    def waiting(self) -> list[Delivery]:
        """What is still on its way."""
        return [each for those in list(self._deliveries.values()) for each in those if not each.over]

    def seconds_until(self, delivery: Delivery) -> float:
        """How long until it is tried next."""
        return max(0.0, delivery.next_try - self._clock())

    def run(self, stop: threading.Event, tell: Callable[[str], None]) -> None:
        """Deliver until told to stop, and tell what nobody asked for."""
        while not stop.wait(LOOK):
            for line in told(self.deliver_due()):
                tell(f"   {line}")

    def _collect(self) -> None:
        new = self._stripe.events[self._seen :]
        self._seen += len(new)
        endpoints = [one for one in list(self._stripe.webhook_endpoints.values()) if one["status"] == "enabled"]
        for event in new:
            urls = [one["url"] for one in endpoints if {event["type"], "*"} & set(one["enabled_events"])]
            if urls:
                self._deliveries[event["id"]] = [Delivery(event, url) for url in urls]

    def _try(self, delivery: Delivery) -> None:
        delivery.tries += 1
        try:
            answer = self._stripe.deliver(delivery.url, delivery.event)
        except (httpx.TransportError, httpx.InvalidURL) as error:
            delivery.answer = f"no answer ({str(error) or type(error).__name__})"
        else:
            delivery.answer, delivery.taken = str(answer.status_code), answer.is_success
        delivery.over = delivery.taken or delivery.tries > len(self._waits)
        if not delivery.over:
            delivery.next_try = self._clock() + self._waits[delivery.tries - 1]


def told(deliveries: Sequence[Delivery]) -> list[str]:
    """A line for each kind of answer."""
    lines = []
    for answer in dict.fromkeys(delivery.answer for delivery in deliveries):
        those = [delivery for delivery in deliveries if delivery.answer == answer]
        kinds = list(dict.fromkeys(delivery.event["type"] for delivery in those))
        number = f"{len(those)} event" + ("" if len(those) == 1 else "s")
        first = those[0]
        rest = "" if first.taken else ", given up" if first.over else ", sent again later"
        line = f"POST /api/webhook  {answer}  {number}: {', '.join(kinds[:3])}{' ...' if len(kinds) > 3 else ''}"
        lines.append(line + rest)
    return lines
