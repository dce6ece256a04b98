"""Compare both sides once, with a progress bar, and bring right what differs."""

from __future__ import annotations

import argparse
import math
import sys
from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, TextIO

from scripts._console import bridge, finish, table

if TYPE_CHECKING:
    from lib.bridge import Bridge

WIDTH = 24
"""Characters of the bar."""

SAID = {
    "events": "events",
    "undelivered": "events",
    "subscriptions": "subscriptions",
    "disputes": "subscriptions",
    "refunds": "subscriptions",
    "orders": "orders",
    "offline": "offline",
    "orgs": "orgs",
    "websites": "websites",
    "prune": "eventsPruned",
}
"""Which count shows how far a phase is."""


def main() -> None:
    """Sweep, drain, and say what was found."""
    parser = argparse.ArgumentParser(
        prog="scripts/sweep",
        description="Runs one sweep: reads Stripe's events and subscriptions and the panel's organisations and "
        "websites in pages, and marks due what differs from what is remembered; then runs what is due. Goes on with a "
        "sweep that was interrupted. Settings come from the environment or from .env; the environment wins.",
        epilog="Exit code: 0 both sides are equal, 1 a part could not be compared, or some customers failed or wait "
        "for a person (see ./scripts/explain), 2 the sweep did not come to its end, 130 Ctrl-C; the next "
        "one goes on from there.",
    )
    parser.add_argument("--no-drain", action="store_true", help="only mark what differs; others run it")
    options = parser.parse_args()

    finish(lambda: _sweep(drains=not options.no_drain), "The sweep stopped", "The next sweep goes on from here.")


async def _sweep(*, drains: bool) -> int:
    from lib.database import sweeps

    async with bridge() as manager:
        bar = Bar(sys.stdout)
        report = await manager.sweep(deadline=math.inf, progress=bar.show)
        bar.end()
        if report.elsewhere:
            print("Another process is sweeping just now; this one did nothing.", file=sys.stderr)
            return 2
        if report.stopped is not None:
            print(f"The sweep stopped at {report.stopped}\nThe next one goes on from there.", file=sys.stderr)
            return 2
        print(table(("COUNTED", "NUMBER"), [(name, number) for name, number in report.counts.items()]))
        newest = await sweeps.newest(manager.db)
        if newest is not None and newest.orphans:
            print(f"\nOrganisations with our mark that belong to nobody: {report.counts.get('orphans', 0)}")
            print(table(("ORGANISATION", "MARKED FOR"), [(o["org"], o["mark"]) for o in newest.orphans]))
            print("  -> Look at them in the panel; nothing deletes them.")
        left = await _drain(manager) if drains else 0
        if report.errors:
            print(f"\nNot everything was compared. {_told(report.errors)}", file=sys.stderr)
            print("  -> ./scripts/doctor examines the keys; the next sweep tries again.", file=sys.stderr)
        return 1 if report.errors else left


def _told(errors: Mapping[str, str]) -> str:
    return "; ".join(f"{phase}: {error}" for phase, error in errors.items())


async def _drain(manager: Bridge) -> int:
    from lib.database import due

    mode = manager.settings.provisioning_mode
    if mode == "paused":
        print("\nPROVISIONING_MODE is paused: what was marked waits.")
        return 0
    drained = await manager.drain(deadline=math.inf, workers=manager.settings.panel_concurrency)
    outcomes: Counter[str] = Counter(drained.outcomes)
    told = ", ".join(f"{number} {name}" for name, number in sorted(outcomes.items())) or "nothing was due"
    print(f"\nPasses: {drained.passes} ({told})")
    if mode == "shadow":
        print("PROVISIONING_MODE is shadow: what the passes would do stands on the dashboard.")
    load, failing = await due.load(manager.db), await due.failing(manager.db)
    if load.parked:
        print(f"{load.parked} wait for a person: ./scripts/explain CUSTOMER says why, and what to do.")
    if failing:
        print(f"{failing} failed for now and are tried again: ./scripts/explain CUSTOMER says why.")
    return 1 if load.parked or failing or outcomes["lost"] else 0


class Bar:
    """Progress: a bar that redraws itself on a terminal, one line for each phase elsewhere."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._terminal = out.isatty()
        self._phase: str | None = None

    def show(self, phase: str, counts: Mapping[str, int]) -> None:
        """How far the sweep is: called after each page."""
        from lib.subscription_manager.sweep import PHASES

        at = PHASES.index(phase)
        number = counts.get(SAID[phase], 0)
        if self._terminal:
            filled = WIDTH * at // len(PHASES)
            drawn = "#" * filled + "-" * (WIDTH - filled)
            marked = counts.get("marked", 0)
            self._out.write(f"\r\x1b[K[{drawn}] {phase}: {number:,} {SAID[phase]}, {marked:,} marked")
        elif phase != self._phase:
            self._out.write(f"sweep {at + 1}/{len(PHASES)}: {phase}\n")
        self._phase = phase
        self._out.flush()

    def end(self) -> None:
        """Leave the terminal's line clean."""
        if self._terminal:
            self._out.write("\r\x1b[K")
            self._out.flush()
