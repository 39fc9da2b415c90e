"""Requests made up from the API's own description, good and bad, against a running backend."""

from typing import Any

import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.specs.openapi.checks import allow_header_conformance

from app.main import create_app
from backend_process import BackendProcess

schema = schemathesis.openapi.from_dict(create_app().openapi())


# The same examples on every run, and few of them, keep the suite quick.
@schema.parametrize()
@settings(max_examples=25, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
def test_answers_are_as_described(case: schemathesis.Case[Any], running_backend: BackendProcess) -> None:
    # FastAPI names in Allow only the methods of the first endpoint that has the path.
    case.call_and_validate(base_url=running_backend.url, excluded_checks=[allow_header_conformance])
