"""An honest little Stripe: an in-memory account behind the HTTP API that the real SDK speaks to."""

from __future__ import annotations

from scripts.sim.stripe_sim.api import Call, StripeSim
from scripts.sim.stripe_sim.store import ApiError, Obj

__all__ = ["ApiError", "Call", "Obj", "StripeSim"]
