"""For how long nobody needs to ask the database: never later than what is due, and never for long."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from lib.policy import quiet
from lib.policy.quiet import Outlook, Rest, holds, rest_after, stirred, written
from lib.structs import replace

OF = "database, schema and mode"
NOW = 1_800_000_000.0
QUIET = Outlook(due_in=None, busy=False, idle=None)
A_MINUTE = 60.0

REST = Rest(OF, NOW - 60, NOW + 60)


def believed(rest: object, stir: object = None, now: float = NOW) -> bool:
    """Whether nobody asks."""
    return holds(rest, stir, OF, now) is not None


def test_a_whole_and_fresh_rest_is_believed() -> None:
    """While it lasts, and no stir came after its look, the database sleeps on."""
    assert believed(written(REST))
    assert believed(written(REST), stirred(NOW - 61))


@pytest.mark.parametrize(
    "rest",
    [
        None,
        "rest",
        [],
        {},
        {"of": OF, "seen": NOW - 60},
        {"of": OF, "until": NOW + 60},
        {"seen": NOW - 60, "until": NOW + 60},
        written(replace(REST, of="another schema")),
        written(REST) | {"until": None},
        written(REST) | {"until": str(NOW + 60)},
        written(REST) | {"until": True},
        written(REST) | {"until": float("inf")},
        written(REST) | {"until": float("nan")},
        written(REST) | {"seen": float("nan")},
        written(REST) | {"seen": NOW + 5},
        written(REST) | {"seen": NOW - quiet.LONGEST - 1},
        written(REST) | {"until": NOW},
        written(REST) | {"until": NOW + quiet.LONGEST},
    ],
    ids=repr,
)
def test_what_is_missing_odd_old_or_of_something_else_is_not(rest: object) -> None:
    """Everything but a whole rest of this database, seen within the quarter of an hour, means that it is asked."""
    assert not believed(rest)


@pytest.mark.parametrize(
    "stir", [stirred(NOW - 60), stirred(NOW), stirred(NOW + 9), {}, "stir", {"until": "soon"}], ids=repr
)
def test_nor_is_one_that_a_stir_has_overtaken(stir: object) -> None:
    """Whoever looked before the last stir, or while nobody can read when that was, knows nothing of it."""
    assert not believed(written(REST), stir)


@pytest.mark.parametrize(
    ("outlook", "lasts"),
    [
        (QUIET, 870),
        (replace(QUIET, due_in=300.0), 300),
        (replace(QUIET, due_in=5000.0), 870),
        (replace(QUIET, idle=100.0), 300),
        (replace(QUIET, due_in=59.0), None),
        (replace(QUIET, due_in=0.0), None),
        (replace(QUIET, due_in=-7.0), None),
        (replace(QUIET, idle=0.0), None),
        (replace(QUIET, busy=True), None),
    ],
)
def test_a_rest_ends_before_anything_can_be_due(outlook: Outlook, lasts: float | None) -> None:
    """At the next date, after three times as long as it was idle, or in time for the fifteenth minute."""
    rest = rest_after(outlook, OF, NOW)
    assert (rest and rest.until - NOW) == lasts


@given(st.floats(0, 15))
def test_an_operator_may_allow_less(minutes: float) -> None:
    """A rest is never longer than the setting says; with 0 or 1 minute there is none."""
    rest = rest_after(QUIET, OF, NOW, minutes * 60)
    assert rest is None if minutes * 60 < 90 else rest is not None and rest.until < NOW + minutes * 60


class Story(RuleBasedStateMachine):
    """An installation as it goes: what is made due, who dies, what the cache forgets, and a cron each minute.

    Two promises: what was made due with a stir, or stood in the queue when it was looked at, is met by the next cron
    after its time; and what was made due behind the cache's back is met within a quarter of an hour.
    """

    LATEST = quiet.LONGEST + A_MINUTE

    @initialize(offset=st.floats(0, 59))
    def begin(self, offset: float) -> None:
        """An empty queue, and no cache."""
        self.now = NOW + offset
        self.next_cron = NOW + A_MINUTE
        self.due: dict[float, tuple[float, bool]] = {}  # row: when it is due, and whether that was told
        self.busy_until = 0.0
        self.last_event = NOW - 100_000
        self.rest: object = None
        self.stir: object = None
        self.copy: tuple[object, object] = (None, None)
        self.looks: list[float] = []
        self.late: list[tuple[float, bool]] = []

    def pass_time(self, seconds: float) -> None:
        """Let the crons come that fall within."""
        end = self.now + seconds
        while self.next_cron <= end:
            self.now, self.next_cron = self.next_cron, self.next_cron + A_MINUTE
            self.cron()
        self.now = end

    def cron(self) -> None:
        """Ask if need be, run what is due, and tell what comes."""
        if holds(self.rest, self.stir, OF, self.now) is not None:
            return
        self.looks.append(self.now)
        ready = {row: known for row, known in self.due.items() if known[0] <= self.now}
        for row, (at, told) in ready.items():
            self.late.append((self.now - at, told))
            del self.due[row]
        if ready:
            self.last_event = self.now
            self.stir = stirred(self.now + quiet.STIRRED_AHEAD)
            return
        earliest = min((at for at, _ in self.due.values()), default=None)
        outlook = Outlook(
            due_in=None if earliest is None else earliest - self.now,
            busy=self.now <= self.busy_until,
            idle=self.now - self.last_event,
        )
        rest = rest_after(outlook, OF, self.now)
        self.rest = written(rest) if rest else None

    @rule(seconds=st.one_of(st.floats(0, 90), st.floats(0, 4000)))
    def wait(self, seconds: float) -> None:
        """Nothing happens."""
        self.pass_time(seconds)

    @rule(ahead=st.one_of(st.just(0.0), st.floats(0, 4000)), told=st.booleans(), gap=st.floats(0, 5))
    def write(self, ahead: float, told: bool, gap: float) -> None:
        """A function makes something due and tells so a little later, or dies before; or somebody without a cache."""
        row, self.last_event = self.now, self.now
        self.due[row] = (self.now + ahead, False)
        self.pass_time(gap)
        if told:
            self.stir = stirred(self.now + quiet.STIRRED_AHEAD)
            if row in self.due:
                self.due[row] = (self.due[row][0], True)

    @rule(lasts=st.floats(0, 100), ahead=st.floats(0, 1000), dies=st.booleans())
    def run(self, lasts: float, ahead: float, dies: bool) -> None:
        """A webhook's own drain takes a pass, which leaves a date behind, or dies and leaves a lease that runs out."""
        self.last_event = self.now
        self.stir = stirred(self.now + quiet.STIRRED_AHEAD)
        self.busy_until = max(self.busy_until, self.now + lasts)
        if dies:
            self.due[self.now] = (self.busy_until, True)
        else:
            self.pass_time(lasts)
            self.due[self.now + 0.001] = (self.now + ahead, True)

    @rule(which=st.sampled_from(["rest", "stir"]))
    def forget(self, which: str) -> None:
        """The cache has no room; without the last stir, what it told counts as untold."""
        setattr(self, which, None)
        if which == "stir":
            self.due = {row: (at, False) for row, (at, _) in self.due.items()}

    @rule()
    def remember(self) -> None:
        """A copy of the cache is taken."""
        self.copy = self.rest, self.stir

    @rule()
    def go_back(self) -> None:
        """The cache shows what it held before; stirs that it shows no more count as untold."""
        self.rest, self.stir = self.copy
        self.due = {row: (at, False) for row, (at, _) in self.due.items()}

    @rule()
    def garble(self) -> None:
        """The cache answers nonsense."""
        self.rest = {"of": OF, "seen": "then", "until": None}

    @precondition(lambda self: not self.due)
    @rule()
    def stay_quiet(self) -> None:
        """With nothing to do the database is asked four or five times an hour, and not more."""
        self.pass_time(3600)
        self.looks.clear()
        self.pass_time(3600)
        assert 4 <= len(self.looks) <= 5, self.looks

    @invariant()
    def nothing_is_late(self) -> None:
        """What was told is met by the next cron, and everything within the promised bound."""
        overdue = [(self.now - at, told) for at, told in self.due.values() if at < self.now]
        for late, told in [*self.late, *overdue]:
            assert late <= (A_MINUTE if told else self.LATEST), (late, told)


Story.TestCase.settings = settings(max_examples=120, stateful_step_count=20, deadline=None)
TestStory = Story.TestCase
