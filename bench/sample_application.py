"""A copy of the sample application, with as many routes as asked for, and edits to it."""

import re
import shutil
from pathlib import Path

from bench.saves import Edit

SAMPLE = Path(__file__).parent / "sample"
# Imported by the main module and by nothing else.
LEAF = "meta.py"
# Imported by nearly everything.
ROOT = "models.py"
# In the order in which /version shows their revisions.
EDITED = ("settings.py", ROOT, "dependencies.py", "items.py", LEAF)

OWN_ROUTES = 10
ROUTES_PER_MODULE = 5
# Revisions have one length, as consecutive saves of one file often do.
FIRST_REVISION = 1000

_TABLE = '''

class Extra{number}(SQLModel, table=True):
    """Table {number} of a larger application."""

    id: int | None = Field(default=None, primary_key=True)
    title: str = Field(index=True, max_length=200)
    amount: float = 0
    owner_id: int | None = Field(default=None, foreign_key="owner.id")
'''

_ROUTER = '''"""Router {number} of a larger application."""

from fastapi import APIRouter, HTTPException
from pydantic import BaseModel, ConfigDict
from sqlmodel import select

from .dependencies import DatabaseSession, PageLimit
from .models import Extra{number}


class ExtraWrite(BaseModel):
    title: str
    amount: float = 0
    owner_id: int | None = None


class ExtraRead(ExtraWrite):
    model_config = ConfigDict(from_attributes=True)

    id: int


router = APIRouter(prefix="/extra-{number}", tags=["extra-{number}"])


@router.post("/", response_model=ExtraRead)
def create_extra(extra: ExtraWrite, session: DatabaseSession) -> Extra{number}:
    created = Extra{number}(**extra.model_dump())
    session.add(created)
    session.commit()
    return created


@router.get("/", response_model=list[ExtraRead])
def list_extras(session: DatabaseSession, limit: PageLimit) -> list[Extra{number}]:
    return list(session.exec(select(Extra{number}).limit(limit)))


@router.get("/{{extra_id}}", response_model=ExtraRead)
def read_extra(extra_id: int, session: DatabaseSession) -> Extra{number}:
    return _find(session, extra_id)


@router.put("/{{extra_id}}", response_model=ExtraRead)
def update_extra(extra_id: int, changes: ExtraWrite, session: DatabaseSession) -> Extra{number}:
    extra = _find(session, extra_id)
    extra.sqlmodel_update(changes.model_dump())
    session.commit()
    return extra


@router.delete("/{{extra_id}}", response_model=ExtraRead)
def delete_extra(extra_id: int, session: DatabaseSession) -> Extra{number}:
    extra = _find(session, extra_id)
    session.delete(extra)
    session.commit()
    return extra


def _find(session: DatabaseSession, extra_id: int) -> Extra{number}:
    extra = session.get(Extra{number}, extra_id)
    if extra is None:
        raise HTTPException(status_code=404, detail="Not found")
    return extra
'''


class SampleApplication:
    """The package `app` in a folder; served as app.main:app."""

    def __init__(self, folder: Path, routes: int) -> None:
        """Write the package into the folder, with 10 routes or a multiple of 5 above that."""
        self.folder = folder
        self._package = folder / "app"
        self._revisions = dict.fromkeys(EDITED, FIRST_REVISION)
        shutil.copytree(SAMPLE, self._package, ignore=shutil.ignore_patterns("__pycache__"))
        for number in range((routes - OWN_ROUTES) // ROUTES_PER_MODULE):
            self._grow(number)
        for name in EDITED:
            (self._package / name).write_text(self._text(name))

    @property
    def shown(self) -> dict[str, str]:
        """The version that each address shows once every edit is saved."""
        return {"/version": self.version}

    @property
    def version(self) -> str:
        """What /version says of the files as they are once every edit is saved."""
        return ",".join(map(str, self._revisions.values()))

    def edit(self, name: str) -> Edit:
        """Return the next edit of one of EDITED; it must be saved before another one is asked for."""
        self._revisions[name] += 1
        return Edit(self._package / name, self._text(name), self.version)

    def _text(self, name: str) -> str:
        text = (self._package / name).read_text()
        return re.sub(r"^REVISION = \d+$", f"REVISION = {self._revisions[name]}", text, count=1, flags=re.MULTILINE)

    def _grow(self, number: int) -> None:
        (self._package / f"extra_{number}.py").write_text(_ROUTER.format(number=number))
        with (self._package / ROOT).open("a") as models:
            models.write(_TABLE.format(number=number))
        with (self._package / "main.py").open("a") as main:
            main.write(f"\n\nfrom . import extra_{number}\n\napp.include_router(extra_{number}.router)\n")
