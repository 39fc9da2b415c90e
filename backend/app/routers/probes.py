"""What the cluster and the page ask about this process."""

from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel

from app.errors import RETRY_AFTER
from app.readiness import Readiness

router = APIRouter(tags=["process"])


class Health(BaseModel):
    """The process answers."""

    status: str


class Ready(BaseModel):
    """Whether requests are welcome, and what each check found."""

    status: str
    database: str
    schema_revision: str
    draining: bool


class Version(BaseModel):
    """What is running, and where."""

    build: str
    commit: str
    pod: str
    code: str


NOT_READY: dict[int | str, dict[str, Any]] = {503: {"model": Ready, "description": "Requests should go elsewhere"}}


@router.get("/healthz")
async def healthz() -> Health:
    """Tell that the process answers; nothing else is looked at, lest a lost database restarts every replica."""
    return Health(status="ok")


@router.get("/readyz", response_model=Ready, responses=NOT_READY)
async def readyz(request: Request) -> JSONResponse:
    """Tell whether this process should be sent requests, and if not, why."""
    readiness: Readiness = request.app.state.readiness
    report = await readiness.report()
    ready = report.ready and not readiness.draining
    content = Ready(
        status="ready" if ready else "not ready",
        database=report.database,
        schema_revision=report.schema,
        draining=readiness.draining,
    )
    headers = None if ready else {"Retry-After": str(RETRY_AFTER)}
    return JSONResponse(content.model_dump(), status_code=200 if ready else 503, headers=headers)


@router.get("/version")
async def version(request: Request) -> Version:
    """Tell which build, commit and source files this process runs, and in which pod."""
    found: Version = request.app.state.version
    return found
