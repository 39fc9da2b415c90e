import platform
from pathlib import Path

import pytest

from devenv import versions
from devenv.registry import programs

MODULES = {
    "kind": (programs.KIND, "sigs.k8s.io/kind"),
    "kubectl": (programs.KUBERNETES, "k8s.io/kubernetes"),
    "tilt": (programs.TILT, "github.com/tilt-dev/tilt"),
    "ctlptl": (programs.CTLPTL, "github.com/tilt-dev/ctlptl"),
}


@pytest.mark.parametrize("tool", MODULES)
def test_downloaded_and_built_tools_are_of_one_version(tool: str) -> None:
    program, module = MODULES[tool]
    assert versions.release(tool).version == program.version(module)


@pytest.mark.parametrize(
    ("system", "machine", "expected"),
    (
        ("Linux", "x86_64", "tilt.0.37.7.linux.x86_64.tar.gz"),
        ("Linux", "aarch64", "tilt.0.37.7.linux.arm64.tar.gz"),
        ("Darwin", "arm64", "tilt.0.37.7.mac.arm64.tar.gz"),
    ),
)
def test_a_download_has_the_name_of_its_platform(
    system: str, machine: str, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(platform, "system", lambda: system)
    monkeypatch.setattr(platform, "machine", lambda: machine)
    address, sha256 = versions.release("tilt").download()
    assert Path(address).name == expected.replace("0.37.7", versions.release("tilt").version)
    assert len(sha256) == 64


@pytest.mark.parametrize("tool", MODULES)
def test_every_platform_has_its_checksum(tool: str) -> None:
    platforms = {f"{system}-{arch}" for system in ("linux", "darwin") for arch in ("amd64", "arm64")}
    assert set(versions.release(tool).sha256) == platforms


def test_a_platform_without_a_checksum_has_no_download(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "system", lambda: "Plan9")
    with pytest.raises(LookupError, match="plan9"):
        versions.release("kind").download()


@pytest.mark.parametrize(
    ("text", "numbers"), (("v1.36.3", (1, 36, 3)), ("0.37.7-dev", (0, 37, 7)), ("go1.26", (1, 26)), ("none", ()))
)
def test_numbers_of_a_version(text: str, numbers: tuple[int, ...]) -> None:
    assert versions.numbers(text) == numbers
