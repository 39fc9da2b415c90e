"""What lies in an application's folders, and where symbolic links lead."""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

# Folders for installed packages.
SITES = frozenset({"site-packages", "dist-packages"})
# Folders of tools, never of an application.
_SKIPPED = {"__pycache__", "node_modules", "__pypackages__", *SITES}
# What virtualenv, venv and uv put into a virtual environment, and conda into one of its own.
ENVIRONMENT_MARKS = {"pyvenv.cfg", "conda-meta"}
# Links below links are followed so deep; among many that lead to each other there are too many ways.
_DEEPEST_LINK = 3
# Links after links that Linux follows before it gives up.
_MOST_HOPS = 40


# These differ from pathlib's in that they never raise: what may not be looked at is not there.


def is_folder(path: Path) -> bool:
    """Tell whether the path leads to a folder."""
    return os.path.isdir(path)  # noqa: PTH112


def is_file(path: Path) -> bool:
    """Tell whether the path leads to a regular file."""
    return os.path.isfile(path)  # noqa: PTH113


def is_link(path: Path) -> bool:
    """Tell whether this is a symbolic link, wherever it leads to."""
    return os.path.islink(path)  # noqa: PTH114


def is_there(path: Path) -> bool:
    """Tell whether the path leads to anything."""
    return os.path.exists(path)  # noqa: PTH110


def real_path(path: Path) -> Path:
    """Return the path without links, as far as they lead."""
    return Path(os.path.realpath(path))


@dataclass
class Listing:
    """The names in a folder: links are kept apart, and files that have further names as well."""

    folders: list[str] = field(default_factory=list)
    links: list[str] = field(default_factory=list)
    files: list[str] = field(default_factory=list)
    hard_links: list[str] = field(default_factory=list)

    @property
    def is_environment(self) -> bool:
        """Whether this is a virtual environment."""
        return not ENVIRONMENT_MARKS.isdisjoint(self.files) or not ENVIRONMENT_MARKS.isdisjoint(self.folders)


def list_folder(folder: Path) -> Listing:
    """Return what lies in the folder; nothing when it cannot be read or has gone."""
    listing = Listing()
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                _sort(entry, listing)
    except OSError:
        pass
    return listing


def _sort(entry: os.DirEntry[str], listing: Listing) -> None:
    try:
        if entry.is_symlink():
            listing.links.append(entry.name)
        elif entry.is_dir(follow_symlinks=False):
            listing.folders.append(entry.name)
        else:
            listing.files.append(entry.name)
            if entry.stat(follow_symlinks=False).st_nlink > 1:
                listing.hard_links.append(entry.name)
    except OSError:
        # It went meanwhile, or the folder may be listed and not entered.
        pass


def walk(tree: Path, enter: Callable[[Path], Listing | None] = list_folder) -> Iterator[tuple[Path, Listing]]:
    """Yield each folder of an application's tree, and what lies in it. Links to folders are followed, but not in rings.

    enter: lists a folder, or leaves it out.
    """
    waiting = [tree]
    while waiting:
        folder = waiting.pop()
        listing = enter(folder)
        if listing is None or (listing.is_environment and folder != tree):
            continue
        yield folder, listing
        waiting += [folder / name for name in listing.folders if not is_tool(name)]
        waiting += [folder / name for name in listing.links if not is_tool(name) and leads_to_folder(folder / name)]


def files_below(tree: Path) -> Iterator[Path]:
    """Yield the files of a tree, and its links."""
    for folder, listing in walk(tree):
        for name in (*listing.files, *listing.links):
            yield folder / name


def files_in(folder: Path) -> Iterator[Path]:
    """Yield the files directly in a folder, and its links."""
    listing = list_folder(folder)
    return (folder / name for name in (*listing.files, *listing.links))


def is_tool(name: str) -> bool:
    """Tell whether a folder of this name is a tool's: a cache, a hidden one, installed libraries."""
    return name in _SKIPPED or name.startswith(".")


def is_skipped(folder: Path) -> bool:
    """Tell whether it is a tool's folder: by its name, or because it is a virtual environment."""
    return is_tool(folder.name) or any(os.path.lexists(folder / mark) for mark in ENVIRONMENT_MARKS)


def leads_to_folder(link: Path) -> bool:
    """Tell whether the link leads to a folder that is to be followed: not to one that it lies in itself."""
    if not is_folder(link):
        return False
    target = real_path(link)
    above = [real_path(folder) for folder in link.parents]
    if target in above or target in above[0].parents:
        return False
    return sum(is_link(folder) for folder in link.parents) < _DEEPEST_LINK


def decisive_places(path: Path) -> list[Path]:
    """Return where something may appear, go or be replaced that changes what the path leads to.

    These are the links on the way, each in a real folder, and its end: the first name that is missing, or the last.
    """
    found = []
    place = Path(path.anchor)
    waiting = list(reversed(path.parts[1:]))
    for _ in range(_MOST_HOPS * len(path.parts)):
        if not waiting:
            break
        name = waiting.pop()
        if name == "..":
            place = place.parent
            continue
        step = place / name
        try:
            target = step.readlink()
        except OSError:
            # No link; missing, or a file or folder.
            place = step
            if not os.path.lexists(step):
                break
            continue
        found.append(step)
        waiting += reversed(target.parts[1:] if target.is_absolute() else target.parts)
        if target.is_absolute():
            place = Path(target.anchor)
    # A link that leads to itself is met over and over.
    return list(dict.fromkeys([*found, place]))
