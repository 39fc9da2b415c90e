"""The todo API: FastAPI over PostgreSQL."""
