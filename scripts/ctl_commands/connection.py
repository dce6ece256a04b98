"""Which deployment, with which key; asking it, and what came instead of an answer."""

from __future__ import annotations

import os
import time
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx

REFUSED, USAGE, UNREACHABLE = 1, 2, 3
"""Exit codes; 0 is what was asked for."""

TIMEOUT = httpx.Timeout(75.0, connect=10.0)
"""Seconds. A pass that somebody asks for may wait 20 for its turn, and then works."""

TRIES, PAUSE = 15, 2.0
"""Looks at a deployment that is away, and the seconds between them."""

LOCAL = ("localhost", "127.0.0.1", "::1")
WIDER_THAN_OURS = 0o077


class Failed(Exception):
    """What was asked for was not done: one sentence, more lines where there are more faults, and the exit code."""

    def __init__(self, message: str, code: int = REFUSED, document: Mapping[str, Any] | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.document = document
        """The problem document, where the deployment sent one."""


@dataclass(frozen=True, slots=True)
class Profile:
    """A deployment and a key for it."""

    url: str
    key: str = field(repr=False)


def config_file() -> Path:
    """Where profiles stand."""
    given = os.environ.get("CTL_CONFIG")
    if given:
        return Path(given)
    base = os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"
    return Path(base) / "stripe-to-enhance" / "ctl.toml"


def profile(name: str | None) -> Profile:
    """What `CTL_URL` and `CTL_KEY` say, else the profile of the config file.

    Raises:
        Failed: neither says it, or not safely.
    """
    url, key = os.environ.get("CTL_URL", "").strip(), os.environ.get("CTL_KEY", "").strip()
    if not (url and key) or name is not None:
        known = _from_file(name, needed=not (url or key) or name is not None)
        url, key = (known.url, known.key) if name is not None else (url or known.url, key or known.key)
    return Profile(_checked(url), _sendable(key))


def _from_file(name: str | None, *, needed: bool) -> Profile:
    path = config_file()
    if not path.exists():
        if needed:
            raise Failed(f"Which deployment? Set CTL_URL and CTL_KEY, or write them to {path}: see docs/ctl.md.", USAGE)
        raise Failed("CTL_URL and CTL_KEY go together: one of them is not set.", USAGE)
    mode = path.stat()
    if mode.st_mode & WIDER_THAN_OURS or mode.st_uid not in (os.geteuid(), 0):
        raise Failed(f"{path} holds a key and can be read by others. Type: chmod 600 {path}", USAGE)
    try:
        profiles = tomllib.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise Failed(f"{path} can't be read: {error}", USAGE) from None
    wanted = name or os.environ.get("CTL_PROFILE") or "default"
    found = profiles.get(wanted)
    if not isinstance(found, dict):
        listed = ", ".join(sorted(profiles)) or "none"
        raise Failed(f"There is no profile {wanted} in {path}. There are: {listed}", USAGE)
    url, key = found.get("url"), found.get("key")
    if not isinstance(url, str) or not isinstance(key, str):
        raise Failed(f"The profile {wanted} in {path} needs url and key, each a text.", USAGE)
    return Profile(url.strip(), key.strip())


def _checked(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise Failed(f"{url!r} is no address of a deployment: https://YOUR-DOMAIN", USAGE)
    if parts.scheme == "http" and parts.hostname not in LOCAL:
        raise Failed(f"{url} would send the key in the clear: write https://", USAGE)
    if parts.username or parts.password:
        raise Failed("The address holds a password: take it out.", USAGE)
    return url.rstrip("/").removesuffix("/api")


def _sendable(key: str) -> str:
    """A key may be copied with its name before it (`anna:...`), as `ADMIN_API_KEY` writes it."""
    if not key.isascii() or not key.isprintable() or " " in key:
        raise Failed("The key has blanks or other characters that no key has: copy it anew.", USAGE)
    return key


class Connection:
    """Asks one deployment."""

    def __init__(self, whose: Profile) -> None:
        self._profile = whose
        self._client = httpx.Client(
            base_url=f"{whose.url}/api/",
            headers={"Authorization": f"Bearer {whose.key}", "User-Agent": "stripe-to-enhance-ctl"},
            timeout=TIMEOUT,
            transport=httpx.HTTPTransport(retries=1),  # connecting only: nothing was sent by then
            trust_env=urlsplit(whose.url).hostname not in LOCAL,
        )

    @property
    def url(self) -> str:
        """The deployment's address."""
        return self._profile.url

    def close(self) -> None:
        """Let go of what is open."""
        self._client.close()

    def get(self, route: str, **query: Any) -> dict[str, Any]:
        """The answer to a question; a parameter that is None is left out."""
        return _object(self._ask("GET", route, params=_plain(query)))

    def look(self, route: str, **query: Any) -> dict[str, Any]:
        """`get` for who looks again and again: a deployment that is away for a moment ends nothing.

        Raises:
            Failed: it was away for all of `TRIES` looks, or refused.
        """
        for left in range(TRIES - 1, -1, -1):
            try:
                return self.get(route, **query)
            except Failed as failed:
                if failed.code != UNREACHABLE or not left:
                    raise
            time.sleep(PAUSE)
        raise AssertionError

    def text(self, route: str, accept: str, **query: Any) -> str:
        """The answer in another form."""
        return self._ask("GET", route, params=_plain(query), headers={"Accept": accept}).text

    def post(self, route: str, body: Mapping[str, Any], *, key: str | None = None) -> dict[str, Any]:
        """Ask for something to be done. `key`: makes a repetition harmless."""
        headers = {"Idempotency-Key": key} if key else {}
        return _object(self._ask("POST", route, json=body, headers=headers))

    def send(self, method: str, route: str, *, body: Any = None, **query: Any) -> dict[str, Any]:
        """Any other verb, its body as it is."""
        more = {} if body is None else {"json": body}
        return _object(self._ask(method, route, params=_plain(query), **more))

    def _ask(self, method: str, route: str, **how: Any) -> httpx.Response:
        try:
            answer = self._client.request(method, route, **how)
        except httpx.TimeoutException:
            said = f"{self.url} did not answer in time. What was asked for may be under way."
            raise Failed(said, UNREACHABLE) from None
        except (httpx.TransportError, httpx.InvalidURL) as error:
            raise Failed(f"{self.url} can't be reached: {str(error) or type(error).__name__}", UNREACHABLE) from None
        if not answer.is_success:
            raise _refusal(answer, self.url)
        return answer


def _object(answer: httpx.Response) -> dict[str, Any]:
    try:
        found = answer.json()
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise Failed(f"{answer.request.url.copy_with(query=None)} answers no API: is the address right?", UNREACHABLE)
    return found


def _plain(query: Mapping[str, Any]) -> dict[str, str]:
    words = {True: "true", False: "false"}
    return {
        name.rstrip("_"): words[value] if isinstance(value, bool) else str(value)
        for name, value in query.items()
        if value is not None
    }


def _refusal(answer: httpx.Response, url: str) -> Failed:
    try:
        document = answer.json()
    except ValueError:
        document = None
    away = answer.status_code in (502, 503, 504)
    if not isinstance(document, dict) or "detail" not in document:
        what = "answers no API: is the address right?" if not away else "is away just now."
        return Failed(f"{url} {what} ({answer.status_code})", UNREACHABLE)
    lines = [str(document["detail"])]
    faults = document.get("errors") or []
    if len(faults) > 1:
        lines = [f"{fault['field'] or 'request'}: {fault['detail']}" for fault in faults]
    elif document.get("field"):
        lines[0] = f"{document['field']}: {lines[0]}"
    if document.get("remedy"):
        lines.append(f"-> {document['remedy']}")
    return Failed("\n".join(lines), UNREACHABLE if away else REFUSED, document)
