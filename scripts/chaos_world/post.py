"""The way of Stripe's events to the product: some are lost, some come twice, and none in order."""

from __future__ import annotations

import heapq
import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import httpx

from scripts.sim.stripe_sim import Obj, StripeSim

LOST, TWICE, THIN = 0.15, 0.2, 0.1
"""Of all events: those that never come, those that come once more, and those that come as a thin notification."""

LATE = 3.0
"""Seconds that an event may be under way."""

AGAIN = 1.0
"""Seconds until one that was not taken is sent again."""

LOOK = 0.02


class Post:
    """Delivers what happens, in threads of its own, until it is closed."""

    def __init__(self, stripe: StripeSim, url: str, chance: random.Random) -> None:
        self._stripe = stripe
        self._url = url
        self._chance = chance
        self._seen = 0
        self._bag: list[tuple[float, int, Obj]] = []
        self._entries = 0
        self._lock = threading.Lock()
        self._end = threading.Event()
        self._under_way = 0
        self._client = httpx.Client(timeout=10)
        self.taken: set[str] = set()
        """Ids that were answered with 200."""
        self.lost = 0
        self.again = 0
        """Deliveries that were not taken."""
        self._pool = ThreadPoolExecutor(4, thread_name_prefix="post")
        self._thread = threading.Thread(target=self._run, name="post", daemon=True)
        self._thread.start()

    def empty(self) -> bool:
        """Whether nothing is on its way any more."""
        with self._lock:
            return self._seen == len(self._stripe.events) and not self._bag and not self._under_way

    def close(self) -> None:
        """Deliver nothing more."""
        self._end.set()
        self._thread.join()
        self._pool.shutdown(cancel_futures=True)
        self._client.close()

    def _run(self) -> None:
        while not self._end.wait(LOOK):
            with self._lock:
                new = self._stripe.events[self._seen :]
                self._seen += len(new)
                for event in new:
                    self._collect(event)
                due = []
                while self._bag and self._bag[0][0] <= time.monotonic():
                    due.append(heapq.heappop(self._bag)[2])
                self._under_way += len(due)
            for event in due:
                self._pool.submit(self._deliver, event)

    def _collect(self, event: Obj) -> None:
        if self._chance.random() < LOST:
            self.lost += 1
            return
        for _ in range(2 if self._chance.random() < TWICE else 1):
            form = self._stripe.thin(event) if self._chance.random() < THIN else event
            self._put(form, self._chance.random() * LATE)

    def _put(self, event: Obj, seconds: float) -> None:
        self._entries += 1
        heapq.heappush(self._bag, (time.monotonic() + seconds, self._entries, event))

    def _deliver(self, event: Obj) -> None:
        body, headers = self._stripe.signed(event)
        try:
            taken = self._client.post(self._url, content=body, headers=headers).is_success
        except httpx.TransportError:
            taken = False
        with self._lock:
            self._under_way -= 1
            if taken:
                self.taken.add(event["id"])
            else:
                self.again += 1
                self._put(event, AGAIN)
        if taken:
            self._stripe.mark_delivered(event)
