"""An edit of every kind reaches the answers, however it is saved, and nothing else causes a reload."""

import os
import shutil
import signal
import time
from pathlib import Path

import pytest

from http_connection import Answer, request
from sample_project import Project, Save, atomically, in_place, slowly
from warmfork_server import NEW_PROGRAM, Serve, Server


def post(server: Server, path: str, body: bytes) -> Answer:
    with server.connect() as connection:
        connection.send(request(path, "Content-Type: application/json", method="POST", body=body))
        return connection.answer()


def create(server: Server) -> dict[str, object]:
    """Create an item and return its columns."""
    answer = post(server, "/items", b'{"title": "tea"}')
    assert answer.status == 200, answer.text
    columns: dict[str, object] = answer.json
    return columns


@pytest.mark.core
def test_function_body(shop: Project, serve: Serve) -> None:
    server = serve(shop, prefix=NEW_PROGRAM)
    assert server.text("/version") == "0"
    for number, shop.save in enumerate((atomically, in_place), start=1):
        shop.replace("routers/meta.py", f"return {number - 1}", f"return {number}")
        server.until_text(str(number), "/version")
        server.until_reloads(number)
    assert server.reloaded_files() == ["shop/routers/meta.py"] * 2


def test_route_added_and_removed(shop: Project, serve: Serve) -> None:
    server = serve(shop)
    before = shop.path("routers/meta.py").read_text()
    shop.append("routers/meta.py", '\n\n@router.get("/new")\ndef new() -> str:\n    return "new"\n')
    server.until("the route is there", lambda: server.get("/new").status == 200)
    shop.write("routers/meta.py", before)
    server.until("the route is gone", lambda: server.get("/new").status == 404)


def test_dependency(shop: Project, serve: Serve) -> None:
    server = serve(shop)
    shop.replace("dependencies.py", "return 10", "return 20")
    server.until_text("20", "/page-size")


def test_model_field(shop: Project, serve: Serve) -> None:
    server = serve(shop)
    shop.append("schemas.py", '    unit: str = "piece"\n')
    server.until("the field is there", lambda: post(server, "/drafts", b'{"title": "tea"}').json.get("unit") == "piece")
    shop.replace("schemas.py", "unit: str", "unit: int")
    server.until("its type is new", lambda: post(server, "/drafts", b'{"title": "tea", "unit": "x"}').status == 422)


def test_table_column_and_second_edit(shop: Project, serve: Serve) -> None:
    server = serve(shop)
    shop.append("models.py", "    price: int = 7\n")
    server.until("the column is there", lambda: create(server).get("price") == 7)
    shop.append("models.py", "    stock: int = 3\n")
    server.until("the second one too", lambda: create(server).get("stock") == 3)
    assert create(server)["price"] == 7


def test_new_table(shop: Project, serve: Serve) -> None:
    server = serve(shop)
    shop.append(
        "models.py",
        "\n\nclass Order(SQLModel, table=True):\n    id: int | None = Field(default=None, primary_key=True)\n",
    )
    server.until_text('["item","order","owner"]', "/tables")


def test_setting_behind_a_cache(shop: Project, serve: Serve) -> None:
    server = serve(shop)
    assert server.text("/settings") == '{"greeting":"hello","currency":"EUR"}'
    shop.replace("settings.py", '"hello"', '"welcome"')
    server.until_text('{"greeting":"welcome","currency":"EUR"}', "/settings")


@pytest.mark.parametrize("save", (atomically, in_place), ids=("atomic", "in_place"))
def test_module_created_after_the_start(save: Save, tiny: Project, serve: Serve) -> None:
    tiny.save = save
    server = serve(tiny)
    tiny.write("number.py", "NUMBER = 1\n")
    tiny.write("version.py", "from tiny.number import NUMBER as VERSION\n")
    server.until_text("1")
    for number in (2, 3):
        tiny.write("number.py", f"NUMBER = {number}\n")
        server.until_text(str(number))


