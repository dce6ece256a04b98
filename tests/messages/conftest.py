"""A mail server for the tests of what is sent."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.messages.postoffice import PostOffice, certificate, mail, open_office
from tests.world import World


@pytest.fixture(scope="module")
def pem(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for this machine."""
    return certificate(tmp_path_factory.mktemp("mail"))


@pytest.fixture
def post(world: World, pem: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[PostOffice]:
    """A mail server that every process of this world is set to use."""
    monkeypatch.setenv("SSL_CERT_FILE", str(pem))
    found = PostOffice()
    with open_office(found, pem) as url:
        world.environ |= mail(url)
        yield found
