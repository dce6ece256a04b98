"""No customer is ever parked without a word on what to do: every reason that the product can give has its remedy."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from lib.errors import Conflict, NotFound, Refused
from lib.model import Problem
from lib.model.reason import REASONS, REFUSALS, WAITS, remedy
from lib.policy import WAITED_FOR

LIB = Path(__file__).resolve().parent.parent.parent / "lib"
RAISED = {kind.__name__ for kind in (Problem, Refused, NotFound, Conflict)}


def reasons() -> Iterator[tuple[str, ast.expr]]:
    """(place, first argument) of each construction of something that parks a customer."""
    for path in sorted(LIB.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in RAISED:
                named = next((word.value for word in node.keywords if word.arg == "reason"), None)
                reason = named or (node.args[0] if node.args else None)
                assert reason is not None, f"{path.name}:{node.lineno} gives no reason"
                yield f"{path.relative_to(LIB)}:{node.lineno}", reason


def produced() -> set[str]:
    """Every reason that stands literally in the code."""
    return {str(reason.value) for _, reason in reasons() if isinstance(reason, ast.Constant)}


def test_reasons_are_literals_or_handed_on() -> None:
    """A reason is a text in the code, or another error's own reason: so that this list can be complete."""
    for place, reason in reasons():
        handed_on = isinstance(reason, ast.Attribute) and reason.attr == "reason"
        assert handed_on or (isinstance(reason, ast.Constant) and isinstance(reason.value, str)), place


def test_every_reason_has_a_remedy() -> None:
    """Whatever parks a customer, the operator reads what to do about it."""
    assert len(produced()) > 15
    assert sorted(produced() - REASONS.keys()) == []


def test_no_remedy_is_for_nothing() -> None:
    """A remedy for a reason that nothing produces has outlived it."""
    assert sorted(REASONS.keys() - produced()) == []


def test_a_remedy_says_something_to_do() -> None:
    """Each is one or two short sentences, and no two reasons share theirs, nor what they mean."""
    assert len({reason.remedy for reason in REASONS.values()}) == len(REASONS)
    assert len({reason.means for reason in REASONS.values()}) == len(REASONS)
    for name, reason in REASONS.items():
        assert reason.remedy == reason.remedy.strip(), name
        assert reason.remedy.endswith((".", "?")), name
        assert 20 <= len(reason.remedy) <= 120, name
        assert 20 <= len(reason.means) <= 120, name
        assert not reason.means.endswith("."), name


def test_an_unknown_reason_still_gets_advice() -> None:
    """A row that an older or newer version parked is never shown without a word."""
    assert remedy("a_reason_of_tomorrow")
    assert remedy("a_reason_of_tomorrow") not in {reason.remedy for reason in REASONS.values()}
    assert remedy("unmapped_price") == REASONS["unmapped_price"].remedy


def refusals() -> set[str]:
    """What every error of the settings begins with."""
    found = set()
    for path in LIB.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Denied":
                assert isinstance(node.args[0], ast.Constant), f"{path.name}:{node.lineno}"
                found.add(str(node.args[0].value))
    return found


def test_what_the_settings_are_to_blame_for_is_explained() -> None:
    """Whatever begins a last error that parks nobody has its meaning, and nothing else has."""
    assert sorted(refusals()) == sorted(REFUSALS)


def waits() -> set[str]:
    """Every word that a service or a row of the queue waits for, where it stands literally in the code."""
    text = "".join(path.read_text() for path in LIB.rglob("*.py"))
    said = set(re.findall(r"""waits_for ?= ?["'](\w+)["']|\bwhy=["'](\w+)["']""", text))
    return {word for pair in said for word in pair if word} | {WAITED_FOR}


def test_what_is_waited_for_is_explained() -> None:
    """Each word that `waits_for` may hold is explained, here or as a reason; the rules among them are the grace's."""
    assert len(waits()) > 8
    assert sorted(WAITS.keys() - waits()) == ["in_grace", "in_one_off_grace"]
    assert sorted(waits() - WAITS.keys() - REASONS.keys()) == []
    assert sorted(WAITS.keys() & REASONS.keys()) == []