def test_environment_file_in_the_working_directory(shop: Project, serve: Serve) -> None:
    server = serve(shop)
    environment = shop.directory / ".env"
    # An application may read its settings as late as with the first request.
    assert server.text("/settings") == '{"greeting":"hello","currency":"EUR"}'
    reloads = 0
    for save in (atomically, in_place):
        for greeting in ("created", "changed"):
            save(environment, f"GREETING={greeting}\n")
            reloads += 1
            server.until_reloads(reloads)
            assert server.text("/settings") == f'{{"greeting":"{greeting}","currency":"EUR"}}'
        environment.unlink()
        reloads += 1
        server.until_reloads(reloads)
        assert server.text("/settings") == '{"greeting":"hello","currency":"EUR"}'
    assert server.reloaded_files() == [".env"] * 6


def test_environment_file_and_module_at_once(shop: Project, serve: Serve) -> None:
    """What is prepared for the next edit of a module must not hold settings that were read before it."""
    server = serve(shop)
    environment = shop.directory / ".env"
    for number in range(1, 6):
        shop.save(environment, f"GREETING=number {number}\n")
        shop.replace("routers/meta.py", f"return {number - 1}", f"return {number}")
        server.until_text(str(number), "/version")
        server.until_text(f'{{"greeting":"number {number}","currency":"EUR"}}', "/settings")


def test_included_files(tiny: Project, serve: Serve) -> None:
    server = serve(tiny, "--reload-include", "*.html", "--reload-include", "names.txt")
    tiny.write("page.html", "new")
    server.until("the page is reported", lambda: server.reloaded_files() == ["tiny/page.html"])
    # In the working directory too.
    atomically(tiny.directory / "names.txt", "new")
    server.until("the names are reported", lambda: server.reloaded_files() == ["tiny/page.html", "names.txt"])


def test_excluded_files(tiny: Project, serve: Serve) -> None:
    server = serve(tiny, "--reload-exclude", "generated_*.py")
    tiny.write("generated_table.py", "TABLE = 1\n")
    assert_next_reload_is_of_one_file(tiny, server)


OTHER_FILES = (
    "notes.txt",
    "template.html",
    ".main.py.swp",
    ".main.py.swx",
    "main.py~",
    "4913",
    "#main.py#",
    ".#main.py",
    ".main.py.1c0ffee.tmp",
    "main.py___jb_tmp___",
    "__pycache__/main.cpython-312.pyc",
)


@pytest.mark.core
def test_other_files_are_ignored(tiny: Project, serve: Serve) -> None:
    server = serve(tiny)
    for name in OTHER_FILES:
        tiny.path(name).parent.mkdir(exist_ok=True)
        in_place(tiny.path(name), "nothing for Python")
    assert_next_reload_is_of_one_file(tiny, server)
    for name in OTHER_FILES:
        tiny.path(name).unlink()
    assert_next_reload_is_of_one_file(tiny, server)


def test_lock_of_emacs_is_ignored(tiny: Project, serve: Serve) -> None:
    server = serve(tiny)
    tiny.path(".#main.py").symlink_to("someone@somewhere.1234")
    assert_next_reload_is_of_one_file(tiny, server)


def test_unchanged_content_is_ignored(tiny: Project, serve: Serve) -> None:
    server = serve(tiny)
    for save in (atomically, in_place):
        save(tiny.path("main.py"), tiny.path("main.py").read_text())
    tiny.path("main.py").touch()
    tiny.path("main.py").chmod(0o600)
    assert_next_reload_is_of_one_file(tiny, server)


def assert_next_reload_is_of_one_file(tiny: Project, server: Server) -> None:
    """Show that what was done before is no reason for a reload, by a save that is one."""
    reloads = len(server.reloaded_files())
    version = int(server.text())
    tiny.replace("version.py", str(version), str(version + 1))
    server.until_text(str(version + 1))
    server.until_reloads(reloads + 1)
    assert server.reloaded_files()[reloads:] == ["tiny/version.py"]


def test_several_reload_directories(tiny: Project, serve: Serve) -> None:
    library = tiny.directory.with_name("library")
    library.mkdir()
    atomically(library / "catalogue.py", "VERSION = 1\n")
    tiny.write("version.py", "from catalogue import VERSION\n")
    server = serve(tiny, "--reload-dir", "tiny", "--reload-dir", str(library), python_path=[library])
    assert server.text() == "1"
    atomically(library / "catalogue.py", "VERSION = 2\n")
    server.until_text("2")


