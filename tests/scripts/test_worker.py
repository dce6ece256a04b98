"""The worker as a process of its own, for people without Vercel: it must outlive what it stumbles over."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from scripts.doctor_checks.sleep import WORKER
from tests.world import World

ROOT = Path(__file__).resolve().parent.parent.parent
ONE = {"orgs": 1, "logins": 1, "members": 1, "subscriptions": 1, "websites": 1}


@contextmanager
def worker(world: World, log: Path, *options: str) -> Iterator[subprocess.Popen[bytes]]:
    """`./scripts/worker`, until the end of the block."""
    with log.open("w") as lines:
        process = subprocess.Popen(
            [sys.executable, "-c", "from scripts._worker import main; main()", *options],
            cwd=ROOT,
            env={**os.environ, **world.environ},
            stdout=lines,
            stderr=lines,
        )
        try:
            yield process
        finally:
            process.kill()
            process.wait()


def wait_for(log: Path, word: str, times: int = 1) -> None:
    """Wait until the worker has logged this."""
    end = time.monotonic() + 60
    while log.read_text().count(word) < times:
        assert time.monotonic() < end, log.read_text()
        time.sleep(0.05)


def test_a_worker_is_known_by_the_name_of_its_connections(world: World, tmp_path: Path) -> None:
    """The doctor sees by it that somebody keeps a database awake that could sleep."""
    log, named = tmp_path / "worker.log", "SELECT pid FROM pg_stat_activity WHERE application_name = %s"
    with worker(world, log):
        wait_for(log, '"sweep_finished"')
        assert world.sql(named, WORKER)


def test_a_sweep_that_is_refused_stops_neither_the_worker_nor_the_passes(world: World, tmp_path: Path) -> None:
    """A key that may not list events costs the sweep; who pays is provisioned all the same, and SIGTERM still ends."""
    world.stripe.forbid("^/v1/events")
    customer = world.customer()
    log = tmp_path / "worker.log"
    with worker(world, log) as process:
        wait_for(log, '"sweep_finished"')
        world.buy(customer)
        world.sql("INSERT INTO due (kind, key) VALUES ('customer', %s)", customer)
        wait_for(log, '"pass_ended"')
        assert world.panel.world() == ONE
        assert log.read_text().count('"sweep_finished"') == 1  # the sweep is not tried again with every look
        process.terminate()
        assert process.wait(timeout=30) == 0
    assert "worker_stopped" in log.read_text()
    assert "Traceback" not in log.read_text()


def test_a_database_that_can_not_be_used_is_told_once(world: World, tmp_path: Path) -> None:
    """Another program's tables: the worker says so once, with the remedy, and goes on by itself when it is mended."""
    world.sql("DROP SCHEMA public CASCADE")
    world.sql("CREATE SCHEMA public")
    world.sql("CREATE TABLE customers (id integer)")
    log = tmp_path / "worker.log"
    with worker(world, log):
        wait_for(log, '"worker_waits"')
        world.sql("CREATE TABLE looked (at timestamptz)")
        looks = "SELECT count(*) AS n FROM pg_stat_database WHERE datname = current_database() AND xact_rollback > %s"
        rolled_back = world.sql("SELECT xact_rollback AS n FROM pg_stat_database WHERE datname = current_database()")
        end = time.monotonic() + 60
        while not world.sql(looks, rolled_back[0]["n"] + 1)[0]["n"]:  # it has looked twice more
            assert time.monotonic() < end
            time.sleep(0.2)
        said = log.read_text()
        assert said.count("worker_waits") == 1
        assert "already exists" in said and "database of its own" in said
        assert "Traceback" not in said and "library_said" not in said
        world.sql("DROP TABLE customers")
        wait_for(log, '"schema_migrated"')


def test_what_a_frozen_host_held_is_taken_over_and_made_once(world: World, tmp_path: Path) -> None:
    """A host that freezes in the middle of a purchase costs nobody theirs, and once it thaws it makes nothing twice."""
    customers = [world.customer(f"Buyer {n}", f"buyer{n}@example.com") for n in range(6)]
    for n, customer in enumerate(customers):
        world.buy(customer, domain=f"site{n}.example")
        world.sql("INSERT INTO due (kind, key) VALUES ('customer', %s)", customer)
    world.environ["PANEL_CONCURRENCY"] = "3"
    gate = world.panel.hold_next("POST", "/customers$", when="after")  # made, and not yet told
    logs = [tmp_path / f"host{n}.log" for n in range(3)]
    with worker(world, logs[0], "--places", "1") as frozen:
        asyncio.run(gate.reached())
        frozen.send_signal(signal.SIGSTOP)
        gate.release()
        world.sql("UPDATE due SET leased_until = now() - interval '1 second' WHERE lease_id IS NOT NULL")
        world.sql("UPDATE leases SET leased_until = now() - interval '1 second'")  # the time passes that they last
        with worker(world, logs[1], "--places", "1"), worker(world, logs[2], "--places", "1"):
            wait_until_nothing_is_due(world)
            everybody = world.panel.world()
            frozen.send_signal(signal.SIGCONT)
            wait_for(logs[0], '"lease_lost"')
    assert everybody == world.panel.world() == {kind: len(customers) for kind in ONE}
    assert world.dangling() == []
    assert "Traceback" not in "".join(log.read_text() for log in logs)


def wait_until_nothing_is_due(world: World) -> None:
    """Wait until every pass has come to its end."""
    end = time.monotonic() + 60
    while left := world.due():
        assert time.monotonic() < end, left
        time.sleep(0.05)
