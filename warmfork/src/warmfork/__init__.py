"""A development server for ASGI applications that reloads by forking a process in which the libraries are loaded.

The command is warmfork.command, a program's way in is warmfork.serve. Nothing is imported here, because the watcher and
the relay are of use where uvicorn is not installed.
"""

__version__ = "0.1.0"
