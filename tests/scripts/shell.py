"""A person at a terminal who types ctl."""

import json
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from scripts._ctl import main


@dataclass
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> dict:  # type: ignore[type-arg]
        """What it printed, read."""
        found = json.loads(self.out)
        assert isinstance(found, dict)
        return found


Ctl = Callable[..., Ended]


def typist(capsys: pytest.CaptureFixture[str]) -> Ctl:
    """Who types commands in this process, and reads what comes."""

    def run(*words: str) -> Ended:
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main(list(words))
        said = capsys.readouterr()
        assert isinstance(ended.value.code, int)
        return Ended(ended.value.code, said.out, said.err)

    return run
