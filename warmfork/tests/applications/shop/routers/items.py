"""Items."""

from typing import Annotated

from fastapi import APIRouter, Depends
from sqlalchemy import inspect

from shop.database import engine
from shop.dependencies import SessionDependency, page_size
from shop.models import Item
from shop.schemas import ItemCreate

router = APIRouter()


@router.post("/items")
def create(item: ItemCreate, session: SessionDependency) -> Item:
    row = Item.model_validate(item.model_dump())
    session.add(row)
    session.commit()
    session.refresh(row)
    return row


@router.post("/drafts")
def draft(item: ItemCreate) -> ItemCreate:
    return item


@router.get("/page-size")
def show_page_size(size: Annotated[int, Depends(page_size)]) -> int:
    return size


@router.get("/tables")
def tables() -> list[str]:
    return sorted(inspect(engine).get_table_names())
