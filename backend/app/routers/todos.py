"""Create, read, update and delete todos."""

from typing import Annotated

from fastapi import APIRouter, HTTPException, Path, Query
from sqlmodel import col, select

from app.database import DatabaseSession
from app.errors import ALWAYS, BODY, NOT_FOUND
from app.models import Todo, TodoCreate, TodoRead, TodoUpdate

# PostgreSQL's integer; anything outside could only fail in the database.
INTEGER_MIN, INTEGER_MAX = -(2**31), 2**31 - 1

TodoId = Annotated[int, Path(ge=INTEGER_MIN, le=INTEGER_MAX)]
Skip = Annotated[int, Query(ge=0, le=INTEGER_MAX)]
Limit = Annotated[int, Query(ge=1, le=500)]

router = APIRouter(prefix="/todos", tags=["todos"], responses=ALWAYS)


@router.post("/", response_model=TodoRead, responses=BODY)
def create_todo(todo: TodoCreate, session: DatabaseSession) -> Todo:
    """Add a todo."""
    created = Todo(title=todo.title, description=todo.description)
    session.add(created)
    session.commit()
    return created


@router.get("/", response_model=list[TodoRead])
def list_todos(session: DatabaseSession, skip: Skip = 0, limit: Limit = 100) -> list[Todo]:
    """List todos in the order they were added."""
    return list(session.exec(select(Todo).order_by(col(Todo.id)).offset(skip).limit(limit)))


@router.get("/{todo_id}", response_model=TodoRead, responses=NOT_FOUND)
def read_todo(todo_id: TodoId, session: DatabaseSession) -> Todo:
    """Return one todo."""
    return _find(session, todo_id)


@router.put("/{todo_id}", response_model=TodoRead, responses=NOT_FOUND | BODY)
def update_todo(todo_id: TodoId, changes: TodoUpdate, session: DatabaseSession) -> Todo:
    """Change the fields sent and leave the others."""
    todo = _find(session, todo_id, lock=True)
    todo.sqlmodel_update(changes.model_dump(exclude_unset=True))
    session.commit()
    return todo


@router.delete("/{todo_id}", response_model=TodoRead, responses=NOT_FOUND)
def delete_todo(todo_id: TodoId, session: DatabaseSession) -> Todo:
    """Delete a todo and return it as it was."""
    todo = _find(session, todo_id, lock=True)
    session.delete(todo)
    session.commit()
    return todo


def _find(session: DatabaseSession, todo_id: int, *, lock: bool = False) -> Todo:
    """Return the todo, locked against a concurrent change or deletion if so asked; answer 404 if there is none."""
    todo = session.get(Todo, todo_id, with_for_update=lock)
    if todo is None:
        raise HTTPException(status_code=404, detail="Todo not found")
    return todo
