"""Create the table todo."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

# The backend's role, where there is one, may use this and later tables but not change their structure.
GRANT = """
DO $$
BEGIN
  IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'todo_app') THEN
    ALTER DEFAULT PRIVILEGES GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO todo_app;
    GRANT SELECT ON alembic_version TO todo_app;
  END IF;
END
$$
"""
REVOKE = """
DO $$
BEGIN
  IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'todo_app') THEN
    ALTER DEFAULT PRIVILEGES REVOKE SELECT, INSERT, UPDATE, DELETE ON TABLES FROM todo_app;
    REVOKE SELECT ON alembic_version FROM todo_app;
  END IF;
END
$$
"""


def upgrade() -> None:
    """Create the table, readable and writable for the backend."""
    op.execute(GRANT)
    op.create_table(
        "todo",
        sa.Column("id", sa.Integer, sa.Identity(), primary_key=True),
        sa.Column("title", sa.String(200), nullable=False),
        sa.Column("description", sa.String(2_000)),
        sa.Column("completed", sa.Boolean, server_default=sa.false(), nullable=False),
    )


def downgrade() -> None:
    """Drop the table with its rows."""
    op.drop_table("todo")
    op.execute(REVOKE)
