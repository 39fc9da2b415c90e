"""Create, read and delete owners."""

from fastapi import APIRouter, HTTPException
from sqlmodel import select

from .dependencies import DatabaseSession, PageLimit
from .models import Owner
from .schemas import OwnerCreate, OwnerRead

router = APIRouter(prefix="/owners", tags=["owners"])


@router.post("/", response_model=OwnerRead)
def create_owner(owner: OwnerCreate, session: DatabaseSession) -> Owner:
    """Add an owner."""
    created = Owner(name=owner.name)
    session.add(created)
    session.commit()
    return created


@router.get("/", response_model=list[OwnerRead])
def list_owners(session: DatabaseSession, limit: PageLimit) -> list[Owner]:
    """List owners."""
    return list(session.exec(select(Owner).limit(limit)))


@router.get("/{owner_id}", response_model=OwnerRead)
def read_owner(owner_id: int, session: DatabaseSession) -> Owner:
    """Return one owner."""
    return _find(session, owner_id)


@router.delete("/{owner_id}", response_model=OwnerRead)
def delete_owner(owner_id: int, session: DatabaseSession) -> Owner:
    """Delete an owner and return it as it was."""
    owner = _find(session, owner_id)
    session.delete(owner)
    session.commit()
    return owner


def _find(session: DatabaseSession, owner_id: int) -> Owner:
    owner = session.get(Owner, owner_id)
    if owner is None:
        raise HTTPException(status_code=404, detail="Owner not found")
    return owner
