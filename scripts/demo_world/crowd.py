"""The demo's own stage, filled with customers."""

from __future__ import annotations

import io

from lib import log
from scripts.demo_world.population import Populated, populate
from scripts.demo_world.stage import Stage
from scripts.demo_world.watch import newest_change


def fill(stage: Stage) -> Populated:
    """`populate` for the demo: its bookkeeping breaks, and what lies back is not delivered once more."""
    log.configure("error", stream=io.StringIO())  # a brake that engages is meant, and no news
    if stage.books is not None:
        stage.books.broken = True
    url = stage.server.create_database("models")
    try:
        return populate(stage.stripe, stage.panel, stage.environ, models_url=url)
    finally:
        stage.server.drop_database("models")
        stage.courier.pass_over()
        stage.told = newest_change(stage)
