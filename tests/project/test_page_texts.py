"""Every text of the page stands in public/app/texts, where it can be read, corrected and translated in one place."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

APP = Path(__file__).resolve().parent.parent.parent / "public" / "app"
MODULES = sorted(path for path in APP.rglob("*.js") if path.parent.name != "texts")
TEXTS = {path.stem: path for path in (APP / "texts").glob("*.js")}
SAID_ATTRIBUTES = re.compile(r"""\b(?:aria-label|title|placeholder|alt|label)="([^"$]*[A-Za-z][^"$]*)\"""")


def names(path: Path) -> dict[str, str]:
    """Every text of a file by its whole name ("table.more"), with its line; its form is the formatter's: two blanks."""
    found, above = {}, list[str]()
    for line in path.read_text().splitlines():
        if match := re.match(r"( +)(?:\"([^\"]+)\"|([\w$?/]+)):", line):
            depth = len(match[1]) // 2
            above = [*above[: depth - 1], match[2] or match[3]]
            found[".".join(above)] = line
            for inner in re.findall(r"[{,] (\w+): ", line[match.end() :]):
                found[".".join([*above, inner])] = line
    return found


def known() -> set[str]:
    """The names of all texts: those that are shared stand at the top, the others under their screen."""
    shared = set(names(TEXTS["shared"]))
    return shared.union(*({name, *(f"{name}.{key}" for key in names(path))} for name, path in TEXTS.items()))


def used(path: Path) -> Iterator[str]:
    """The names of the texts that a module uses, also by an alias of a part of them (`const said = texts.work;`)."""
    code = path.read_text()
    aliases = {"texts": "", **{a: f"{b}." for a, b in re.findall(r"const (\w+) = texts\.([\w.]+);", code)}}
    for alias, prefix in aliases.items():
        for name in re.findall(rf"(?<![\w.\"/]){alias}\.([A-Za-z][\w.]*)", code):
            yield (prefix + name).rstrip(".")


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(APP)))
def test_every_text_that_is_used_is_there(path: Path) -> None:
    """No module asks for a text that nobody wrote: it would show nothing, or `undefined`."""
    there = known()
    assert [name for name in used(path) if name not in there] == []


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(APP)))
def test_no_markup_holds_words(path: Path) -> None:
    """What is written between tags, or in an attribute that is read aloud, comes from the texts."""
    assert list(words_in(path.read_text())) == []


def test_words_in_markup_are_seen() -> None:
    """The test before this one finds words in text, beside a value, and in a label."""
    assert list(words_in("html`<p>Hello ${name}</p>`")) == ["Hello"]
    assert list(words_in('html`<p>${count} rows</p><a aria-label="Close it"></a>`')) == ["Close it", "rows"]
    assert list(words_in('html`<p class="soft">${a > b ? html`<b>${c}</b>` : "x"} · </p>`')) == []


def words_in(code: str) -> Iterator[str]:
    """Words that stand in markup."""
    for template in templates(code):
        yield from (match[1] for match in SAID_ATTRIBUTES.finditer(template))
        for text in re.split(r"<[^>]*>", template):
            yield from (part.strip() for part in text.split("\0") if re.search(r"[A-Za-z]{2}", part))


def templates(code: str) -> Iterator[str]:
    """Each html`...` with a NUL in the place of every value; those within values by themselves."""
    at = 0
    while (at := code.find("html`", at)) >= 0:
        at += len("html`")
        template, at = _template(code, at)
        yield template.text
        yield from (one for value in template.values for one in templates(value))


class _Read:
    def __init__(self) -> None:
        self.text, self.values = "", list[str]()


def _template(code: str, at: int) -> tuple[_Read, int]:
    """The template that begins at `at`, and where it ends."""
    read = _Read()
    while code[at] != "`":
        if code.startswith("${", at):
            end = _value(code, at + 2)
            read.values.append(code[at + 2 : end])
            read.text, at = read.text + "\0", end + 1
        else:
            read.text, at = read.text + code[at], at + 1
    return read, at + 1


def _value(code: str, at: int) -> int:
    """Where the value ends that begins at `at`: at its closing brace."""
    depth = 0
    while depth or code[at] != "}":
        if code[at] == "`":
            _, at = _template(code, at + 1)
            continue
        depth += {"{": 1, "}": -1}.get(code[at], 0)
        at += 1
    return at
