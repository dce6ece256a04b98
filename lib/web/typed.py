"""JSON and query strings as frozen structs: unknown fields are refused, and every fault is named at once.

msgspec stops at the first fault, so what it refuses is converted once more field by field.
"""

from __future__ import annotations

import difflib
import json
import re
import types
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import Enum
from itertools import islice
from typing import Annotated, Any, Literal, Self, Union, dataclass_transform, get_args, get_origin
from urllib.parse import parse_qsl

import msgspec
from msgspec import Meta, Struct

from lib.errors import Declined, Fault


@dataclass_transform(frozen_default=True, kw_only_default=True)
class Given(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """What a caller sends. Names are camelCase outside."""

    def faults(self) -> Iterable[Fault]:
        """What is wrong although each field by itself is right."""
        return ()


@dataclass_transform(frozen_default=True, kw_only_default=True)
class View(Struct, frozen=True, kw_only=True, rename="camel"):
    """What a caller is answered. Names are camelCase outside; times are aware, in UTC."""

    @classmethod
    def of(cls, found: object, **more: Any) -> Self:
        """The view of an object that has attributes of the same names; `more` are those that it has not."""
        names = cls.__struct_fields__
        return cls(**{name: more[name] if name in more else getattr(found, name) for name in names})


Id = Annotated[
    str, Meta(pattern=r"^[A-Za-z0-9_-]{1,255}$(?!\n)", description="an id: 1 to 255 letters, digits, _ and -")
]
"""An id, fit to stand in an address."""

CustomerId = Annotated[
    str,
    Meta(
        pattern=r"^((bank_transfer|cash_on_delivery):)?[A-Za-z0-9_-]{1,255}$(?!\n)",
        description="a customer's id at Stripe, or an offline one such as bank_transfer:K-1001",
    ),
]
"""A customer, as `lib.model.CustomerKey` writes them."""

_LINE = r"^[^\x00-\x1f\x7f\x85\u2028\u2029\ud800-\udfff]+$(?!\n)"

Text = Annotated[
    str, Meta(min_length=1, max_length=255, pattern=_LINE, description="a text of 1 to 255 characters in one line")
]
"""One line that a person typed."""

Sentence = Annotated[
    str, Meta(min_length=1, max_length=500, pattern=_LINE, description="a text of 1 to 500 characters in one line")
]
"""What a person says for the record."""

Uuid = Annotated[
    str,
    Meta(
        pattern=r"^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$(?!\n)",
        description="a UUID such as 00000000-0000-4000-8000-000000000000",
    ),
]
"""An id in the panel."""

Limit = Annotated[int, Meta(ge=1, le=200, description="a whole number from 1 to 200")]
"""How many rows of a list."""

MANY = 100
"""Fields of an address or a form, and faults that are named, at most: no route has as many, and each costs time and
room in the answer."""


_MISFITS = (msgspec.ValidationError, UnicodeEncodeError, RecursionError)
"""What msgspec raises for what is of another kind; the second for half of a character where there should be no text."""


def read_json(body: bytes, kind: Any) -> Any:
    """The body as a `kind`: a struct, or a union of structs told apart by their tag. An empty body is an empty object.

    Raises:
        Declined: 400 when it is no JSON object; 422 with every fault of its fields.
    """
    if not body.strip():
        body = b"{}"
    try:
        found = json.loads(body, object_pairs_hook=_object)
        body.decode()  # json.loads takes other encodings of Unicode, which nobody means
    except (ValueError, RecursionError):
        raise Declined("invalid_json", "the body is not valid JSON in UTF-8") from None
    if not isinstance(found, dict):
        raise Declined("invalid_json", "the body must be a JSON object")
    return convert(found, kind)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object of JSON in which each name stands once: of two, others take the first where we would take the last.

    Raises:
        Declined: 422 when a name is given twice.
        ValueError: half of a character in a name, which can't be told to anybody.
    """
    _once(pairs)
    for name, _ in pairs:
        if not name.isascii():
            name.encode()
    return dict(pairs)


def _once(pairs: Sequence[tuple[str, Any]]) -> None:
    """Raises Declined: 422 with each name that is given twice."""
    counts = Counter(name for name, _ in pairs)
    if len(counts) < len(pairs):
        twice = (name for name, count in counts.items() if count > 1)
        raise declined([Fault(name, "invalid", f"{name} is given twice") for name in islice(twice, MANY)])


def read_query(pairs: Sequence[tuple[str, str]], kind: Any) -> Any:
    """The parameters of an address as a `kind`; one that is given twice is a fault.

    Raises:
        Declined: 422 with every fault.
    """
    if len(pairs) > MANY:
        raise declined([Fault("", "invalid", f"the address has {len(pairs)} parameters; {MANY} at most are read")])
    _once(pairs)
    plain = {field.encode_name: _plain(field.type) for field in msgspec.structs.fields(kind)}
    return convert({name: _read(value, plain.get(name, frozenset())) for name, value in pairs}, kind)


def read_form(body: bytes, kind: Any) -> Any:
    """A posted HTML form as a `kind`. An empty field is one that was not filled in; a ticked box is `on`.

    Raises:
        Declined: 400 when it is no form; 422 with every fault.
    """
    if body.lstrip().startswith((b"{", b"[")):  # as curl -d sends it where nobody names the type
        raise Declined("invalid_form", "the body is JSON: send it with Content-Type: application/json")
    try:
        strict = bool(body)
        pairs = parse_qsl(
            body.decode(), keep_blank_values=True, strict_parsing=strict, errors="strict", max_num_fields=MANY
        )
        filled = [(name, value.strip()) for name, value in pairs if value.strip()]
    except ValueError:
        raise Declined("invalid_form", "the body is no HTML form in UTF-8") from None
    plain = {field.encode_name: _plain(field.type) for field in msgspec.structs.fields(kind)}
    _once(filled)
    ticked = {name: "true" if bool in plain.get(name, ()) and value == "on" else value for name, value in filled}
    return convert({name: _read(value, plain.get(name, frozenset())) for name, value in ticked.items()}, kind)


def convert(found: Mapping[str, Any], kind: Any) -> Any:
    """`found` as a `kind`, blanks around texts taken off.

    Raises:
        Declined: 422 with every fault.
    """
    try:
        trimmed = _trimmed(found)
    except RecursionError:
        raise Declined("invalid_json", "the body has too many levels within one another") from None
    try:
        value = msgspec.convert(trimmed, kind)
        faults = list(value.faults()) if isinstance(value, Given) else []
    except _MISFITS:
        faults = list(islice(_faults(trimmed, kind, ""), MANY))
        faults = faults or [Fault("", "invalid", "the body does not have the form that this route takes")]
    if faults:
        raise declined(faults)
    return value


def declined(faults: Sequence[Fault]) -> Declined:
    """The refusal of a request with these faults."""
    return Declined(
        "invalid_field",
        "; ".join(fault.detail for fault in faults),
        field=faults[0].field or None,
        faults=tuple(faults),
    )


def _plain(kind: Any) -> frozenset[type]:
    """The plain types that a field takes."""
    if get_origin(kind) is Annotated:
        return _plain(get_args(kind)[0])
    if get_origin(kind) in (Union, types.UnionType):
        return frozenset().union(*(_plain(member) for member in get_args(kind)))
    return frozenset([kind]) if isinstance(kind, type) else frozenset()


def _read(text: str, plain: frozenset[type]) -> str | int | bool:
    """A value of an address, where all is text, as what the field takes; as it is where that can't be."""
    if bool in plain and text in ("true", "false"):
        return text == "true"
    if int in plain and re.fullmatch(r"-?[0-9]{1,18}", text):
        return int(text)
    return text


def _trimmed(value: Any) -> Any:
    if isinstance(value, str):
        return value.strip(" ")
    if isinstance(value, dict):
        return {name: _trimmed(part) for name, part in value.items()}
    if isinstance(value, list):
        return [_trimmed(part) for part in value]
    return value


def _faults(found: Any, kind: Any, path: str) -> Iterator[Fault]:
    """Every fault of `found` as a `kind`, one for each field at the most."""
    if not isinstance(found, dict):
        yield Fault(path, "invalid", f"{path or 'the body'} must be a JSON object")
        return
    structs = _structs(kind)
    tag = structs[0].__struct_config__.tag_field
    if tag is not None:
        tagged = {str(struct.__struct_config__.tag): struct for struct in structs}
        chosen = found.get(tag)
        if not isinstance(chosen, str) or chosen not in tagged:
            detail = f"{path}{tag} must be one of {', '.join(tagged)}"
            yield Fault(path + tag, "missing" if chosen is None else "invalid", detail)
            return
        found = {name: value for name, value in found.items() if name != tag}
        kind = tagged[chosen]
    else:
        kind = structs[0]
    fields = {field.encode_name: field for field in msgspec.structs.fields(kind)}
    for name in found:
        if name not in fields:
            yield Fault(path + name, "unknown", f"{path}{name} is no field of this; {_meant(name, fields)}")
    for name, field in fields.items():
        if name not in found:
            if field.required:
                yield Fault(path + name, "missing", f"{path}{name} is needed: {describe(field.type)}")
            continue
        try:
            msgspec.convert(found[name], field.type)
        except _MISFITS as error:
            inner = _structs(field.type)
            if inner and isinstance(found[name], dict):
                yield from _faults(found[name], inner[0], f"{path}{name}.")
            else:
                yield Fault(path + name, "invalid", f"{path}{name} must be {describe(field.type, str(error))}")


def _meant(name: str, fields: Mapping[str, Any]) -> str:
    close = difflib.get_close_matches(name.lower(), [field.lower() for field in fields], 1, 0.7)
    if close:
        return "did you mean " + next(field for field in fields if field.lower() == close[0]) + "?"
    return f"its fields are {', '.join(fields)}" if fields else "it has none"


def _structs(kind: Any) -> list[type[Struct]]:
    """The structs that a type stands for: itself, or the members of a union."""
    if get_origin(kind) is Annotated:
        return _structs(get_args(kind)[0])
    if get_origin(kind) in (Union, types.UnionType):
        return [struct for member in get_args(kind) for struct in _structs(member)]
    return [kind] if isinstance(kind, type) and issubclass(kind, Struct) else []


def describe(kind: Any, otherwise: str = "") -> str:
    """What a type takes, in words; `otherwise` is what msgspec said of a value that it refused."""
    if get_origin(kind) is Annotated:
        for part in get_args(kind)[1:]:
            if isinstance(part, Meta) and part.description:
                return part.description
        return describe(get_args(kind)[0], otherwise)
    if get_origin(kind) in (Union, types.UnionType):
        members = [member for member in get_args(kind) if member is not msgspec.UnsetType]
        return " or ".join(dict.fromkeys(describe(member, otherwise) for member in members))
    if choices := _choices(kind):
        return "one of " + ", ".join(choices)
    plain = {str: "a text", int: "a whole number", bool: "true or false", type(None): "null", float: "a number"}
    if kind in plain:
        return plain[kind]
    said = re.sub(r"[`$]|\s-\sat.*", "", otherwise)
    return said or "of the documented form"


def _choices(kind: Any) -> list[str]:
    if get_origin(kind) is Literal:
        return [str(value) for value in get_args(kind)]
    if isinstance(kind, type) and issubclass(kind, Enum):
        return [str(member.value) for member in kind]
    return []
