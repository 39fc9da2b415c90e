"""The OpenAPI page, served from local files so that it works offline and under a strict content security policy."""

from importlib.resources import files
from pathlib import Path

from fastapi import APIRouter, HTTPException
from fastapi.responses import FileResponse

HERE = Path(__file__).parent
SWAGGER = Path(str(files("fastapi_swagger") / "resources"))
ASSETS = {
    "initialize.js": HERE / "initialize.js",
    "swagger-ui-bundle.js": SWAGGER / "swagger-ui-bundle.js",
    "swagger-ui.css": SWAGGER / "swagger-ui.css",
}

router = APIRouter(include_in_schema=False)


@router.get("/docs")
async def page() -> FileResponse:
    """Return the page; its links are relative, so a proxy's prefix does not matter."""
    return FileResponse(HERE / "page.html")


@router.get("/docs/{asset}")
async def asset(asset: str) -> FileResponse:
    """Return a file that the page loads."""
    if asset not in ASSETS:
        raise HTTPException(status_code=404)
    return FileResponse(ASSETS[asset])
