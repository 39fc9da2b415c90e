"""Everything that knows how uvicorn works inside: its server, its connections, its options and its log lines."""
