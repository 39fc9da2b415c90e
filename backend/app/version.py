"""Which code is running."""

import hashlib
import os
from pathlib import Path


def source_digest(package: Path) -> str:
    """Return 12 hexadecimal digits of the SHA-256 over the names and contents of the package's Python files."""
    digest = hashlib.sha256()
    # Editors leave hidden lock files beside the sources.
    for path in sorted(path for path in package.rglob("*.py") if not path.name.startswith(".")):
        content = path.read_bytes()
        # The bytes of the name, which need not be UTF-8.
        digest.update(os.fsencode(path.relative_to(package)) + f" {len(content)}\n".encode() + content)
    return digest.hexdigest()[:12]
