"""GitHub's `${{ }}` in what a step says: values of contexts, and what a condition may ask."""

import re
from collections.abc import Mapping
from typing import Any

from tests.workflow.jobs import UnknownError

_EXPRESSION = re.compile(r"\$\{\{\s*(.+?)\s*\}\}")
_VALUE = re.compile(r"[a-z]+(\.[\w-]+)+")

Contexts = Mapping[str, Mapping[str, Any]]


def fill(text: object, contexts: Contexts) -> str:
    """Return the text with the value of each expression in its place. Raises UnknownError."""
    # YAML's own true is written as GitHub writes it.
    written = str(text).lower() if isinstance(text, bool) else str(text)
    return _EXPRESSION.sub(lambda match: _value(match[1], contexts), written)


def holds(condition: str, *, has_failed: bool) -> bool:
    """Tell whether a step runs. Raises UnknownError."""
    known = {"": not has_failed, "success()": not has_failed, "failure()": has_failed, "always()": True}
    if condition not in known:
        raise UnknownError(f"the condition {condition!r} has no equivalent here")
    return known[condition]


def _value(expression: str, contexts: Contexts) -> str:
    if not _VALUE.fullmatch(expression):
        raise UnknownError(f"the expression {expression!r} has no equivalent here")
    context, _, key = expression.partition(".")
    try:
        return str(contexts[context][key])
    except KeyError:
        raise UnknownError(f"the value {expression} has no equivalent here") from None
