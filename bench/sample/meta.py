"""What runs: the leaf that most edits touch, and the answer by which an edit is recognised."""

from fastapi import APIRouter

from . import dependencies, items, models, settings

REVISION = 0

router = APIRouter(tags=["meta"])


@router.get("/healthz")
async def healthz() -> dict[str, str]:
    """Tell that the process answers."""
    return {"status": "ok"}


@router.get("/version")
async def version() -> dict[str, list[int]]:
    """Return the revisions of the modules that are edited."""
    modules = (settings, models, dependencies, items)
    return {"revisions": [*(module.REVISION for module in modules), REVISION]}
