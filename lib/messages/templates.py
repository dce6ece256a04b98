"""Texts of notices: one template for each kind and language, and the mail's two parts made from it.

A template is plain text whose first line is the subject; `${...}` stands for what is known (`PLACES`). The HTML part is
the same text in paragraphs inside `layout.html`: whatever is filled in is escaped, and only what a template links is a
link. A folder of the operator's comes before our own, file by file.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from string import Template

from msgspec import Struct

from lib.errors import BridgeError
from lib.model.notice import NoticeKind

ROOT = Path(__file__).resolve().parent.parent.parent
OURS = ROOT / "notices"
LAST_RESORT = "en"

PLACES = {
    "name": "the customer's name, or the word for it in `words.txt` where there is none or it would be a link",
    "service": "the domain, or the word for the hosting in `words.txt`",
    "date": "the date that the notice announces",
    "amount": "what is to be paid, or was",
    "reference": "of an offline order: the reference that a transfer must carry",
    "how_to_pay": "`pay_online`, `pay_offline` or `ask_us` of `words.txt`, whichever applies",
    "deletion": "`deleted_on` of `words.txt` when there is a date of deletion, else nothing",
    "sender": "the name in `MAIL_FROM`, else its address",
}
"""What a template may use."""

WORDS = ("customer", "hosting", "months", "date", "pay_online", "pay_offline", "ask_us", "deleted_on")
"""The lines that `words.txt` must have."""

_LEADS = re.compile(r"://|\bwww\.|[^\W_]\.[^\W\d_]{2,}[/:?#]|@", re.IGNORECASE)
"""What mail programs make a link of, in the name of a person or a company."""

_LINK = re.compile(r"https?://[^\s<>\"'${}]+")


class TemplateError(BridgeError):
    """A template is missing or can't be filled in; says which, and what is wrong."""


class Text(Struct, frozen=True):
    """A mail without its addresses."""

    subject: str
    plain: str
    html: str


class Facts(Struct, frozen=True):
    """What a notice is about, before it is put into words."""

    name: str | None = None
    service: str | None = None
    date: datetime | None = None
    amount: str | None = None
    reference: str | None = None
    url: str | None = None
    """Where it is paid online."""
    deletion: datetime | None = None


