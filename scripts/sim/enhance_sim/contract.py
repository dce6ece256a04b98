"""The panel's OpenAPI file as a judge of requests, with the type strictness of the Rust server behind it."""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

UUID = re.compile(r"[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}")
I32 = range(-(2**31), 2**31)
SPEC_BESIDE_CHECKOUT = Path(__file__).resolve().parents[4] / "shared" / "reference" / "enhance-openapi.yaml"

# Parameters that the panel has, but this version of its published file does not.
NEWER_PARAMETERS = {("GET", "/orgs/{org_id}/customers"): {"search": (12, 25, 8)}}

Schema = Mapping[str, Any]


def _fields(required: str = "", **properties: Schema) -> Schema:
    return {"type": "object", "required": required.split(), "properties": properties}


_TEXT: Schema = {"type": "string"}
_ID: Schema = {"type": "string", "format": "uuid"}
_INT: Schema = {"type": "integer"}
_FLAG: Schema = {"type": "boolean"}
_LIFE: Schema = {"type": "string", "enum": ["active", "deleted"]}
_ROLES: Schema = {
    "type": "array",
    "items": {"type": "string", "enum": ["Owner", "SuperAdmin", "Business", "SiteAccess", "Support", "Sysadmin"]},
}
_UNSET: Schema = _fields("unset", unset=_FLAG)

# The bodies in short, for a checkout without the OpenAPI file beside it.
BODIES: dict[tuple[str, str], Schema] = {
    ("POST", "/orgs/{org_id}/customers"): _fields("name", name=_TEXT),
    ("PATCH", "/orgs/{org_id}"): _fields(name=_TEXT, status=_LIFE, isSuspended=_FLAG, locale=_TEXT),
    ("POST", "/logins"): _fields("email password name", email=_TEXT, password=_TEXT, name=_TEXT),
    ("PUT", "/login/password-recovery"): _fields("email", email=_TEXT),
    ("PUT", "/v2/logins/{login_id}/password"): _fields("newPassword", newPassword=_TEXT),
    ("POST", "/orgs/{org_id}/members"): _fields("loginId roles", loginId=_ID, roles=_ROLES),
    ("PUT", "/orgs/{org_id}/owner"): _fields("memberId", memberId=_ID),
    ("POST", "/orgs/{org_id}/customers/{customer_org_id}/subscriptions"): _fields(
        "planId", planId=_INT, friendlyName=_TEXT, dedicatedServers=_fields()
    ),
    ("PATCH", "/orgs/{org_id}/subscriptions/{subscription_id}"): _fields(
        planId=_INT, isSuspended=_FLAG, status=_LIFE, friendlyName=_TEXT, dedicatedServers=_fields()
    ),
    ("POST", "/orgs/{org_id}/websites"): _fields(
        "domain", domain=_TEXT, subscriptionId=_INT, serverGroupId=_ID, phpVersion=_TEXT
    ),
    ("PATCH", "/orgs/{org_id}/websites/{website_id}"): _fields(
        phpVersion=_TEXT,
        status={"type": "string", "enum": ["active", "disabled", "deleted"]},
        isSuspended=_FLAG,
        tags={"type": "array", "items": _INT},
        subscriptionId={"oneOf": [_INT, _UNSET]},
        orgId=_ID,
    ),
    ("POST", "/orgs/{org_id}/domains/check"): _fields("domain", domain=_TEXT),
}


@lru_cache(maxsize=4)
def _load(path: Path) -> dict[str, Any]:
    yaml: Any = importlib.import_module("yaml")
    with path.open("rb") as text:
        document: dict[str, Any] = yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    return document


def _shown(value: object) -> str:
    """A JSON value in the words of serde's error messages."""
    match value:
        case None:
            return "null"
        case bool():
            return f"boolean `{str(value).lower()}`"
        case int():
            return f"integer `{value}`"
        case float():
            return f"floating point `{value}`"
        case str():
            return f'string "{value}"'
        case list():
            return "sequence"
    return "map"


def _deserialize(kind: str, value: str) -> str | None:
    """What is wrong with a query value of this type, if anything."""
    if kind == "integer" and not re.fullmatch(r"\d+", value):
        return "invalid digit found in string"
    if kind == "boolean" and value not in ("true", "false"):
        return "provided string was not `true` or `false`"
    return None


