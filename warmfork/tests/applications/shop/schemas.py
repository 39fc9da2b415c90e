"""What a client sends."""

from pydantic import BaseModel


class ItemCreate(BaseModel):
    title: str
