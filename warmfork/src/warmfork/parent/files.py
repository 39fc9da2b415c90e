"""The files whose change matters: watched, and read into the snapshot."""

from collections.abc import Iterable
from pathlib import Path

from warmfork import report
from warmfork.parent.packages import Packages, site_folders
from warmfork.settings import INCLUDES, Settings
from warmfork.snapshot.folders import is_folder
from warmfork.snapshot.patterns import included_folders
from warmfork.snapshot.record import Record
from warmfork.snapshot.signature import signature
from warmfork.snapshot.sources import Sources
from warmfork.watching.watcher import Watcher

# Seconds until a file that somebody was writing is looked at again, should its end not be told.
_UNFINISHED = 0.02


class Files:
    """What the reload folders, the environment file, installed packages and --reload-include name."""

    def __init__(self, settings: Settings) -> None:
        """Begin to watch, and read what is there. Raises WatchError."""
        # As long as it is there: it may be deleted.
        self._here = Path.cwd()
        trees = [folder.resolve() for folder in settings.reload_dirs]
        self._env_file = settings.env_file and settings.env_file.resolve()
        env_folder, env_name = ([self._env_file.parent], [self._env_file.name]) if self._env_file else ([], [])
        folders = [folder for folder in {self._here, *env_folder} if folder not in trees]
        self.packages = Packages(site_folders())
        included = included_folders(settings.reload_includes, trees)
        included_trees = [folder.path for folder in included if folder.is_tree]
        folders_of_files = [*folders, *(folder.path for folder in included if not folder.is_tree)]
        # Watched first and read then, so that no change falls between.
        self.watcher = Watcher([*trees, *included_trees], [*folders_of_files, *self.packages.folders])
        includes = (*INCLUDES, *settings.reload_includes, *env_name)
        self.sources = Sources(trees, folders, includes, settings.reload_excludes)

    @property
    def again_in(self) -> float | None:
        """Seconds until the files are to be looked at although the watcher may have nothing to tell; None if not."""
        unfinished = None if self.sources.is_complete else _UNFINISHED
        return min((one for one in (unfinished, self.watcher.again_in) if one is not None), default=None)

    def environment(self, changed: Iterable[Path]) -> str:
        """Return the name of the file of --env-file if it is among these."""
        return report.name(self._env_file) if self._env_file and self._env_file in set(changed) else ""

    def follow(self, record: Record) -> set[Path]:
        """Watch what the application has read while it was imported; return what has changed since."""
        return self._follow(record.watched)

    def follow_files(self, names: Iterable[str]) -> None:
        """Notice when one of these files is edited."""
        self._follow({name: signature(name) for name in names})

    def _follow(self, signatures: dict[str, list[int]]) -> set[Path]:
        places = {path: is_folder(path) for path in map(Path, signatures)}
        # Elsewhere, only what was there: for what was not, one would have to watch folders such as /tmp.
        followed = {path for path in places if self._is_near(path) or (signatures[str(path)] and not places[path])}
        for folder in {path if places[path] else path.parent for path in followed}:
            self.watcher.add_folder(folder)
        return self.sources.follow({str(path): signatures[str(path)] for path in followed})

    def _is_near(self, path: Path) -> bool:
        """Tell whether it lies in the working directory or a reload folder, hidden or not."""
        return any(folder in path.parents for folder in (self._here, *self.sources.trees))