class Contract:
    """The published interface; without its file only the bodies above are known."""

    def __init__(self, path: Path | str | None) -> None:
        candidate = SPEC_BESIDE_CHECKOUT if path is None else Path(path)
        self.path = candidate if candidate.exists() else None
        if path is not None and self.path is None:
            raise FileNotFoundError(candidate)

    @property
    def document(self) -> dict[str, Any]:
        """The parsed file, read when it is first needed."""
        return _load(self.path) if self.path else {}

    def operation(self, method: str, template: str) -> dict[str, Any] | None:
        """The operation of a path template, or nothing when the interface has none."""
        found: dict[str, Any] | None = self.document.get("paths", {}).get(template, {}).get(method.lower())
        return found

    def names(self, method: str, path: str) -> bool:
        """Whether the published interface has this concrete path and method."""
        for template, methods in self.document.get("paths", {}).items():
            if method.lower() in methods and re.fullmatch(re.sub(r"\{[^}]+}", "[^/]+", template), path):
                return True
        return False

    def _resolve(self, schema: Schema) -> Schema:
        while "$ref" in schema:
            _, _, kind, name = schema["$ref"].split("/")
            schema = self.document["components"][kind][name]
        return schema

    def body_schema(self, method: str, template: str) -> Schema | None:
        """What the body of a request must look like; nothing when it has no body."""
        if not self.path:
            return BODIES.get((method, template))
        body = (self.operation(method, template) or {}).get("requestBody")
        schema: Schema | None = body["content"]["application/json"]["schema"] if body else None
        return schema

    def query_problems(
        self, method: str, template: str, query: Sequence[tuple[str, str]], version: str
    ) -> Iterator[str]:
        """Every unknown name, wrong type and missing parameter in a query string."""
        operation = self.operation(method, template)
        if operation is None:
            return
        shared = self.document["paths"][template].get("parameters", [])
        known = {p["name"]: p for p in map(self._resolve, [*shared, *operation.get("parameters", [])])}
        known = {name: p for name, p in known.items() if p["in"] == "query"}
        numbers = tuple(int(part) for part in version.split("."))
        newer = {name for name, since in NEWER_PARAMETERS.get((method, template), {}).items() if numbers >= since}
        for name, value in query:
            if name in newer:
                continue
            if name not in known:
                yield f"unknown query parameter `{name}`"
                continue
            schema = self._resolve(known[name]["schema"])
            values = [value]
            if schema.get("type") == "array":
                values, schema = value.split(","), self._resolve(schema["items"])
            for one in values:
                wrong = _deserialize(schema.get("type", ""), one)
                if not wrong and schema.get("type") == "string":
                    wrong = next(self._problems(schema, one, "query"), None)
                if wrong:
                    yield f"query parameter `{name}`: {wrong}"
        present = {name for name, _ in query}
        yield from (f"missing field `{name}`" for name, p in known.items() if p.get("required") and name not in present)

    def body_problems(self, schema: Schema, body: object) -> Iterator[str]:
        """Every breach of a request schema, worded as the panel words it."""
        return self._problems(schema, body, "body")

    def unknown_fields(self, schema: Schema, body: object) -> list[str]:
        """Fields of a body that the panel would silently ignore."""
        properties = self._resolve(schema).get("properties", {})
        return [name for name in body if name not in properties] if isinstance(body, dict) else []

    def answer_problems(self, method: str, template: str, status: int, payload: object) -> Iterator[str]:
        """Every breach of the published answer of an operation: the simulator's own honesty."""
        operation = self.operation(method, template)
        if operation is None:
            return
        response = operation["responses"].get(str(status))
        if response is None:
            # The vendor's file leaves out conflicts and refusals that live panels do send.
            if status < 400:
                yield f"status {status} is not published"
            return
        content = response.get("content")
        if content and status < 400:
            yield from self._problems(content["application/json"]["schema"], payload, "answer")
        elif status < 400 and payload is not None:
            yield "an answer that must be empty has a body"

    def _problems(self, schema: Schema, value: object, where: str) -> Iterator[str]:
        schema = self._resolve(schema)
        if "oneOf" in schema:
            if all(next(self._problems(one, value, where), None) for one in schema["oneOf"]):
                yield f"data did not match any variant of untagged enum: {_shown(value)}"
            return
        if value is None:
            if not schema.get("nullable"):
                yield f"invalid type: null, expected {self._expected(schema)}"
            return
        kind = schema.get("type", "object" if "properties" in schema else "")
        right = {
            "integer": isinstance(value, int) and not isinstance(value, bool),
            "number": isinstance(value, int | float) and not isinstance(value, bool),
            "string": isinstance(value, str),
            "boolean": isinstance(value, bool),
            "array": isinstance(value, list),
            "object": isinstance(value, dict),
        }.get(kind, True)
        if not right:
            yield f"invalid type: {_shown(value)}, expected {self._expected(schema)}"
            return
        if "enum" in schema and value not in schema["enum"]:
            variants = ", ".join(f"`{one}`" for one in schema["enum"])
            yield f"unknown variant `{value}`, expected one of {variants}"
        if kind == "integer" and where == "body" and isinstance(value, int) and value not in I32:
            yield f"invalid value: integer `{value}`, expected i32"
        if schema.get("format") == "uuid" and isinstance(value, str) and not UUID.fullmatch(value):
            yield f"UUID parsing failed: invalid character or length in `{value}`"
        if isinstance(value, list) and "items" in schema:
            for one in value:
                yield from self._problems(schema["items"], one, where)
        if isinstance(value, dict):
            required = schema.get("required", [])
            yield from (f"missing field `{name}`" for name in required if name not in value)
            for name, below in schema.get("properties", {}).items():
                # null and absent are the same thing to the panel when a field is optional.
                if name in value and not (value[name] is None and name not in required):
                    yield from self._problems(below, value[name], where)

    def _expected(self, schema: Schema) -> str:
        names = {"integer": "i32", "number": "f64", "string": "a string", "boolean": "a boolean", "array": "a sequence"}
        return names.get(schema.get("type", ""), "a map")
