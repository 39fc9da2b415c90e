"""What this application is."""

from fastapi import APIRouter

from shop.settings import get_settings

router = APIRouter()


@router.get("/version")
def version() -> int:
    return 0


@router.get("/settings")
def settings() -> dict[str, str]:
    return get_settings().model_dump()