def test_working_directory_is_the_default(tiny: Project, serve: Serve) -> None:
    server = serve(tiny, "--reload-dir", ".")
    tiny.replace("version.py", "0", "1")
    server.until_text("1")
    server.until_reloads(1)
    assert server.reloaded_files() == ["tiny/version.py"]


def test_reload_directory_behind_a_link(tiny: Project, serve: Serve) -> None:
    elsewhere = tiny.directory.with_name("elsewhere")
    tiny.path("").rename(elsewhere)
    tiny.path("").symlink_to(elsewhere)
    server = serve(tiny)
    tiny.replace("version.py", "0", "1")
    server.until_text("1")
    in_place(elsewhere / "version.py", "VERSION = 2\n")
    server.until_text("2")


def test_linked_module(tiny: Project, serve: Serve) -> None:
    for name in ("blue", "green"):
        tiny.write(f"{name}.py", f'VERSION = "{name}"\n')
    link = tiny.path("version.py")
    link.unlink()
    link.symlink_to("blue.py")
    server = serve(tiny)
    assert server.text() == "blue"
    tiny.write("blue.py", 'VERSION = "navy"\n')
    server.until_text("navy")
    # As `ln --symbolic --force` does it.
    tiny.path("new").symlink_to("green.py")
    tiny.path("new").rename(link)
    server.until_text("green")
    in_place(tiny.path("green.py"), 'VERSION = "olive"\n')
    server.until_text("olive")


def test_slow_save_is_one_reload(tmp_path: Path, serve: Serve) -> None:
    project = Project(tmp_path / "project", "tiny", slowly)
    server = serve(project)
    for version in range(1, 9):
        project.replace("version.py", str(version - 1), str(version))
        server.until_text(str(version))
    server.until_reloads(8)
    assert server.reports("not reloaded") == []


def test_save_that_begins_right_after_another(tiny: Project, serve: Serve) -> None:
    """What is half written is not looked at, though the save before it is reported."""
    server = serve(tiny)
    server.signal(signal.SIGSTOP)
    tiny.path("version.py").write_text("VERSION = 1\n")
    with tiny.path("version.py").open("w") as file:
        file.write("VERSION = (")
        file.flush()
        server.signal(signal.SIGCONT)
        # That is noticed later than the first save of the other file.
        tiny.write("main.py", tiny.path("main.py").read_text() + "# the end\n")
        server.until_reloads(1)
        assert server.text() == "0"
        file.write("2)\n")
    server.until_text("2")
    assert server.reports("not reloaded") == []


def as_an_archive(path: Path, text: str) -> None:
    """Write beside the file, set the time of its last change, then rename: tar, rsync --times, cp --preserve."""
    beside = path.with_name(f"{path.name}.part")
    beside.write_text(text)
    os.utime(beside, (0, 0))
    beside.rename(path)


def test_saves_of_one_size_and_time(tmp_path: Path, serve: Serve) -> None:
    """Bytecode files, which compare sizes and whole seconds, would hide every second one."""
    project = Project(tmp_path / "project", "tiny", as_an_archive)
    server = serve(project)
    for version in range(1, 10):
        project.replace("version.py", str(version - 1), str(version))
        server.until_text(str(version))


def test_burst_of_saves_ends_at_the_last(shop: Project, serve: Serve) -> None:
    server = serve(shop)
    for version in range(40):
        shop.save = atomically if version < 20 else in_place
        shop.replace("routers/meta.py", f"return {version}", f"return {version + 1}")
        time.sleep(0.03)
    server.until_text("40", "/version")
    server.until("the last reload is reported", lambda: 1 <= len(server.reloaded_files()) <= 40)
    assert server.reports("not reloaded") == []
    assert server.text("/version") == "40"


def test_more_changes_than_the_kernel_remembers(tiny: Project, serve: Serve) -> None:
    """The queue overflows while the parent does not look, and the changes after that are lost."""
    tiny.write("spare.py", "")
    tiny.append("version.py", "try:\n    from tiny import spare\nexcept ImportError:\n    VERSION = 'without'\n")
    server = serve(tiny)
    limit = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())
    server.signal(signal.SIGSTOP)
    noise = (tiny.path("one"), tiny.path("other"))
    for number in range(limit + 1):
        # Equal events in a row count once.
        noise[number % 2].write_text("")
    tiny.path("spare.py").unlink()
    server.signal(signal.SIGCONT)
    server.until_text("without")
    # What is watched is still watched.
    tiny.write("version.py", "VERSION = 2\n")
    server.until_text("2")


