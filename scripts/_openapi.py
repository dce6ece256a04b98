"""The OpenAPI 3.1 document of every function, made from the types and guards that the functions themselves use.

python -m scripts._openapi            writes public/openapi.json
python -m scripts._openapi --check    tells, by its exit code, whether that file is what would be written
"""

import argparse
import inspect
import json
import re
import types
from collections.abc import Iterator
from typing import Any, Union, get_args, get_origin

import msgspec

from lib.operators.views import overview as views
from lib.web.endpoint import FORM, Verb
from lib.web.problem import STATUS
from scripts._functions import ROOT, function_files, load_function

TARGET = ROOT / "public" / "openapi.json"
REF = "#/components/schemas/{name}"
JOBS = ("drain", "sweep")
"""What the one cron function answers to."""

# Functions whose cold start must not pay for types; they say here what they answer.
LIGHT: dict[str, dict[str, Any]] = {
    "/api/webhook": {
        "body": {"description": "An event, as Stripe signed it.", "type": "object"},
        "answers": {200: views.Received},
        "codes": {400: ("bad_signature", "packed_body"), 413: ("too_large",), 503: ("unavailable", "schema_outdated")},
    },
    "/api/health": {"answers": {200: views.Health, 503: views.Health}},
    "/api/cron/drain": {"answers": {200: views.CronDrain}},
    "/api/cron/sweep": {"answers": {200: views.SweepRun}},
}
SECURITY: dict[str, list[dict[str, list[str]]]] = {
    "admin": [{"adminKey": []}],
    "optional_admin": [{}, {"adminKey": []}],
    "cron": [{"cronSecret": []}],
    "signature": [{"stripeSignature": []}],
    "none": [],
}
SCHEMES = {
    "adminKey": {"type": "http", "scheme": "bearer", "description": "A key of ADMIN_API_KEY."},
    "cronSecret": {"type": "http", "scheme": "bearer", "description": "CRON_SECRET."},
    "stripeSignature": {"type": "apiKey", "in": "header", "name": "Stripe-Signature"},
}
PROBLEMS = {
    400: "What was sent can't be read.",
    401: "The key is missing or wrong.",
    403: "The scope of the key does not reach so far.",
    404: "There is no such thing.",
    409: "Not as things stand: `code` says why, `detail` what to do.",
    413: "The body is too large.",
    422: "Fields are missing, wrong or unknown: `errors` names them all.",
    429: "Too much at one time: try again after `Retry-After`.",
    502: "The other side refused: `code` and `detail` say what.",
    503: "Not just now: try again after `Retry-After`.",
}


def document() -> dict[str, Any]:
    """The whole document."""
    operations = list(_operations())
    kinds = [kind for *_, verb, light in operations for kind in _kinds(verb, light)]
    _, components = msgspec.json.schema_components([*dict.fromkeys([*kinds, views.ProblemDocument])], ref_template=REF)
    paths: dict[str, dict[str, Any]] = {}
    for path, guard, method, verb, light in operations:
        paths.setdefault(path, {})[method.lower()] = _operation(path, guard, verb, light)
    found = {
        "openapi": "3.1.0",
        "info": {
            "title": "Stripe to Enhance",
            "version": "1",
            "description": "Keeps an Enhance panel equal to what Stripe says has been paid for. Errors are RFC 9457"
            " problem documents with a stable `code`; times are ISO 8601 in UTC; lists are paged by `nextCursor`.",
        },
        "paths": dict(sorted(paths.items())),
        "components": {"schemas": dict(sorted(components.items())), "securitySchemes": SCHEMES},
    }
    cleaned: dict[str, Any] = _cleaned(found)
    return cleaned


def rendered() -> str:
    """The document as it stands in the file."""
    return json.dumps(document(), indent=1, ensure_ascii=False) + "\n"


def _operations() -> Iterator[tuple[str, str, str, Verb, dict[str, Any]]]:
    for file in function_files():
        app = load_function(ROOT, file)
        path = "/" + file.with_suffix("").as_posix()
        for each in [path.replace("[job]", job) for job in JOBS] if "[job]" in path else [path]:
            for method, verb in app.verbs.items():
                yield each, app.guard.name, method, verb, LIGHT.get(each, {})


def _members(kind: Any) -> tuple[Any, ...]:
    """The structs of a union that is told apart by its form alone."""
    if get_origin(kind) in (Union, types.UnionType):
        members = get_args(kind)
        if all(getattr(member, "__struct_config__", None) and member.__struct_config__.tag for member in members):
            return (kind,)
        return members
    return (kind,)


