"""How failures are answered: bad input 422, the database away 503, nothing else is expected."""

import re
from typing import Any

import psycopg2.errors
from fastapi import FastAPI, Request
from fastapi.encoders import jsonable_encoder
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from psycopg2.extensions import TransactionRollbackError
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from app.logs import logger
from app.models import Problem

RETRY_AFTER = 2  # seconds

# For the OpenAPI description; 422 is FastAPI's own.
ALWAYS: dict[int | str, dict[str, Any]] = {
    503: {
        "model": Problem,
        "description": "The database or this process cannot take it now",
        "headers": {"Retry-After": {"schema": {"type": "integer"}, "description": "Seconds"}},
    }
}
NOT_FOUND: dict[int | str, dict[str, Any]] = {404: {"model": Problem, "description": "There is no such todo"}}
BODY: dict[int | str, dict[str, Any]] = {
    400: {"model": Problem, "description": "The body cannot be parsed"},
    413: {"model": Problem, "description": "The body is too large"},
}


def unavailable(detail: str) -> JSONResponse:
    """Return the answer for work that may succeed a moment later."""
    return JSONResponse({"detail": detail}, status_code=503, headers={"Retry-After": str(RETRY_AFTER)})


def _invalid(_request: Request, error: Exception) -> JSONResponse:
    """Answer 422 without echoing the input, which may be large or impossible to encode."""
    assert isinstance(error, RequestValidationError)  # noqa: S101 - narrows the type that add_exception_handler fixes
    problems = [{key: problem[key] for key in ("type", "loc", "msg")} for problem in error.errors()]
    return JSONResponse({"detail": jsonable_encoder(problems)}, status_code=422)


def _database_failed(_request: Request, error: Exception) -> JSONResponse:
    if isinstance(error, DBAPIError) and not isinstance(error, OperationalError) and not error.connection_invalidated:
        raise error
    cause = error.orig if isinstance(error, DBAPIError) else error
    detail = _detail(cause)
    logger.warning("%s: %s", detail, " ".join(str(cause).split()))
    return unavailable(f"{detail}; try again in a moment.")


def _detail(cause: BaseException | None) -> str:
    """Return what a person should know of the failure."""
    if isinstance(cause, PoolTimeoutError):
        return "All connections to the database are in use"
    if isinstance(cause, psycopg2.errors.QueryCanceled | psycopg2.errors.LockNotAvailable):
        return "The database took too long"
    if isinstance(cause, psycopg2.errors.DiskFull):
        return "The database's disk is full"
    if isinstance(cause, TransactionRollbackError):
        return "Another request has changed the same"
    # Where a connection is refused, psycopg2 gives no code.
    if re.search("too many (clients|connections)|connection slots", str(cause)):
        return "The database has no connection left"
    return "The database is not reachable"


def handle_errors(app: FastAPI) -> None:
    """Register the handlers."""
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(PoolTimeoutError, _database_failed)
    app.add_exception_handler(DBAPIError, _database_failed)
