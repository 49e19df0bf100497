"""Makes client-server.json.xz, requests.json and required.json from the OpenAPI document of the Matrix specification.

    python scripts/dump-openapi.py --api client-server -r v1.18 -o openapi.json     (in a checkout of matrix-spec)
    python tests/clients/shapes/slim.py openapi.json

What the check of answers needs are their shapes, what generated requests need are those of the requests (one operation a line).
required.json names the keys that answers have to have, an operation a line: `a.*.b` is `b` in every item or value of `a`.
Prose and examples would make both ten times as large.
"""

import json
import lzma
import sys
from pathlib import Path

METHODS = ("get", "put", "post", "delete")
# Said about a schema, not checked by one.
PROSE = {"description", "example", "examples", "title", "externalDocs", "deprecated"}


def slim(schema, of_names=False):
    """Drops prose; below `properties` a key is a name and not a keyword, so `title` may stand there."""
    if isinstance(schema, list):
        return [slim(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    kept = schema if of_names else {k: v for k, v in schema.items() if k not in PROSE and not k.startswith("x-")}
    return {key: slim(value, key == "properties" and not of_names) for key, value in kept.items()}


def answers(operation):
    """Status to schema, `null` for an answer whose body nobody describes in JSON."""
    found = {}
    for status, answer in operation["responses"].items():
        schema = answer.get("content", {}).get("application/json", {}).get("schema")
        found[status] = None if schema is None else slim(schema)
    return found


def request(method, path, operation, shared):
    """What a request of this operation is made of, and how it can be answered."""
    parameters = [
        {"name": one["name"], "in": one["in"], "required": one.get("required", False), "schema": slim(one.get("schema", {}))}
        for one in operation.get("parameters", []) + shared
        if one["in"] in ("path", "query")
    ]
    content = operation.get("requestBody", {}).get("content", {})
    body = next(({"type": kind, "schema": slim(one.get("schema", {}))} for kind, one in content.items()), None)
    statuses = sorted(int(status) for status in operation["responses"] if status.isdigit())
    return {"method": method, "path": path, "parameters": parameters, "body": body, "statuses": statuses}


def required(schema, place=()):
    """The places of all keys that an answer of this shape has to have, from the outside in."""
    if not isinstance(schema, dict):
        return []
    found = [[*place, key] for key in schema.get("required", [])]
    for part in schema.get("allOf", []):
        found += required(part, place)
    for key, value in schema.get("properties", {}).items():
        found += required(value, (*place, key))
    for every in ("additionalProperties", "items"):
        found += required(schema.get(every), (*place, "*"))
    return found


def main():
    document = json.loads(Path(sys.argv[1]).read_text())
    operations = [
        (path.strip(), method.upper(), one, methods.get("parameters", []))
        for path, methods in document["paths"].items()
        for method, one in methods.items()
        if method in METHODS
    ]
    paths = {}
    for path, method, one, _ in operations:
        paths.setdefault(path, {})[method] = answers(one)
    text = dense({"version": document["info"]["version"], "paths": paths})
    target = Path(__file__).with_name("client-server.json.xz")
    target.write_bytes(lzma.compress(text.encode(), preset=9 | lzma.PRESET_EXTREME))
    print(f"{target}: {len(paths)} paths, {target.stat().st_size} bytes")

    lines = [dense(request(method, path, one, shared)) for path, method, one, shared in operations]
    target = Path(__file__).with_name("requests.json")
    target.write_text("[\n" + ",\n".join(lines) + "\n]\n")
    print(f"{target}: {len(lines)} operations, {target.stat().st_size} bytes")

    places = [
        {"method": method, "path": path, "required": sorted(map(list, {tuple(place) for place in required(answers(one).get("200"))}))}
        for path, method, one, _ in operations
    ]
    lines = [dense(place) for place in places if place["required"]]
    target = Path(__file__).with_name("required.json")
    target.write_text("[\n" + ",\n".join(lines) + "\n]\n")
    print(f"{target}: {len(lines)} operations, {target.stat().st_size} bytes")


def dense(value):
    return json.dumps(value, separators=(",", ":"), sort_keys=True)


if __name__ == "__main__":
    main()
