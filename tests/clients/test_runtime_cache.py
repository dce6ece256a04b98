"""Vercel's runtime cache: how the runtime hands it on, what goes over the wire, and that nothing waits for it."""

import asyncio
import socket
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from lib.runtime_cache import CacheError, RuntimeCache
from scripts.sim.cache_sim import PATH, CacheSim
from scripts.sim.server import serve

ROOT = Path(__file__).resolve().parent.parent.parent


@pytest.fixture
def sim() -> CacheSim:
    """The cache of one region."""
    return CacheSim()


@pytest.fixture
def cache(sim: CacheSim, monkeypatch: pytest.MonkeyPatch) -> Iterator[RuntimeCache]:
    """How one request reaches it, and waits for it although the machine is busy."""
    monkeypatch.setattr("lib.runtime_cache.PATIENCE", 60.0)
    with serve(sim) as url:
        yield RuntimeCache(url + PATH, sim.headers)


async def test_a_value_comes_back_as_it_was_written(cache: RuntimeCache) -> None:
    """Nothing stands there before, and nothing after it was dropped, however often."""
    assert await cache.read("here") is None
    await cache.write("here", {"until": 1.5}, lasts=60)
    assert await cache.read("here") == {"until": 1.5}
    await cache.drop("here")
    await cache.drop("here")
    assert await cache.read("here") is None


async def test_what_is_over_or_stale_is_not_there(sim: CacheSim, cache: RuntimeCache) -> None:
    """A value that the cache itself holds to be old is as good as none."""
    await cache.write("here", {"until": 1.5}, lasts=60)
    sim.age(61)
    assert await cache.read("here") is None
    await cache.write("here", {"until": 1.5}, lasts=60)
    sim.stale = True
    assert await cache.read("here") is None


@pytest.mark.parametrize("trouble", ["down", "refused", "garbled", "nobody"])
async def test_trouble_is_no_value(sim: CacheSim, cache: RuntimeCache, trouble: str) -> None:
    """A cache that fails says so: it is never taken for one that holds nothing."""
    await cache.write("here", {"until": 1.5}, lasts=60)
    if trouble == "down":
        sim.down = True
    elif trouble == "refused":
        cache = RuntimeCache(cache.endpoint, {"authorization": "Bearer other"})
    elif trouble == "garbled":
        sim.garbled = True
    else:
        cache = RuntimeCache("http://127.0.0.1:9" + PATH, sim.headers)
    with pytest.raises(CacheError):
        await cache.read("here")


async def test_a_cache_that_hangs_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever asks it goes on when it does not answer in time."""
    monkeypatch.setattr("lib.runtime_cache.PATIENCE", 0.05)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        cache = RuntimeCache(f"http://127.0.0.1:{silent.getsockname()[1]}{PATH}", {})
        with pytest.raises(CacheError, match="does not answer"):
            await cache.read("here")


async def test_vercels_own_client_speaks_the_same(
    sim: CacheSim, cache: RuntimeCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the package `vercel-cache` wrote is read here, and the other way round; it knows the same lifetime."""
    monkeypatch.setenv("VERCEL_TELEMETRY_DISABLED", "1")  # it looks when it is imported
    from vercel.cache.cache_build import BuildCache

    theirs = BuildCache(endpoint=cache.endpoint, headers=sim.headers, strict=True)
    await asyncio.to_thread(theirs.set, "theirs", {"until": 1.5}, {"ttl": 60})
    await cache.write("ours", {"until": 2.5}, lasts=60)
    assert await cache.read("theirs") == {"until": 1.5}
    assert await asyncio.to_thread(theirs.get, "ours") == {"until": 2.5}
    sim.age(61)
    assert await asyncio.to_thread(theirs.get, "ours") is None
    await cache.drop("theirs")
    assert await asyncio.to_thread(theirs.get, "theirs") is None
    theirs._client.close()


RUNTIME = """
    import importlib, json, sys, types
    sys.modules["vercel_runtime"] = types.ModuleType("vercel_runtime")
    from lib import runtime_cache
    runtime_cache.stand_in()

    # As the runtime's `cache`, `wait_until` and `headers` do it at each request.
    import vercel.cache.cache_build as cache_build
    import vercel.cache.context as context
    from vercel.cache.context import get_context, set_context
    assert runtime_cache.current() is None
    sync = cache_build.BuildCache(endpoint="https://cache.example/v1/", headers={"authorization": "fake"})
    context.set_context(cache=sync, async_cache=cache_build.AsyncBuildCache(endpoint="", headers={}))
    found = runtime_cache.current()
    print(found.endpoint, json.dumps(found.headers))
    set_context(wait_until=None)
    assert get_context().wait_until is None
    assert runtime_cache.current() is found
    context.set_context(cache=None, async_cache=None)
    assert runtime_cache.current() is None
    headers = importlib.import_module("vercel.headers")
    print("told" if callable(getattr(headers, "set_headers", None)) else "no headers")

    # What a later one might want.
    from vercel.cache.cache_build import Another
    context.set_context(cache=Another(endpoint=1), purge=context.purger("x"))
    assert runtime_cache.current() is None
    print(*sorted({"httpx2", "httpx", "ssl", "certifi"} & set(sys.modules)))
"""


def test_the_runtime_finds_us_in_its_clients_place() -> None:
    """It hands over each request's cache and takes it back; it loads no client, and no request fails."""
    ran = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(RUNTIME)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    first, *rest = ran.stdout.splitlines()
    assert first == 'https://cache.example/v1/ {"authorization": "fake"}'
    assert rest[0] == "no headers"
    assert "httpx" not in rest[1]


def test_elsewhere_nobody_stands_in() -> None:
    """Where Vercel's runtime does not run, the name belongs to whoever has it."""
    program = "import sys; from lib import runtime_cache; runtime_cache.stand_in(); print('vercel' in sys.modules)"
    ran = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "False"
