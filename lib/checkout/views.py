"""What buyers and shops are answered, as types."""

from __future__ import annotations

from typing import Literal

from lib.web.typed import View

Progress = Literal["pending", "paying", "paid", "provisioning", "ready", "refunded", "failed", "expired"]


class Begun(View):
    """A purchase that has begun: send the buyer to `url`."""

    order_id: str
    session_id: str
    url: str


class StepView(View):
    """One thing that is made for a buyer."""

    name: Literal["account", "hosting", "website"]
    done: bool


class Urls(View):
    """Where the buyer goes from here; `null`: nowhere yet."""

    pay: str | None = None
    """Where it can still be paid."""
    site: str | None = None
    panel: str | None = None
    again: str | None = None
    """Where to begin anew."""


class Status(View):
    """How a purchase stands."""

    order_id: str
    state: Progress
    steps: list[StepView]
    urls: Urls


class PortalLink(View):
    """A link to Stripe's billing portal, good for a few minutes: go there at once."""

    url: str
