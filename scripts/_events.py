"""The outgoing events for those who receive them: JSON Schemas, and the tables of `docs/events.md`.

python -m scripts._events            writes public/schemas/events.json
python -m scripts._events --check    tells, by its exit code, whether that file is what would be written
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from typing import Any

import msgspec

from lib.model.outgoing import OutgoingType
from lib.model.payloads import PAYLOADS, Envelope
from scripts._functions import ROOT

TARGET = ROOT / "public" / "schemas" / "events.json"
REF = "#/$defs/{name}"


def document() -> dict[str, Any]:
    """The JSON Schema (2020-12) of every outgoing event: one of the types, each an envelope with its own `data`."""
    _, parts = msgspec.json.schema_components([Envelope, *dict.fromkeys(PAYLOADS.values())], ref_template=REF)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Outgoing events",
        "oneOf": [{"$ref": REF.format(name=type_.value)} for type_ in OutgoingType],
        "$defs": {**{type_.value: _of(type_) for type_ in OutgoingType}, **parts},
    }


def _of(type_: OutgoingType) -> dict[str, Any]:
    data = {"anyOf": [{"$ref": REF.format(name=PAYLOADS[type_].__name__)}, {"type": "null"}]}
    about = {"properties": {"type": {"const": type_.value}, "data": data}}
    return {"description": type_.means, "allOf": [{"$ref": REF.format(name="Envelope")}, about]}


def written() -> str:
    """The file, as it should be."""
    return json.dumps(document(), indent=1, ensure_ascii=False) + "\n"


def fields(name: str) -> list[tuple[str, Mapping[str, Any], bool]]:
    """The fields of a part: name, schema, and whether it is always there."""
    part = document()["$defs"][name]
    return [(field, schema, field in part.get("required", [])) for field, schema in part["properties"].items()]


def main() -> None:
    """Write the schemas, or compare them."""
    parser = argparse.ArgumentParser(prog="python -m scripts._events", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 when the file is another")
    if parser.parse_args().check:
        raise SystemExit(0 if TARGET.exists() and TARGET.read_text(encoding="utf-8") == written() else 1)
    TARGET.parent.mkdir(exist_ok=True)
    TARGET.write_text(written(), encoding="utf-8")
    print(TARGET.relative_to(ROOT))


if __name__ == "__main__":
    main()
