"""A copy of the working tree, and edits to it that can be taken back: a test never touches the person's own files."""

import shutil
import subprocess
from pathlib import Path

CHECKOUT = Path(__file__).parents[2]


def copy_checkout(target: Path) -> Path:
    """Copy every file that git tracks or would track, as it is now; return target.

    Nobody but the owner may read it, as in a clone that is made under umask 077.
    """
    listing = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    names = subprocess.run(listing, cwd=CHECKOUT, capture_output=True, text=True, check=True).stdout.split("\0")
    for name in filter(None, names):
        # Deleted, but not yet for git.
        if not (CHECKOUT / name).is_file():
            continue
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(CHECKOUT / name, target / name)
    for path in [target, *target.rglob("*")]:
        path.chmod(path.stat().st_mode & 0o700)
    # The Python environment depends on the requirements alone, and takes a minute to make.
    (target / ".venv").symlink_to(CHECKOUT / ".venv")
    return target


class Edits:
    """Saves in a checkout. What each touched file held before is kept until restore()."""

    def __init__(self, checkout: Path) -> None:
        self.checkout = checkout
        self._before: dict[Path, str | None] = {}

    def write(self, name: str, text: str) -> None:
        """Save text under the name, in a new file if need be."""
        path = self.keep(name)
        path.write_text(text)

    def replace(self, name: str, old: str, new: str) -> str:
        """Save the file with its only occurrence of old replaced; return the new text."""
        text = (self.checkout / name).read_text()
        if text.count(old) != 1:
            raise AssertionError(f"{name} holds {old!r} {text.count(old)} times, not once: adapt the test to the file")
        text = text.replace(old, new)
        self.write(name, text)
        return text

    def append(self, name: str, text: str) -> str:
        """Save the file with text at its end; return the new text."""
        text = (self.checkout / name).read_text() + text
        self.write(name, text)
        return text

    def remove(self, name: str) -> None:
        """Delete the file."""
        self.keep(name).unlink()

    def rename(self, old: str, new: str) -> None:
        """Move the file, as an editor's "rename" does."""
        self.keep(old).rename(self.keep(new))

    def restore(self) -> None:
        """Put every touched file back to what it was."""
        for path, text in self._before.items():
            if text is None:
                path.unlink(missing_ok=True)
            elif not path.is_file() or path.read_text() != text:
                path.write_text(text)
        self._before.clear()

    def keep(self, name: str) -> Path:
        """Have restore() put the file back to what it is now, whoever changes it; return its path."""
        path = self.checkout / name
        self._before.setdefault(path, path.read_text() if path.is_file() else None)
        return path