def test_deleted_module(shop: Project, serve: Serve) -> None:
    server = serve(shop)
    before = shop.path("main.py").read_text()
    shop.write("main.py", before.replace("items, ", "").replace("app.include_router(items.router)\n", ""))
    shop.path("routers/items.py").unlink()
    server.until("its routes are gone", lambda: server.get("/tables").status == 404)
    assert server.text("/version") == "0"


def test_deleted_module_that_is_still_imported(tiny: Project, serve: Serve) -> None:
    server = serve(tiny)
    text = tiny.path("version.py").read_text()
    tiny.path("version.py").unlink()
    server.until_reported("tiny/version.py: not reloaded, the old code serves on$")
    assert "ModuleNotFoundError: No module named 'tiny.version'" in server.log
    assert server.text() == "0"
    tiny.write("version.py", text.replace("0", "1"))
    server.until_text("1")


def test_renamed_module(shop: Project, serve: Serve) -> None:
    server = serve(shop)
    shop.path("routers/meta.py").rename(shop.path("routers/about.py"))
    main = shop.path("main.py").read_text()
    shop.write("main.py", main.replace("meta", "about"))
    server.until_reported("main.py.*: reloaded")
    shop.replace("routers/about.py", "return 0", "return 1")
    server.until_text("1", "/version")


def test_new_subpackage(tiny: Project, serve: Serve) -> None:
    """Files that are written while their new folder is not watched yet must not be missed."""
    server = serve(tiny)
    for version in range(1, 21):
        package = tiny.path(f"release_{version}")
        (package / "deep").mkdir(parents=True)
        (package / "__init__.py").touch()
        (package / "deep" / "__init__.py").write_text("VERSION = 0\n")
        tiny.write("version.py", f"from tiny.release_{version}.deep import VERSION\n")
        (package / "deep" / "__init__.py").write_text(f"VERSION = {version}\n")
        server.until_text(str(version))


def test_subpackage_that_was_made_elsewhere(tiny: Project, serve: Serve) -> None:
    server = serve(tiny)
    elsewhere = tiny.directory / "release"
    elsewhere.mkdir()
    (elsewhere / "__init__.py").write_text("VERSION = 1\n")
    tiny.write("version.py", "from tiny.release import VERSION\n")
    server.until_reported("not reloaded")
    elsewhere.rename(tiny.path("release"))
    server.until_text("1")
    tiny.write("release/__init__.py", "VERSION = 2\n")
    server.until_text("2")


@pytest.mark.parametrize("folder", ("release", ""), ids=("package below", "reload directory"))
def test_package_moved_away_and_back(folder: str, tiny: Project, serve: Serve) -> None:
    tiny.path("release").mkdir()
    tiny.write("release/__init__.py", "VERSION = 1\n")
    tiny.write("version.py", "from tiny.release import VERSION\n")
    server = serve(tiny)
    away = tiny.directory / "away"
    tiny.path(folder).rename(away)
    server.until_reported(": not reloaded, the old code serves on$")
    assert server.text() == "1"
    away.rename(tiny.path(folder))
    tiny.write("release/__init__.py", "VERSION = 2\n")
    server.until_text("2")


@pytest.mark.parametrize("folder", ("release", ""), ids=("package below", "reload directory"))
def test_package_deleted_and_made_anew(folder: str, tiny: Project, serve: Serve) -> None:
    tiny.path("release").mkdir()
    tiny.write("release/__init__.py", "VERSION = 1\n")
    tiny.write("version.py", "from tiny.release import VERSION\n")
    server = serve(tiny)
    other = tiny.directory / "other"
    shutil.copytree(tiny.path(folder), other)
    shutil.rmtree(tiny.path(folder))
    server.until_reported(": not reloaded, the old code serves on$")
    assert server.text() == "1"
    shutil.copytree(other, tiny.path(folder))
    tiny.write("release/__init__.py", "VERSION = 2\n")
    server.until_text("2")
