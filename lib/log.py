"""Structured logging, configured once: JSON lines on stdout, readable lines on a terminal.

Vercel's runtime drops formatters and ``extra`` of the standard library's logging, but passes each write to stdout on
as one record; hence structlog's own logger straight to stdout.
"""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, TextIO

import msgspec
import structlog

if TYPE_CHECKING:
    from structlog.typing import EventDict, Processor, WrappedLogger

from lib.config import Secret
from lib.errors import FOREIGN_TEXT_LIMIT, foreign

Report = Callable[[BaseException, Mapping[str, Any]], None]
"""Is told of an error that nobody foresaw, and its line."""

_LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}


_quick = msgspec.json.Encoder(enc_hook=str, decimal_format="string").encode

_pairs: ContextVar[Mapping[str, Any]] = ContextVar("pairs", default={})  # noqa: B039 - never changed, only replaced


class bound:  # noqa: N801 - reads as what it does
    """``with bound(customer="cus_1"): ...`` adds the pairs to every line logged inside, also by tasks begun there."""

    # One variable for all pairs: structlog's own has one for each, and costs a webhook more than its signature.

    def __init__(self, **pairs: Any) -> None:
        self._given = pairs

    def __enter__(self) -> None:
        self._before = _pairs.set({**_pairs.get(), **self._given})

    def __exit__(self, *_: object) -> None:
        _pairs.reset(self._before)


def _around(_: WrappedLogger, __: str, entry: EventDict) -> EventDict:
    """Add what is bound."""
    for key, value in _pairs.get().items():
        entry.setdefault(key, value)
    return entry


def _as_text(entry: EventDict, **_: Any) -> str:
    """A line as JSON in ASCII, which every terminal and every reader of logs takes."""
    try:
        line = _quick(entry)
    except (TypeError, ValueError):  # keys that are no text, half of a surrogate pair: seldom enough to be slow
        return json.dumps(entry, default=str)
    return line.decode() if line.isascii() else json.dumps(entry, default=str)


def _tame(_: WrappedLogger, __: str, entry: EventDict) -> EventDict:
    """Keep secrets out and foreign text short, whatever a caller hands in."""
    for key, value in entry.items():
        if isinstance(value, str):
            # Most text is fit as it is, which is quickly seen.
            if (len(value) > FOREIGN_TEXT_LIMIT or not value.isprintable()) and key not in ("event", "exception"):
                entry[key] = foreign(value)
        elif isinstance(value, Secret):
            entry[key] = str(value)
    return entry


def _reported(report: Report) -> Processor:
    """Tell of each error that was not foreseen: those are the lines that carry one."""

    def process(_: WrappedLogger, method: str, entry: EventDict) -> EventDict:
        given = entry.get("exc_info")
        error = given if isinstance(given, BaseException) else sys.exc_info()[1] if given else None
        if error is not None and method in ("error", "exception", "critical"):
            report(error, entry)
        return entry

    return process


class _Stdout:
    """The stdout of the moment: Vercel's runtime and pytest both exchange ``sys.stdout`` after import."""

    def write(self, text: str) -> int:
        return sys.stdout.write(text)

    def flush(self) -> None:
        sys.stdout.flush()


class _Relay(logging.Handler):
    """Lines of a library, as ours: else they reach stderr as raw text of many lines."""

    def emit(self, record: logging.LogRecord) -> None:
        if str(record.msg).startswith("error connecting in "):
            return  # comes at every try; our own error says it once, with its cause
        said = record.getMessage()
        arguments = record.args if isinstance(record.args, tuple) else ()
        if any(type(argument).__name__ == "ProgrammingError" for argument in arguments):
            said = "the address of the database can't be read"  # the driver's words repeat it, password and all
        _logger.warning("library_said", library=record.name, said=said)


def configure(level: str = "info", *, stream: TextIO | None = None, report: Report | None = None) -> None:
    """Set up logging for this process; harmless to repeat.

    Args:
        level: one of debug, info, warning, error.
        report: is told each unforeseen error, with its line.
    """
    terminal = (stream or sys.stdout).isatty()
    # structlog's own choice would show the local variables of a crash where `rich` is installed: secrets among them.
    console = structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
    renderer: Any = console if terminal else structlog.processors.JSONRenderer(_as_text)
    tail: list[Any] = [] if terminal else [structlog.processors.format_exc_info]
    structlog.configure(
        processors=[
            _around,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            *([_reported(report)] if report is not None else []),
            *tail,
            _tame,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[level]),
        logger_factory=structlog.WriteLoggerFactory(file=stream or _Stdout()),  # type: ignore[arg-type]
        cache_logger_on_first_use=False,
    )
    _logger.take(structlog.get_logger().bind())
    # Vercel's runtime passes on what libraries say from INFO on: some lines for each call to Stripe and the panel.
    root = logging.getLogger()
    root.setLevel(max(root.level, logging.WARNING))
    pool = logging.getLogger("psycopg.pool")  # tells of connections that were lost
    pool.handlers, pool.propagate = [_Relay(logging.WARNING)], False


class _Logger:
    """structlog's logger as it was configured last; its own stand-in would work that out anew for each line."""

    def __init__(self) -> None:
        self._configured: Any = None

    def take(self, configured: Any) -> Any:
        """Log by another one; the one before."""
        before, self._configured = self._configured, configured
        return before

    def __getattr__(self, method: str) -> Any:
        if self._configured is None:
            configure()  # the settings are not read yet, or can't be: structlog's own choice is for a developer's eyes
        return getattr(self._configured, method)


_logger = _Logger()


def get_logger() -> Any:
    """A logger: ``log.info("event_name", key=value)``; what a request or a pass bound comes along."""
    return _logger
