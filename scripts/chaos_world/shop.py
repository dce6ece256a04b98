"""Buyers at the seller's own page: they click twice, and ask again when no answer comes."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import httpx

from scripts.sim.stripe_sim import ApiError, StripeSim

TRIES = 3
"""How often somebody clicks who gets no answer."""


class Shop:
    """`POST /api/checkout` as a page sends it, in threads of its own, and the payment at Stripe's page."""

    def __init__(self, stripe: StripeSim, base: str) -> None:
        self._stripe = stripe
        self._base = base
        self._client = httpx.Client(timeout=10)
        self._pool = ThreadPoolExecutor(6, thread_name_prefix="shop")
        self._lock = threading.Lock()
        self._under_way = 0
        self.twice: list[str] = []
        """Buyers who were given two pages for one purchase."""
        self.bought = 0

    def order(self, email: str, price: str, domain: str, *, pays: bool) -> None:
        """Somebody orders, and has paid once Stripe's page has come; answers at once."""
        with self._lock:
            self._under_way += 1
        self._pool.submit(self._order, {"priceId": price, "email": email, "domain": domain}, pays)

    def quiet(self) -> bool:
        """Whether nobody is waiting for a page."""
        with self._lock:
            return self._under_way == 0

    def close(self) -> None:
        """Nobody comes any more."""
        self._pool.shutdown(cancel_futures=True)
        self._client.close()

    def _order(self, body: dict[str, str], pays: bool) -> None:
        try:
            second: list[str] = []
            other = threading.Thread(target=lambda: second.extend(self._ask(body)))
            other.start()
            pages = set(self._ask(body))
            other.join()
            pages |= set(second)
            if len(pages) > 1:
                self.twice.append(body["email"])
            with suppress(ApiError):  # the page was given up meanwhile
                for page in list(pages)[:1] if pays else ():
                    self._stripe.complete_checkout(page, name=body["email"].partition("@")[0])
                    self.bought += 1
        finally:
            with self._lock:
                self._under_way -= 1

    def _ask(self, body: dict[str, str]) -> list[str]:
        for _ in range(TRIES):
            with suppress(httpx.TransportError):
                answer = self._client.post(f"{self._base}/api/checkout", json=body)
                if answer.is_success:
                    return [str(answer.json()["sessionId"])]
        return []
