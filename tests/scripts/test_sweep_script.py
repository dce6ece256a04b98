"""The sweep as a program: what an operator sees of it, and what its exit code says."""

import io
import os
import subprocess
import sys
from pathlib import Path

from lib.subscription_manager.sweep import PHASES
from scripts._sweep import SAID, Bar
from tests.world import World

ROOT = Path(__file__).resolve().parent.parent.parent


def run(world: World, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run it as an operator does."""
    return subprocess.run(
        [sys.executable, ROOT / "scripts" / "sweep", *arguments],
        cwd=ROOT,
        env={**os.environ, **world.environ, **environ},
        capture_output=True,
        text=True,
        check=False,
    )


def test_each_phase_shows_how_far_it_is() -> None:
    """Whatever is compared, the operator sees a number grow."""
    assert SAID.keys() == set(PHASES)


async def test_it_finds_and_mends(world: World) -> None:
    """What no webhook told is found, marked and provisioned; each phase is one plain line, with exit code 0."""
    world.buy(world.customer())
    done = run(world)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout + done.stderr
    assert world.panel.world() == {"orgs": 1, "logins": 1, "members": 1, "subscriptions": 1, "websites": 1}
    assert "\x1b" not in done.stdout and "\r" not in done.stdout
    phases = [line for line in done.stdout.splitlines() if line.startswith("sweep ")]
    assert phases[0] == f"sweep 2/{len(PHASES)}: undelivered"
    assert phases[-1] == f"sweep {len(PHASES)}/{len(PHASES)}: prune"
    assert "settled" in done.stdout
    again = run(world)
    assert (again.returncode, "nothing was due" in again.stdout) == (0, True)


async def test_it_may_only_mark(world: World) -> None:
    """With --no-drain the worker or the cron does the rest."""
    customer = world.customer()
    world.buy(customer)
    assert run(world, "--no-drain").returncode == 0
    assert world.panel.world()["orgs"] == 0
    assert customer in {row["key"] for row in world.due()}


async def test_orphans_are_shown(world: World) -> None:
    """Organisations with our mark that belong to nobody are listed, and stay."""
    org = world.panel.add_customer("Somebody [cus_lost]")
    done = run(world)
    assert done.returncode == 0
    assert org in done.stdout and "cus_lost" in done.stdout
    assert world.panel.world()["orgs"] == 1


async def test_who_waits_for_a_person_shows_in_the_exit_code(world: World) -> None:
    """Something is left to do, so it is 1."""
    world.stripe.create_price("price_strange")
    world.buy(world.customer(), price="price_strange")
    done = run(world)
    assert done.returncode == 1
    assert "1 wait for a person" in done.stdout


async def test_a_pass_that_failed_shows_in_the_exit_code(world: World) -> None:
    """It is repeated by itself, but for now both sides are not equal: 1, also while it waits for its repetition."""
    world.buy(world.customer(), domain=None)
    world.stripe.fail_next("GET", "/v1/checkout/sessions", 503, times=100_000)
    for _ in range(2):
        done = run(world)
        assert done.returncode == 1
        assert "1 failed for now" in done.stdout
    world.stripe.clear_faults()
    world.hurry()
    assert run(world).returncode == 0


async def test_who_only_waits_is_no_failure(world: World) -> None:
    """A grace period is as it should be: 0."""
    customer = world.customer()
    subscription = world.buy(customer)
    assert run(world).returncode == 0
    world.stripe.fail_payment(subscription)
    done = run(world)
    assert [row["waits_for"] for row in world.due()] == ["in_grace"]
    assert (done.returncode, done.stderr) == (0, "")


async def test_a_panel_that_is_away_shows_in_the_exit_code(world: World) -> None:
    """The sweep did not come to its end, so it is 2; the next one goes on where it stopped."""
    world.buy(world.customer())
    world.panel.down = True
    done = run(world)
    assert done.returncode == 2
    assert "The sweep stopped at orgs: " in done.stderr and "Traceback" not in done.stderr
    world.panel.down = False
    assert run(world).returncode == 0
    assert world.sql("SELECT count(*) AS n FROM sweeps") == [{"n": 1}]


async def test_a_part_that_was_left_out_shows_in_the_exit_code(world: World) -> None:
    """The rest is compared and mended; which part is missing is said, and it is 1, also when it only marks."""
    world.buy(world.customer())
    world.stripe.forbid("^/v1/disputes", "rak_dispute_read")
    for arguments in ((), ("--no-drain",)):
        done = run(world, *arguments)
        assert done.returncode == 1
        assert "Not everything was compared. disputes: " in done.stderr and "rak_dispute_read" in done.stderr
    assert world.panel.world()["websites"] == 1


async def test_a_second_one_at_once_says_so(world: World) -> None:
    """One sweep at a time over all processes."""
    world.sql("INSERT INTO leases VALUES ('sweep', gen_random_uuid(), now() + interval '1 minute')")
    done = run(world)
    assert done.returncode == 2
    assert "Another process is sweeping" in done.stderr


async def test_paused_is_said(world: World) -> None:
    """Nothing runs in paused mode, and nothing is missing."""
    world.buy(world.customer())
    done = run(world, PROVISIONING_MODE="paused")
    assert (done.returncode, "paused" in done.stdout) == (0, True)
    assert world.panel.world()["orgs"] == 0


def test_the_bar_redraws_one_line_on_a_terminal() -> None:
    """It grows from phase to phase, counts, and leaves no trace."""

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    out = Terminal()
    bar = Bar(out)
    bar.show("events", {"events": 100})
    bar.show("subscriptions", {"events": 100, "subscriptions": 12300, "marked": 2})
    bar.show("prune", {"marked": 2})
    bar.end()
    first, second, third, last = out.getvalue().split("\r")[1:]
    assert first.count("#") < second.count("#") < third.count("#")
    assert "12,300 subscriptions, 2 marked" in second
    assert last == "\x1b[K"
    assert "\n" not in out.getvalue()