def _kinds(verb: Verb, light: dict[str, Any]) -> Iterator[Any]:
    if verb.body is not None:
        yield verb.body
    for kind in {**(verb.answers or {}), **light.get("answers", {})}.values():
        yield from _members(kind)


def _schema(kind: Any) -> dict[str, Any]:
    schemas = [msgspec.json.schema_components([member], ref_template=REF)[0][0] for member in _members(kind)]
    return schemas[0] if len(schemas) == 1 else {"anyOf": schemas}


def _operation(path: str, guard: str, verb: Verb, light: dict[str, Any]) -> dict[str, Any]:
    name = re.sub(r"[^A-Za-z]+", "_", path.removeprefix("/api/")) + "_" + verb.handler.__name__
    operation: dict[str, Any] = {
        "operationId": name,
        "summary": inspect.getdoc(verb.handler) or "",
        "security": SECURITY[guard],
    }
    if verb.query is not None:
        operation["parameters"] = list(_parameters(verb.query))
    body = light.get("body") or (_schema(verb.body) if verb.body is not None else None)
    if body is not None:
        kinds = ["application/json", *([FORM] if verb.form else [])]
        operation["requestBody"] = {"required": True, "content": {kind: {"schema": body} for kind in kinds}}
    responses: dict[str, Any] = {}
    for status, kind in {**(verb.answers or {}), **light.get("answers", {})}.items():
        content: dict[str, Any] = {"application/json": {"schema": _schema(kind)}}
        if verb.csv and status == 200:
            content["text/csv"] = {"schema": {"type": "string"}}
        if verb.plain and status == 200:
            content["text/plain"] = {"schema": {"type": "string"}}
        responses[str(status)] = {"description": "As asked for.", "content": content}
    for status in _problems(guard, verb, light):
        problem = {"application/problem+json": {"schema": {"$ref": REF.format(name="ProblemDocument")}}}
        if str(status) in responses:
            responses[str(status)]["content"] |= problem
        else:
            responses[str(status)] = {"description": PROBLEMS[status], "content": problem}
    if guard == "admin" and path.endswith("/dashboard"):
        responses["303"] = {"description": "A browser without a key is sent to the page."}
    if verb.form:
        responses["303"] = {"description": "A posted HTML form is sent on to Stripe."}
    operation["responses"] = dict(sorted(responses.items()))
    return operation


def _problems(guard: str, verb: Verb, light: dict[str, Any]) -> set[int]:
    found = {502, 503, *light.get("codes", {})}
    if guard in ("admin", "optional_admin", "cron"):
        found.add(401)
    if guard in ("admin", "optional_admin"):
        found.add(403)
    if verb.body is not None:
        found |= {400, 404, 409, 413, 422}
    if verb.query is not None:
        found |= {404, 409, 422}
    if verb.form:
        found.add(429)
    return found & set(PROBLEMS)


def _parameters(query: Any) -> Iterator[dict[str, Any]]:
    (schema,), components = msgspec.json.schema_components([query], ref_template=REF)
    struct = components[schema["$ref"].rpartition("/")[2]]
    for name, field in struct["properties"].items():
        plain = [option for option in field.get("anyOf", [field]) if option.get("type") != "null"]
        described = dict(plain[0]) if len(plain) == 1 else {"anyOf": plain}
        yield {"name": name, "in": "query", "required": name in struct.get("required", []), "schema": described}


def _cleaned(value: Any) -> Any:
    """Without what Python's expressions and JSON Schema's understand differently."""
    if isinstance(value, dict):
        cleaned = {key: _cleaned(part) for key, part in value.items()}
        if isinstance(cleaned.get("pattern"), str):
            cleaned["pattern"] = cleaned["pattern"].replace(r"$(?!\n)", "$").replace(r"\ud800-\udfff", "")
        return cleaned
    if isinstance(value, list):
        return [_cleaned(part) for part in value]
    return value


def main() -> None:
    """Write the file, or check it."""
    parser = argparse.ArgumentParser(prog="python -m scripts._openapi", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 when the file is not up to date")
    arguments = parser.parse_args()
    if not arguments.check:
        TARGET.write_text(rendered())
        print(f"wrote {TARGET.relative_to(ROOT)}")
    elif not TARGET.exists() or TARGET.read_text() != rendered():
        raise SystemExit("public/openapi.json is not up to date: run python -m scripts._openapi")


assert set(PROBLEMS) >= set(STATUS.values()) - {405}

if __name__ == "__main__":
    main()
