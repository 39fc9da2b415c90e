"""Which folders packages are installed into, and what is installed there."""

import shutil
import sys
from pathlib import Path

import pytest

from warmfork.parent.packages import Packages, site_folders


def test_folders_for_packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    empty, other, plain = tmp_path / "site-packages", tmp_path / "target", tmp_path / "plain"
    for folder in (empty, other / "library.dist-info", plain):
        folder.mkdir(parents=True)
    monkeypatch.setattr(sys, "path", ["", str(plain), str(other), str(empty), str(tmp_path / "missing")])
    assert site_folders() == [empty, other]


def test_first_package_is_noticed_and_the_end_of_all(tmp_path: Path) -> None:
    packages = Packages([tmp_path / "site-packages"])
    assert packages.changes() == []
    entry = tmp_path / "site-packages" / "library-1.0.dist-info"
    entry.mkdir(parents=True)
    assert packages.concerns(entry)
    assert not packages.concerns(entry.with_name("library"))
    assert packages.changes() == ["library-1.0"]
    installed = Packages([entry.parent])
    # An entry that is renamed away while it is looked at.
    (entry.parent / "broken.dist-info").symlink_to("missing")
    assert installed.changes() == []
    shutil.rmtree(entry.parent)
    assert installed.changes() == ["library-1.0"]
