"""Every overlay, rendered once from a copy of k8s/ that has passwords; the working tree stays as it is."""

import shutil
from pathlib import Path

import pytest

from tests.manifests.manifests import Manifest, render

TREE = Path(__file__).parents[2] / "k8s"
PASSWORDS = "".join(f"{name}_password=for-rendering-only\n" for name in ("postgres", "migrate", "app"))


@pytest.fixture(scope="session")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a copy of k8s/ that renders."""
    copy = tmp_path_factory.mktemp("manifests") / "k8s"
    shutil.copytree(TREE, copy, ignore=shutil.ignore_patterns("database.env", "__pycache__"))
    (copy / "components" / "generated-secret" / "database.env").write_text(PASSWORDS)
    return copy


@pytest.fixture(scope="session")
def rendered(tree: Path) -> dict[str, list[Manifest]]:
    """Return the objects of the base and of every overlay, by its name."""
    overlays = {path.parent.name: path.parent for path in tree.glob("overlays/*/kustomization.yaml")}
    return {name: render(path) for name, path in {"base": tree / "base", **overlays}.items()}
