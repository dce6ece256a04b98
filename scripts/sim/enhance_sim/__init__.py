"""A simulator of the Enhance panel, as small as it can be and still refuse what the real one refuses."""

from scripts.sim.enhance_sim.ask import RecoveryMail
from scripts.sim.enhance_sim.faults import Call, Gate
from scripts.sim.enhance_sim.panel import EnhanceSim

__all__ = ["Call", "EnhanceSim", "Gate", "RecoveryMail"]
