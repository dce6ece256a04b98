"""What goes wrong: processes die or stand still, the database is cut off, calls fail before they act or after."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from collections.abc import Callable

from scripts.chaos_world.stage import Stage
from scripts.sim.enhance_sim.faults import When

FROZEN = 40.0
"""Seconds for which one worker stands still in each storm that is long enough: longer than a lease."""

BEFORE_OR_AFTER: tuple[When, ...] = ("before", "after")
"""A call fails before it acts, or acts and fails to say so."""


class Trouble:
    """Makes it, a piece at a time."""

    def __init__(self, stage: Stage, chance: random.Random, *, freezes: bool) -> None:
        self._stage = stage
        self._chance = chance
        self._frozen: threading.Timer | None = None
        self._kinds: list[Callable[[], str]] = [
            self._kill, self._cut, *[self._break_panel] * 4, *[self._break_stripe] * 3, self._break_listener,
        ]  # fmt: skip
        self._first = [self._kill, self._cut]
        if freezes and len(stage.workers) > 1:
            self._first.insert(0, self._freeze)
        self.made: Counter[str] = Counter()
        """What was done, and how often."""

    def make(self) -> None:
        """One piece: of the worst kinds one each, then whatever comes."""
        what = (self._first.pop(0) if self._first else self._chance.choice(self._kinds))()
        self.made[what] += 1

    def end(self) -> None:
        """Let everything work again."""
        if self._frozen is not None:
            self._frozen.cancel()
            self._stage.workers[-1].freeze(on=False)
        self._stage.panel.clear_faults()
        self._stage.panel.down = False
        self._stage.stripe.clear_faults()
        self._stage.listener.broken = False

    def _freeze(self) -> str:
        process = self._stage.workers[-1]
        process.freeze(on=True)
        self._frozen = threading.Timer(FROZEN, process.freeze, kwargs={"on": False})
        self._frozen.daemon = True
        self._frozen.start()
        return "worker frozen for longer than its lease"

    def _kill(self) -> str:
        alive = [one for one in self._stage.processes if self._frozen is None or one is not self._stage.workers[-1]]
        process = self._chance.choice(alive)
        process.kill()
        process.start()
        return f"{process.name} killed"

    def _cut(self) -> str:
        deaf, closed = self._chance.choice(((0.0, 0.0), (0.05, 0.0), (0.05, 0.5), (0.0, 1.5)))
        self._stage.relay.cut(deaf=deaf, closed=closed)
        return "database cut off" + (", answers lost" if deaf else "") + (", and away" if closed else "")

    def _break_panel(self) -> str:
        panel, times = self._stage.panel, self._chance.choice((1, 1, 2, 5))
        method = self._chance.choice(("*", "POST", "POST", "PUT", "PATCH", "GET"))
        when = self._chance.choice(BEFORE_OR_AFTER)
        match self._chance.choice(("fail", "fail", "drop", "drop", "slow", "busy", "down")):
            case "fail":
                panel.fail_next(method, ".*", self._chance.choice((500, 502, 503, 504)), when=when, times=times)
                return f"panel fails {when} it acts"
            case "drop":
                panel.drop_next(method, ".*", when=when, times=times)
                return f"panel hangs up {when} it acts"
            case "slow":
                panel.delay_next(method, ".*", self._chance.uniform(0.2, 2.0), when="after", times=times)
                return "panel answers late"
            case "busy":
                panel.fail_next(method, ".*", 429, times=times, retry_after=1)
                return "panel asks to wait"
        panel.down = True
        threading.Timer(self._chance.uniform(0.5, 2.0), setattr, (panel, "down", False)).start()
        return "panel away"

    def _break_stripe(self) -> str:
        stripe, times = self._stage.stripe, self._chance.choice((1, 2, 5))
        match self._chance.choice(("fail", "drop", "busy", "down")):
            case "fail":
                stripe.fail_next("GET", ".*", self._chance.choice((500, 502, 503)), times=times)
                return "Stripe fails"
            case "drop":
                stripe.fail_next("GET", ".*", "drop_before", times=times)
                return "Stripe hangs up"
            case "busy":
                stripe.fail_next("GET", ".*", 429, times=times)
                return "Stripe asks to wait"
        stripe.down = True
        threading.Timer(self._chance.uniform(0.5, 2.0), setattr, (stripe, "down", False)).start()
        return "Stripe away"

    def _break_listener(self) -> str:
        listener = self._stage.listener
        listener.broken = True
        threading.Timer(self._chance.uniform(0.5, 3.0), setattr, (listener, "broken", False)).start()
        return "listener refuses"


def storm(stage: Stage, chance: random.Random, act: Callable[[], None], trouble: Trouble, seconds: float) -> None:
    """Let people act and trouble come, for so long."""
    end = time.monotonic() + seconds
    next_trouble = time.monotonic()
    while time.monotonic() < end:
        act()
        if time.monotonic() >= next_trouble:
            trouble.make()
            next_trouble = time.monotonic() + chance.expovariate(1.5)
        time.sleep(chance.expovariate(6.0))
    trouble.end()
    stage.up()
