"""After answers a process drains once at a time: what comes meanwhile is neither left lying nor looked for in vain."""

import asyncio
import time
from collections.abc import Callable, Iterator

import pytest

from lib.bridge import Bridge
from lib.database import due
from lib.kinds import KINDS, Kind, nudge
from lib.model import Lane
from lib.subscription_manager import shared_drain
from lib.subscription_manager.drain import TIME_FOR_A_PASS
from tests.passes import kind_of_a_test
from tests.passes.test_kinds import until
from tests.world import World


@pytest.fixture(autouse=True)
def _strange(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A kind of our own, whose passes hang where their key says so."""
    monkeypatch.setitem(KINDS, "strange", Kind(Lane.OUT, "tests.passes.kind_of_a_test", longest=None))
    kind_of_a_test.ran.clear()
    yield
    kind_of_a_test.ran.clear()


async def test_what_comes_while_a_pass_takes_long_is_not_kept_waiting_by_it(world: World) -> None:
    """A drain hangs in one pass: what another request brings runs at once, in the same process."""
    async with world.bridge() as bridge:
        await due.mark(bridge.db, [nudge("strange", "hangs")])
        first = asyncio.create_task(bridge.drain_quietly(deadline=time.monotonic() + 600))
        await until(lambda: kind_of_a_test.ran == ["hangs"])
        await due.mark(bridge.db, [nudge("strange", "quick")])
        second = asyncio.create_task(bridge.drain_quietly(deadline=time.monotonic() + 600))
        await until(lambda: [row["key"] for row in world.due()] == ["hangs"])
        for drain in (first, second):
            drain.cancel()
        await asyncio.gather(first, second, return_exceptions=True)
    assert kind_of_a_test.ran == ["hangs", "quick"]


async def test_requests_of_one_moment_leave_nothing_due(world: World) -> None:
    """Each of thirty requests brings one: whichever of them drains, all is done when all have come to their end."""

    async def bring(number: int) -> None:
        await asyncio.sleep(number % 7 / 100)
        subject = ("strange", f"thing {number}")
        await due.mark(bridge.db, [nudge(*subject)])
        await bridge.drain_quietly(deadline=time.monotonic() + 600, first=[subject])

    async with world.bridge() as bridge:
        await asyncio.gather(*(bring(number) for number in range(30)))
        assert world.due() == []
    assert sorted(kind_of_a_test.ran) == sorted(f"thing {number}" for number in range(30))


class Burst:
    """Requests of which a dozen comes in each time that it is seen whether they go on, whatever the clock says."""

    DOZEN = 12  # in a tenth of a second: more than `MANY`

    def __init__(self, bridge: Bridge, goes_on: Callable[[int], bool]) -> None:
        self.requests: list[asyncio.Task[None]] = []
        self._bridge = bridge
        self._goes_on = goes_on

    async def nap(self, _: float) -> None:
        """Stands for the time in which the next ones come."""
        if self._goes_on(len(self.requests)):
            await self.come()

    async def come(self) -> None:
        """A dozen requests nudge the same thing and have come as far as the drain that they share."""
        drain = self._bridge._shared_drain
        known = drain._brought
        for _ in range(self.DOZEN):
            await due.mark(self._bridge.db, [nudge("strange", "thing")])
            end = time.monotonic() + 600
            self.requests.append(asyncio.create_task(self._bridge.drain_quietly(deadline=end)))
        while drain._brought < known + self.DOZEN:  # noqa: ASYNC110 - nothing tells of it
            await asyncio.sleep(0)


async def test_a_burst_is_let_come_in_before_its_first_pass(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """What all requests of a burst nudge has one pass, after the last of them."""
    monkeypatch.setattr(shared_drain, "PATIENCE", 3600.0)
    async with world.bridge() as bridge:
        burst = Burst(bridge, lambda came: came < 48)
        monkeypatch.setattr(shared_drain, "nap", burst.nap)
        await burst.come()
        await asyncio.gather(*burst.requests)
        assert world.due() == []
    assert (kind_of_a_test.ran, len(burst.requests)) == (["thing"], 48)


async def test_a_burst_without_end_is_not_waited_for(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """However long it goes on, its first pass comes in the middle of it."""
    monkeypatch.setattr(shared_drain, "PATIENCE", 0.1)
    async with world.bridge() as bridge:
        burst = Burst(bridge, lambda came: not kind_of_a_test.ran and came < 3000)
        monkeypatch.setattr(shared_drain, "nap", burst.nap)
        await burst.come()
        await asyncio.gather(*burst.requests)
        assert world.due() == []
    assert burst.DOZEN < len(burst.requests) < 3000


async def test_the_end_of_whoever_drains_is_not_the_end_of_the_work(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The request that drains is cut off (or its time is over): those who waited for it go on by themselves."""
    marked = asyncio.Event()
    async with world.bridge() as bridge:
        await due.mark(bridge.db, [nudge("strange", "hangs")])
        first = asyncio.create_task(bridge.drain_quietly(deadline=time.monotonic() + 600))
        await until(lambda: kind_of_a_test.ran == ["hangs"])
        monkeypatch.setattr(shared_drain, "nap", lambda _: marked.wait())
        second = asyncio.create_task(bridge.drain_quietly(deadline=time.monotonic() + 600))
        await until(lambda: bridge._shared_drain._brought == 2)
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)
        await due.mark(bridge.db, [nudge("strange", "left")])
        marked.set()
        await asyncio.wait_for(second, timeout=30)
    assert "left" in kind_of_a_test.ran
    assert "left" not in {row["key"] for row in world.due()}


async def test_who_has_no_time_left_does_not_begin(world: World) -> None:
    """With too little time for a pass, what is due stays due for the next one."""
    async with world.bridge() as bridge:
        await due.mark(bridge.db, [nudge("strange", "thing")])
        await bridge.drain_quietly(deadline=time.monotonic() + TIME_FOR_A_PASS - 1)
    assert kind_of_a_test.ran == []
    assert [row["key"] for row in world.due()] == ["thing"]
