"""The Kubernetes API's own schemas, strict: an unknown field is an error."""

import json
import re
from collections.abc import Iterator
from functools import cache
from importlib import resources
from typing import Any

from jsonschema import Draft202012Validator
from referencing import Registry
from referencing.jsonschema import DRAFT202012

from tests.manifests.manifests import Manifest, identity

VERSION = "1.36"


@cache
def contents(name: str) -> Any:  # noqa: ANN401 - JSON
    """Return a schema file of kubernetes-validate; raises FileNotFoundError if it has none of that name."""
    folder = resources.files("kubernetes_validate") / "kubernetes-json-schema" / f"v{VERSION}.0-local-strict"
    return json.loads((folder / name).read_text())


@cache
def validator(name: str) -> Draft202012Validator:
    """Return what validates against a schema file; raises FileNotFoundError if there is none of that name."""
    return Draft202012Validator(contents(name), registry=definitions())


@cache
def definitions() -> Registry[Any]:
    """Return the definitions that all schema files refer to; they are large, and read through once."""
    resource = DRAFT202012.create_resource(contents("_definitions.json"))
    registry: Registry[Any] = Registry().with_resource("/api/_definitions.json", resource)
    return registry.crawl()


def violations(manifest: Manifest) -> Iterator[str]:
    """Yield every way in which an object is not what the API takes."""
    # networking.k8s.io/v1 -> networking-v1
    version = re.sub(r"^([^./]*)(?:\.[^/]*)?/", r"\1-", manifest["apiVersion"])
    try:
        schema = validator(f"{manifest['kind'].lower()}-{version}.json")
    except FileNotFoundError:
        yield f"{identity(manifest)}: Kubernetes {VERSION} has no {manifest['kind']} in {manifest['apiVersion']}"
        return
    for error in schema.iter_errors(manifest):
        yield f"{identity(manifest)}: {error.json_path}: {error.message}"
