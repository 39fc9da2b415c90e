"""What the modules of a domain hold that answer requests: templates with its name and title."""

READ = '''"""Reading $name."""

from typing import Annotated

from fastapi import APIRouter, Depends, HTTPException, Query
from sqlmodel import Session, select

from app.core import shared
from app.core.constants import PAGE_SIZE
from app.core.database import open_session
from app.domains.$name.models import $title
from app.domains.$name.schemas import ${title}Page, ${title}Read, ${title}Status

LIMIT = PAGE_SIZE
router = APIRouter()


@router.get("/", response_model=${title}Page)
def list_$name(session: Annotated[Session, Depends(open_session)], limit: Annotated[int, Query(ge=1)] = LIMIT) -> dict:
    """List some."""
    return {"rows": list(session.exec(select($title).limit(limit))), "limit": limit}


@router.get("/rows/{identifier}", response_model=${title}Read)
def read_$name(identifier: int, session: Annotated[Session, Depends(open_session)]) -> $title:
    """Return one."""
    found = session.get($title, identifier)
    if found is None:
        raise HTTPException(status_code=404, detail="Not found")
    return found


@router.get("/count")
def count_$name(session: Annotated[Session, Depends(open_session)]) -> dict[str, int]:
    """Tell how many there are."""
    return {shared.slug("$name"): len(session.exec(select($title)).all())}
$uses
'''

# By kind of edit, how its number is shown: by the code that it changes, as a client sees it.
PROBES = '''

@router.get("/leaf")
async def show_leaf() -> dict[str, list[int]]:
    """Show what this body holds."""
    revisions = [1000]
    return {"revisions": revisions}


@router.get("/shared")
async def show_shared() -> dict[str, list[int]]:
    """Show what the body of a function holds that every module imports."""
    return {"revisions": [shared.revision()]}


@router.get("/constant")
async def show_constant() -> dict[str, list[int]]:
    """Show what was made of a constant at import."""
    return {"revisions": [LIMIT]}


@router.get("/schema")
async def show_schema() -> ${title}Status:
    """Show a default of a schema."""
    return ${title}Status()


@router.get("/table")
async def show_table() -> dict[str, list[int]]:
    """Show a default of a table."""
    return {"revisions": [$title(title="").revision]}


# Of equal paths the first counts.
@router.get("/route")
async def show_route_1000() -> dict[str, list[int]]:
    """Show which route answers."""
    return {"revisions": [1000]}
'''

ADDED_ROUTE = '''@router.get("/route")
async def show_route_$number() -> dict[str, list[int]]:
    """Show which route answers."""
    return {"revisions": [$number]}


'''

ROUTES_BEGIN = "# Of equal paths the first counts.\n"

DEPENDENCIES = '''"""What endpoints about $name ask for."""

from typing import Annotated

from fastapi import Depends, Header, Query
from sqlmodel import Session

from app.core.constants import PAGE_SIZE
from app.core.database import open_session
from app.core.shared import slug
from app.domains.$name.service import ${title}Service


def open_service(session: Annotated[Session, Depends(open_session)]) -> ${title}Service:
    """Provide the service."""
    return ${title}Service(session)


def limit_page(limit: Annotated[int, Query(ge=1)] = PAGE_SIZE, agent: Annotated[str, Header()] = slug("$name")) -> int:
    """Return how many rows an answer may have."""
    return limit if agent else PAGE_SIZE


Service = Annotated[${title}Service, Depends(open_service)]
Limit = Annotated[int, Depends(limit_page)]
'''

WRITE = '''"""Writing $name."""

from fastapi import APIRouter, HTTPException

from app.core.constants import PAGE_SIZE
from app.core.shared import slug
from app.domains.$name.dependencies import Limit, Service
from app.domains.$name.errors import ${title}Error
from app.domains.$name.schemas import ${title}Page, ${title}Read, ${title}Write

ADDRESS = slug("$name")
MOST = PAGE_SIZE
router = APIRouter()


@router.post("/", response_model=${title}Read)
def create_$name(wanted: ${title}Write, service: Service) -> object:
    """Add one."""
    try:
        return service.create(wanted)
    except ${title}Error as error:
        raise HTTPException(status_code=409, detail=str(error)) from None


@router.put("/rows/{identifier}", response_model=${title}Read)
def update_$name(identifier: int, wanted: ${title}Write, service: Service) -> object:
    """Change one."""
    return service.create(wanted)


@router.delete("/rows/{identifier}", response_model=${title}Read)
def delete_$name(identifier: int, service: Service) -> object:
    """Delete one."""
    return service.page()[0]


@router.post("/search", response_model=${title}Page)
def search_$name(wanted: ${title}Write, service: Service, limit: Limit) -> dict[str, object]:
    """Find some."""
    return {"rows": service.page()[:limit], "limit": limit}
'''
