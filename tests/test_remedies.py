"""No customer is ever parked without a word on what to do: every reason that the product can give has its remedy."""

import ast
from collections.abc import Iterator
from pathlib import Path

from lib.errors import Conflict, NotFound, Refused
from lib.model import Problem
from lib.remedies import REMEDIES, remedy

LIB = Path(__file__).resolve().parent.parent / "lib"
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
    assert sorted(produced() - REMEDIES.keys()) == []


def test_no_remedy_is_for_nothing() -> None:
    """A remedy for a reason that nothing produces has outlived it."""
    assert sorted(REMEDIES.keys() - produced()) == []


def test_a_remedy_says_something_to_do() -> None:
    """Each is one or two short sentences, and no two reasons share theirs."""
    assert len(set(REMEDIES.values())) == len(REMEDIES)
    for reason, words in REMEDIES.items():
        assert words == words.strip(), reason
        assert words.endswith((".", "?")), reason
        assert 20 <= len(words) <= 120, reason


def test_an_unknown_reason_still_gets_advice() -> None:
    """A row that an older or newer version parked is never shown without a word."""
    assert remedy("a_reason_of_tomorrow")
    assert remedy("a_reason_of_tomorrow") not in REMEDIES.values()
    assert remedy("unmapped_price") == REMEDIES["unmapped_price"]
