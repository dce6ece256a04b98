"""What other settings would change."""

from __future__ import annotations

from datetime import datetime

from lib.web.typed import View


class AffectedService(View):
    """A service for which something would be otherwise."""

    customer_id: str
    subscription_id: str
    service: str
    domain: str | None


class Affected(View):
    """How many, and the first of them."""

    total: int
    sample: list[AffectedService]


class WhatIf(View):
    """What other settings would change now, by the rules of a pass over what is remembered. Nothing is changed."""

    suspended: Affected
    """Run, and would be suspended at once."""
    resumed: Affected
    deleted: Affected
    later: Affected
    """Their suspension or deletion would come later, or never."""
    sooner: Affected
    """Their suspension or deletion would come sooner, but not now."""
    braked: int
    """How many of those who are suspended or deleted at once the brake would keep for a person's word, with nothing
    counted within the hour before."""
    not_known: int
    """For so many it depends on what only Stripe knows."""
    as_of: datetime
