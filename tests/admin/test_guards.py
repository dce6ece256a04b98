"""Who may ask for what, by the table that every function file has to fill in."""

import hmac
from pathlib import Path
from types import SimpleNamespace

import pytest

from lib import web
from lib.web import guard
from scripts._functions import ROOT, function_files, load_function
from tests.world import World

FILES = function_files()
PUBLIC = {
    "api/webhook.py": "signature",
    "api/health.py": "optional_admin",
    "api/checkout.py": "optional_admin",
    "api/portal.py": "optional_admin",
}
"""What strangers may reach, and how; everything else wants a key."""


@pytest.mark.parametrize("path", FILES, ids=str)
def test_every_function_names_its_guard(path: Path) -> None:
    """Whatever is not written down here as open to strangers asks for a key."""
    app = load_function(ROOT, path)
    expected = PUBLIC.get(path.as_posix(), "cron" if "cron" in path.parts else "admin")
    assert app.guard.name == expected
    assert app.verbs


def test_a_file_without_a_guard_does_not_start() -> None:
    """Forgetting it is no open door but a function that can't be loaded."""
    with pytest.raises(TypeError, match="guard"):
        web.endpoint(GET=None)  # type: ignore[call-arg, arg-type]


@pytest.mark.parametrize("path", [path for path in FILES if path.as_posix() not in PUBLIC], ids=str)
@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer wrong"}, {"Authorization": "Bearer admin_fake_ke"}])
async def test_strangers_are_refused_before_anything_is_read(world: World, path: Path, headers: dict[str, str]) -> None:
    """Without a valid key every method on every guarded route is 401, whatever the route takes and the body holds."""
    address = "/" + path.with_suffix("").as_posix().replace("[job]", "drain")
    async with world.functions() as client:
        for method in ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"):
            answer = await client.request(method, address, headers=headers, content=b"{" if method != "GET" else None)
            assert (answer.status_code, answer.json()["code"]) == (401, "unauthorized")
            assert answer.headers["www-authenticate"] == "Bearer"
    assert world.stripe.calls == []


KEYS = "anna:admin_fake_key_of_anna,bob:another_fake_key_of_bob_which_is_longer"
NEAR_AND_FAR = ("admin_fake_key_of_annb", "admin_fake_key_of_ann", "x", "y" * 5000)
"""A key that is wrong in its last character, one that lacks it, and two that share nothing with any."""


async def test_a_near_wrong_key_is_weighed_like_a_far_one(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each route compares every key that it knows, by digests of one length, whichever wrong one was sent."""
    weighed: list[tuple[int, int]] = []

    def compare(left: bytes, right: bytes) -> bool:
        weighed.append((len(left), len(right)))
        return hmac.compare_digest(left, right)

    monkeypatch.setattr(guard, "hmac", SimpleNamespace(compare_digest=compare))
    apps = {path: load_function(ROOT, path) for path in FILES}
    asked = 0
    async with world.functions(ADMIN_API_KEY=KEYS) as client:
        for path, app in apps.items():
            if app.guard.name == "signature":
                continue
            address = "/" + path.with_suffix("").as_posix().replace("[job]", "drain")
            keys = 1 if app.guard.name == "cron" else 2
            for method in app.verbs:
                for wrong in NEAR_AND_FAR:
                    weighed.clear()
                    answer = await client.request(method, address, headers={"Authorization": f"Bearer {wrong}"})
                    assert answer.status_code == 401, (method, address)
                    assert weighed == [(32, 32)] * keys, (method, address, wrong[:30])
                    asked += 1
    assert asked >= 4 * 15