class Templates(Struct, frozen=True):
    """The templates of this deployment."""

    folders: tuple[Path, ...] = (OURS,)
    """Where they are looked for, the first one that has a file first."""

    @classmethod
    def of(cls, own: str | None) -> Templates:
        """Those of the operator's folder, if there is one, before ours."""
        return cls((ROOT / own, OURS) if own else (OURS,))

    @property
    def languages(self) -> list[str]:
        """Languages that there are templates in."""
        found = {path.name.lower() for folder in self.folders if folder.is_dir() for path in folder.iterdir()}
        return sorted(name for name in found if re.fullmatch(r"[a-z]{2,3}(-[a-z0-9]+)*", name))

    def language(self, wanted: Iterable[str], otherwise: str) -> str:
        """The first of these languages that there are templates in, exactly or without its region."""
        known = self.languages
        for one in (*wanted, otherwise, LAST_RESORT):
            full = one.lower().replace("_", "-")
            for name in (full, full.partition("-")[0]):
                if name in known:
                    return name
        raise TemplateError(f"there are no templates in {LAST_RESORT}: {OURS} is missing or empty")

    def text(self, kind: NoticeKind, language: str, facts: Facts, sender: str) -> Text:
        """The mail of a kind.

        Raises:
            TemplateError: a template is missing or uses what there is not.
        """
        template = self._read(language, f"{kind}.txt")
        head, _, body = template.partition("\n")
        values = self._values(language, facts, sender)
        place = f"{language}/{kind}.txt"
        subject = _line(_fill(head.removeprefix("Subject:").strip(), values, place))
        plain = _paragraphs(_fill(body, values, place))
        escaped = {key: html.escape(value) for key, value in values.items()} | {"url": _anchor(values["url"])}
        escaped |= {key: _with_links(values[key], values["url"]) for key in ("how_to_pay",)}
        paragraphs = _paragraphs(_fill(_linked(html.escape(body, quote=False)), escaped, place)).split("\n\n")
        inner = "\n".join(f"<p>{'<br>'.join(one.splitlines())}</p>" for one in paragraphs)
        layout = Template(self._read(language, "layout.html"))
        try:
            page = layout.substitute(language=language, subject=html.escape(subject), body=inner)
        except (KeyError, ValueError) as error:
            raise TemplateError(f"{language}/layout.html: {error}; it may use language, subject and body") from error
        return Text(subject, plain + "\n", page)

    def _values(self, language: str, facts: Facts, sender: str) -> dict[str, str]:
        words = self._words(language)
        place = f"{language}/words.txt"
        amount, reference, url = facts.amount or "", facts.reference or "", facts.url or ""
        known = {"amount": amount, "reference": reference, "url": url}
        how = "pay_online" if url else "pay_offline" if reference else "ask_us"
        deletion = _date(facts.deletion, words, place)
        return {
            **known,
            "name": _name(facts.name or "") or words["customer"],
            "service": _line(facts.service or "") or words["hosting"],
            "date": _date(facts.date, words, place),
            "how_to_pay": _fill(words[how], known, place),
            "deletion": _fill(words["deleted_on"], {"date": deletion}, place) if deletion else "",
            "sender": _line(sender),
        }

    def _words(self, language: str) -> dict[str, str]:
        words = {}
        for line in self._read(language, "words.txt").splitlines():
            name, colon, text = line.partition(":")
            if colon and not line.startswith("#"):
                words[name.strip()] = text.strip()
        if missing := [name for name in WORDS if name not in words]:
            raise TemplateError(f"{language}/words.txt lacks {', '.join(missing)}")
        return words

    def _read(self, language: str, name: str) -> str:
        for folder in self.folders:
            if (text := _file(folder / language / name)) is not None:
                return text
        said = f"there is no template {language}/{name}; {OURS.name}/{LAST_RESORT}/{name} shows what it holds"
        raise TemplateError(said)


@lru_cache(maxsize=256)
def _file(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise TemplateError(f"{path} can't be read: {error}") from error


def _fill(template: str, values: Mapping[str, str], place: str) -> str:
    try:
        return Template(template).substitute(values)
    except KeyError as error:
        raise TemplateError(f"{place} uses ${{{error.args[0]}}}; there are {', '.join(sorted(values))}") from error
    except ValueError as error:
        raise TemplateError(f"{place}: {error}; a dollar sign is written $$") from error


def _date(at: datetime | None, words: Mapping[str, str], place: str) -> str:
    """A time as it is written in a language."""
    if at is None:
        return ""
    at = at.astimezone(UTC)
    months = [month.strip() for month in words["months"].split(",")]
    if len(months) != 12:
        raise TemplateError(f"{place}: months are twelve, separated by commas")
    parts = {"day": str(at.day), "month": months[at.month - 1], "year": str(at.year), "time": f"{at:%H:%M}"}
    return _fill(words["date"], parts, place)


def _line(text: str) -> str:
    """One line that people can read: no header and no paragraph can hide in it."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())[:200]


def _name(typed: str) -> str:
    """A name, or nothing where it leads somewhere: anybody may type one beside somebody else's address."""
    name = _line(typed)
    return "" if _LEADS.search(name) else name


def _paragraphs(text: str) -> str:
    """Paragraphs with one empty line between them, whatever was empty in them."""
    lines = "\n".join(line.rstrip() for line in text.strip().splitlines())
    return re.sub(r"\n{3,}", "\n\n", lines)


def _linked(escaped: str) -> str:
    """The links that stand in a template itself, as links."""
    return _LINK.sub(lambda found: _anchor(html.unescape(found[0])), escaped)


def _with_links(text: str, url: str) -> str:
    """A text with our own link in it, escaped."""
    return html.escape(text).replace(html.escape(url), _anchor(url)) if url else html.escape(text)


def _anchor(url: str) -> str:
    shown = html.escape(url)
    return f'<a href="{shown}">{shown}</a>' if url.startswith(("https://", "http://")) else shown
