"""Create, read and delete items."""

from fastapi import APIRouter, HTTPException
from sqlmodel import select

from .dependencies import DatabaseSession, PageLimit
from .models import Item
from .schemas import ItemCreate, ItemRead

REVISION = 0

router = APIRouter(prefix="/items", tags=["items"])


@router.post("/", response_model=ItemRead)
def create_item(item: ItemCreate, session: DatabaseSession) -> Item:
    """Add an item."""
    created = Item(**item.model_dump())
    session.add(created)
    session.commit()
    return created


@router.get("/", response_model=list[ItemRead])
def list_items(session: DatabaseSession, limit: PageLimit) -> list[Item]:
    """List items."""
    return list(session.exec(select(Item).limit(limit)))


@router.get("/{item_id}", response_model=ItemRead)
def read_item(item_id: int, session: DatabaseSession) -> Item:
    """Return one item."""
    return _find(session, item_id)


@router.delete("/{item_id}", response_model=ItemRead)
def delete_item(item_id: int, session: DatabaseSession) -> Item:
    """Delete an item and return it as it was."""
    item = _find(session, item_id)
    session.delete(item)
    session.commit()
    return item


def _find(session: DatabaseSession, item_id: int) -> Item:
    item = session.get(Item, item_id)
    if item is None:
        raise HTTPException(status_code=404, detail="Item not found")
    return item
