"""Makes client-server.json.xz from the OpenAPI document of the Matrix specification.

    python scripts/dump-openapi.py --api client-server -r v1.18 -o openapi.json     (in a checkout of matrix-spec)
    python tests/clients/shapes/slim.py openapi.json

What the check needs of it are the shapes of the answers. Prose, examples and requests would make it twenty times as large.
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


def main():
    document = json.loads(Path(sys.argv[1]).read_text())
    paths = {
        path.strip(): {method.upper(): answers(one) for method, one in operations.items() if method in METHODS}
        for path, operations in document["paths"].items()
    }
    text = json.dumps({"version": document["info"]["version"], "paths": paths}, separators=(",", ":"), sort_keys=True)
    target = Path(__file__).with_name("client-server.json.xz")
    target.write_bytes(lzma.compress(text.encode(), preset=9 | lzma.PRESET_EXTREME))
    print(f"{target}: {len(paths)} paths, {target.stat().st_size} bytes")


if __name__ == "__main__":
    main()
