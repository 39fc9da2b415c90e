"""The commands behind the Makefile's targets: python3 -m devenv COMMAND."""

import argparse
import os
import shutil
import signal
import sys
import tempfile
from pathlib import Path

from devenv import (
    backup,
    ci,
    cluster,
    credentials,
    dashboard,
    doctor,
    engine,
    job_summary,
    loop,
    paths,
    python,
    source,
    testbed,
    tools,
)
from devenv.failure import Failure
from devenv.lock import machine_lock
from devenv.process import interactive
from devenv.progress import run_steps, say
from devenv.registry import images, programs

# Registry-only mode keeps toolchains, caches and images; released parts are small.
_NEEDED_GIB = {source.REGISTRY: 20, source.RELEASE: 8}


def main() -> int:
    parser = argparse.ArgumentParser(prog="devenv", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    for name, function in _COMMANDS.items():
        command = commands.add_parser(name, help=(function.__doc__ or "").splitlines()[0])
        if name == "up":
            command.add_argument("tilt", nargs="*", help="arguments for the Tiltfile, after a double dash")
        if name == "restore":
            command.add_argument("file", type=Path, help="what `make backup` has written")
    words = sys.argv[1:]
    # What follows these belongs to the program that they run, options included.
    passed_on = words[1:] if words[:1] in (["python"], ["test"], ["test-steady"]) else []
    arguments = parser.parse_args(words[: len(words) - len(passed_on)], argparse.Namespace(arguments=passed_on))
    # Tools that devenv has brought come first, its engine's client only where there is no other.
    os.environ["PATH"] = os.pathsep.join([str(paths.BIN), os.environ.get("PATH", os.defpath), str(engine.BIN)])
    try:
        _require_folders()
        return _COMMANDS[arguments.command](arguments)
    except Failure as failure:
        print(failure, file=sys.stderr)
        job_summary.add(f"devenv {arguments.command}: FAILED", str(failure).splitlines())
        return 1
    except KeyboardInterrupt:
        print("\nInterrupted. The same command goes on where this one stopped.", file=sys.stderr)
        return 130


def _up(arguments: argparse.Namespace) -> int:
    """Prepare whatever is missing, start the cluster, run `tilt up` in the foreground"""
    _prepare()
    _start_dashboard()
    return loop.up(["--", *arguments.tilt] if arguments.tilt else [])


def _ci(_: argparse.Namespace) -> int:
    """Prepare whatever is missing, then `tilt ci` in a fresh namespace"""
    _prepare()
    return ci.verify()


def _prepare_only(_: argparse.Namespace) -> int:
    """Prepare whatever is missing, and start the cluster"""
    _prepare()
    return 0


def _prepare() -> None:
    with machine_lock():
        _require_disk()
        engine.ensure()
        tools.ensure()
        # Before there is a cluster, so that none is ever without: this may be interrupted at any time.
        credentials.require_known()
        credentials.write()
        cluster.ensure()


def _down(_: argparse.Namespace) -> int:
    """Stop Tilt, the dashboard, the cluster and an engine that devenv started; all data stay"""
    loop.stop()
    dashboard.stop()
    with machine_lock():
        if engine.is_running():
            if credentials.are_known():
                cluster.stop()
            else:
                say(f"{cluster.CONTEXT} runs on: another user of this machine has made it. make clean deletes it.")
        engine.stop()
    return 0


def _clean(_: argparse.Namespace) -> int:
    """Delete the cluster with its data, and the passwords"""
    say("This deletes the cluster, its database and its passwords. Tools and base images stay in the cache.")
    if sys.stdin.isatty() and input("Type yes to go on: ").strip() != "yes":
        return 1
    loop.stop()
    dashboard.stop()
    with machine_lock():
        engine.ensure()
        cluster.delete()
        credentials.forget()
        source.forget()
        shutil.rmtree(paths.CI_REPORT.parent, ignore_errors=True)
    return 0


def _status(_: argparse.Namespace) -> int:
    """What runs, as Tilt and the cluster see it"""
    dashboard.status()
    return loop.status()


def _dashboard(_: argparse.Namespace) -> int:
    """Start the dashboard, which `make up` starts as well"""
    _start_dashboard()
    dashboard.status()
    return 0


def _start_dashboard() -> None:
    _ensure_venv()
    dashboard.start()


def _logs(_: argparse.Namespace) -> int:
    """Follow the logs of all resources"""
    return loop.logs()


def _doctor(_: argparse.Namespace) -> int:
    """What is there, what is missing, versions, mode, disk"""
    return doctor.examine()


def _credentials(_: argparse.Namespace) -> int:
    """Write the database's passwords to where the manifests read them"""
    credentials.write()
    return 0


def _rotate(_: argparse.Namespace) -> int:
    """Give the database new passwords, and the application with it, without a pause"""
    credentials.rotate()
    return 0


def _backup(_: argparse.Namespace) -> int:
    """Write the loop's database to a file"""
    backup.backup()
    return 0


def _restore(arguments: argparse.Namespace) -> int:
    """Put a file that `make backup` has written in the place of the loop's database"""
    backup.restore(arguments.file)
    return 0


def _compose_env(_: argparse.Namespace) -> int:
    """Write docker/.env and bring what `docker compose` needs"""
    with machine_lock():
        _require_disk()
        engine.ensure()
        buildx = tools.plugin_step(programs.BUILDX, "buildx", "0.17")
        run_steps("Docker plugins", [buildx, tools.plugin_step(programs.COMPOSE, "compose", "2.30")])
        if source.source() == source.REGISTRY:
            run_steps("Images", images.stand_in_steps())
        credentials.write_for_compose()
    return 0


def _compose(arguments: argparse.Namespace) -> int:
    """The whole application in Docker Compose, without Kubernetes; Ctrl-C stops it, data stay"""
    _compose_env(arguments)
    port = os.environ.get("PORT") or "8080"
    cluster.require_free(int(port), "the page")
    return interactive(["docker", "compose", "--file", "docker/compose.yaml", "up", "--build"], cwd=paths.CHECKOUT)


def _env(_: argparse.Namespace) -> int:
    """Print what puts devenv's tools on a shell's PATH, for eval"""
    print(f'export PATH="{paths.BIN}:$PATH:{engine.BIN}"')
    return 0


def _python(arguments: argparse.Namespace) -> int:
    """Run Python 3.12 with the locked requirements; what follows are its arguments"""
    _ensure_venv()
    return _in_venv(arguments.arguments)


def _test(arguments: argparse.Namespace) -> int:
    """Run pytest with all that the tests drive; what follows are its arguments"""
    _prepare_tests()
    return _in_venv(["-m", "pytest", *arguments.arguments])


def _test_steady(arguments: argparse.Namespace) -> int:
    """Run the suites again and again, on busy cores and in other orders; what follows are the rounds, all by default"""
    _prepare_tests()
    return _in_venv(["-m", "tests.steady", *arguments.arguments])


def _prepare_tests() -> None:
    # In a shell's background job Ctrl-C is ignored, and would be by all that the tests start and interrupt.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    _ensure_venv()
    if not testbed.is_complete():
        with machine_lock():
            testbed.ensure()


def _dev(_: argparse.Namespace) -> int:
    """The application without containers: an embedded database, the backend with reload, the page"""
    _ensure_venv()
    return _in_venv(["-m", "dev"], cwd=paths.CHECKOUT / "backend")


def _ensure_venv() -> None:
    # What is there can be used while another run prepares the rest of the machine, which may take an hour.
    if not python.venv_step().is_done():
        with machine_lock():
            python.ensure_venv()


def _in_venv(arguments: list[str], cwd: Path = paths.CHECKOUT) -> int:
    folders = [paths.VENV / "bin", os.environ["PATH"], *testbed.folders()]
    path = {"PATH": os.pathsep.join(map(str, folders))}
    return interactive([python.venv_python(), *arguments], env=path, cwd=cwd)


def _require_folders() -> None:
    """Raise Failure where caches or state cannot be kept."""
    for folder, variable in ((paths.CACHE, "XDG_CACHE_HOME"), (paths.STATE, "XDG_STATE_HOME")):
        try:
            folder.mkdir(parents=True, exist_ok=True)
            # What a person may do is not told by modes alone.
            tempfile.TemporaryFile(dir=folder).close()
        except OSError as error:
            remedy = f"make it a folder that you can write to, or point {variable} to another"
            raise Failure(str(folder), error.strerror or str(error), remedy) from None


def _require_disk() -> None:
    # Asked first, so that a wrong setting is reported before anything starts.
    needed = _NEEDED_GIB[source.source()]
    # A prepared machine needs little more.
    if (paths.BIN / "kubectl").exists():
        return
    free = shutil.disk_usage(paths.CACHE).free / 2**30
    if free < needed:
        raise Failure(
            f"disk space under {paths.CACHE}",
            f"{free:.0f} GiB are free, {needed} GiB are needed",
            "free some, or point XDG_CACHE_HOME and XDG_STATE_HOME to another disk",
        )


_COMMANDS = {
    "up": _up,
    "ci": _ci,
    "prepare": _prepare_only,
    "down": _down,
    "clean": _clean,
    "status": _status,
    "dashboard": _dashboard,
    "logs": _logs,
    "doctor": _doctor,
    "credentials": _credentials,
    "rotate": _rotate,
    "backup": _backup,
    "restore": _restore,
    "compose": _compose,
    "compose-env": _compose_env,
    "env": _env,
    "python": _python,
    "test": _test,
    "test-steady": _test_steady,
    "dev": _dev,
}

if __name__ == "__main__":
    sys.exit(main())
