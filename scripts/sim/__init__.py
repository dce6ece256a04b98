"""Simulators of the two outside services, in memory and on loopback; never part of the deployed bundle."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from scripts.sim.enhance_sim import EnhanceSim
    from scripts.sim.stripe_sim import StripeSim


def settings(stripe: StripeSim, stripe_url: str, panel: EnhanceSim, panel_url: str) -> dict[str, str]:
    """The settings with which the product meets these two where they are served; all but the database's and our own."""
    return {
        "STRIPE_SECRET_KEY": stripe.secret_key,
        "STRIPE_WEBHOOK_SECRET": stripe.webhook_secret,
        "STRIPE_API_BASE": stripe_url,
        "ENHANCE_API_URL": panel_url,
        "ENHANCE_API_TOKEN": panel.token,
        "ENHANCE_ORG_ID": panel.org_id,
    }
