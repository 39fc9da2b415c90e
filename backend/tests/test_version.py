import hashlib
import os
from pathlib import Path

from app.version import source_digest


def test_digest_depends_on_names_and_contents_of_python_files(tmp_path: Path) -> None:
    (tmp_path / "routers").mkdir()
    (tmp_path / "main.py").write_text("a = 1\n")
    (tmp_path / "routers/todos.py").write_text("b = 1\n")
    digests = [source_digest(tmp_path)]
    (tmp_path / "routers/todos.py").write_text("b = 2\n")
    digests.append(source_digest(tmp_path))
    (tmp_path / "routers/todos.py").rename(tmp_path / "routers/others.py")
    digests.append(source_digest(tmp_path))
    (tmp_path / "new.py").touch()
    digests.append(source_digest(tmp_path))
    assert len(set(digests)) == 4
    assert all(len(digest) == 12 for digest in digests)


def test_digest_ignores_what_is_not_source(tmp_path: Path) -> None:
    (tmp_path / "main.py").write_text("a = 1\n")
    before = source_digest(tmp_path)
    (tmp_path / "page.html").touch()
    (tmp_path / ".#main.py").symlink_to("nowhere")
    (tmp_path / "__pycache__").mkdir()
    (tmp_path / "__pycache__/main.cpython-312.pyc").touch()
    assert source_digest(tmp_path) == before


def test_digest_takes_names_as_their_bytes(tmp_path: Path) -> None:
    """A name need not be UTF-8, and the digest of one that is stays what it was."""
    (tmp_path / "café.py").write_text("a = 1\n")
    assert source_digest(tmp_path) == hashlib.sha256("café.py 6\na = 1\n".encode()).hexdigest()[:12]
    (tmp_path / "café.py").rename(tmp_path / os.fsdecode(b"caf\xe9.py"))
    assert source_digest(tmp_path) == hashlib.sha256(b"caf\xe9.py 6\na = 1\n").hexdigest()[:12]
