"""What browser-reload tells browsers through nginx, from two replicas of everything."""

import asyncio
import hashlib
import os
import re
import socket
from pathlib import Path

import pytest

from frontend.browser_reload import server, watcher
from frontend.browser_reload.server import Server
from frontend.browser_reload.watcher import Address, Watcher
from frontend.tests.fake_api import FRONTEND
from frontend.tests.nginx_process import PATIENCE, SERVED, assert_security_headers, reserved_port, running_nginx
from frontend.tests.replicas import CODE, FAILURE, NEWER_CODE, Replicas, running_replicas

pytestmark = pytest.mark.nginx

DOCKER = Path(__file__).parents[2] / "docker"
SCRIPT = b'<script src="/_dev/reload.js" type="module"></script>'


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def watching(replicas: Replicas) -> Watcher:
    """Return a watcher of all replicas in this process, where its intervals can be changed."""
    return Watcher(
        [("127.0.0.1", backend.server_port) for backend in replicas.backends],
        [("127.0.0.1", frontend.port) for frontend in replicas.frontends],
    )


class TestStates:
    def test_come_at_once_and_through_nginx_unbuffered(self, replicas: Replicas) -> None:
        states = replicas.states()
        assert states.response.headers["Content-Type"] == "text/event-stream"
        states.until(code=CODE, files=replicas.files(), failure=None)

    def test_are_repeated_while_nothing_changes(self, replicas: Replicas, monkeypatch: pytest.MonkeyPatch) -> None:
        """So that silence, of which a browser cannot tell the cause, means a lost connection."""

        async def listen() -> list[bytes]:
            service = Server(watching(replicas))
            async with await asyncio.start_server(service.handle, "127.0.0.1", 0) as listener:
                reader, writer = await asyncio.open_connection(*listener.sockets[0].getsockname())
                writer.write(b"GET /_dev/events HTTP/1.1\r\n\r\n")
                await reader.readuntil(b"\r\n\r\n")
                # Before the pods have answered, other events may come.
                while not (first := await reader.readuntil(b"\n\n")).startswith(b"data: "):
                    pass
                events = [first, await reader.readuntil(b"\n\n")]
                service.close()
                writer.close()
            return events

        monkeypatch.setattr(server, "REPEAT_INTERVAL", 0.2)
        first, second = asyncio.run(listen())
        assert first == second
        assert CODE.encode() in second

    def test_name_code_that_every_replica_serves(self, replicas: Replicas) -> None:
        states = replicas.states()
        states.until(code=CODE)
        replicas.backends[0].code = NEWER_CODE
        states.until(code=None)
        replicas.backends[1].code = NEWER_CODE
        states.until(code=NEWER_CODE)

    def test_leave_out_replicas_that_do_not_answer(self, replicas: Replicas) -> None:
        states = replicas.states()
        states.until(code=CODE)
        replicas.backends[0].code = NEWER_CODE
        replicas.backends[1].code = None
        states.until(code=NEWER_CODE)
        replicas.backends[1].code = CODE
        states.until(code=None)

    def test_name_files_that_every_replica_serves(self, replicas: Replicas) -> None:
        states, before = replicas.states(), replicas.files()
        states.until(files=before)
        old, new = replicas.frontends
        (new.html / "style.css").write_text("/* new */")
        states.until(files=None)
        (old.html / "style.css").write_text("/* new */")
        states.until(files=before | {"style.css": digest("/* new */")})

    def test_tell_new_and_deleted_files(self, replicas: Replicas) -> None:
        states, before = replicas.states(), replicas.files()
        states.until(files=before)
        replicas.save("new.css", "/* new */")
        states.until(files=before | {"new.css": digest("/* new */")})
        for frontend in replicas.frontends:
            (frontend.html / "new.css").unlink()
        states.until(files=before)

    def test_tell_saves_of_one_size_and_one_time(self, replicas: Replicas) -> None:
        """What nginx tells of a file, its size and the second of its change, is the same for all of these."""
        states, before = replicas.states(), replicas.files()
        states.until(files=before)
        for text in ("/* 1 */", "/* 2 */", "/* 3 */"):
            replicas.save("style.css", text)
            for frontend in replicas.frontends:
                os.utime(frontend.html / "style.css", (1_000_000_000, 1_000_000_000))
            states.until(files=before | {"style.css": digest(text)})

    def test_leave_out_what_is_not_served(self, replicas: Replicas) -> None:
        for name in ("nginx.conf", "app.js.bak", ".hidden.js"):
            replicas.save(name, "secret")
        replicas.save("style.css", "/* new */")
        replicas.states().until(files=replicas.files())

    def test_carry_the_failure_of_any_replica(self, replicas: Replicas) -> None:
        states = replicas.states()
        states.until(failure=None)
        replicas.backends[1].failure = FAILURE
        replicas.backends[1].serving = False
        states.until(code=CODE, failure={"pod": "127.0.0.1", "serving": False, **FAILURE})
        replicas.backends[1].failure = None
        states.until(failure=None)

    def test_come_to_every_browser(self, replicas: Replicas) -> None:
        first, second = replicas.states(), replicas.states()
        for states in (first, second):
            states.until(code=CODE)
        replicas.serve(NEWER_CODE)
        for states in (first, second):
            states.until(code=NEWER_CODE)

    def test_come_again_after_a_restart(self, replicas: Replicas) -> None:
        states = replicas.states()
        states.until(code=CODE)
        replicas.service.stop()
        assert list(states) == []
        assert replicas.frontends[0].get("/_dev/events").status == 502
        replicas.service.start()
        replicas.states().until(code=CODE)

    def test_say_in_the_log_which_pod_cannot_be_watched(self) -> None:
        with running_replicas() as replicas:
            odd = replicas.backends[1]
            odd.status = lambda: b"<html>"  # type: ignore[method-assign]
            replicas.states().until(code=CODE)
            log = replicas.service.stop()
            assert re.findall(rf"127\.0\.0\.1:{odd.server_port} is not watched: .*<html>", log)
            assert log.count("not watched") == 1


class TestRest:
    def test_nothing_is_asked_without_a_listener(self, monkeypatch: pytest.MonkeyPatch) -> None:
        async def listen_twice(replicas: Replicas) -> None:
            states = watching(replicas)
            async with states.listening():
                await states.state_after(None)
                assert all(backend.watchers for backend in replicas.backends)
            for backend in replicas.backends:
                assert await asyncio.to_thread(backend.unwatched.wait, PATIENCE)
            replicas.serve(NEWER_CODE)
            async with states.listening():
                assert (await states.state_after(None)).code == NEWER_CODE

        monkeypatch.setattr(watcher, "LINGER", 0.2)
        with running_replicas() as replicas:
            asyncio.run(listen_twice(replicas))

    def test_a_page_that_reloads_interrupts_nothing(self, replicas: Replicas) -> None:
        with replicas.states() as states:
            states.until(code=CODE)
        before = [set(backend.watchers) for backend in replicas.backends]
        replicas.states().until(code=CODE)
        assert all(before)
        assert [backend.watchers for backend in replicas.backends] == before

    def test_listening_writes_nothing_into_the_log_of_nginx(self) -> None:
        with running_replicas() as replicas:
            states = replicas.states()
            states.until(code=CODE)
            replicas.save("style.css", "/* new */")
            states.until(files=replicas.files())
            replicas.frontends[0].get("/_dev/reload.js")
            replicas.service.stop()
            replicas.frontends[0].get("/_dev/events")
            replicas.frontends[0].get("/style.css")
            for frontend in replicas.frontends:
                frontend.process.terminate()
                frontend.process.wait(PATIENCE)
            paths = [[line["path"] for line in frontend.logged()] for frontend in replicas.frontends]
            assert paths == [["/style.css"], []]
            assert [frontend.errors() for frontend in replicas.frontends] == ["", ""]


class TestPods:
    """Names that stand for many pods, with a resolver on command."""

    def test_come_and_go_with_their_names(self, replicas: Replicas, monkeypatch: pytest.MonkeyPatch) -> None:
        first, second = ("127.0.0.1", replicas.backends[0].server_port), ("127.0.0.1", replicas.backends[1].server_port)
        found = {("backend-pods", 8000): {first}, ("frontend-pods", 8080): set[Address]()}

        async def resolve(address: Address) -> set[Address]:
            return found[address]

        async def follow() -> None:
            states = Watcher([("backend-pods", 8000)], [("frontend-pods", 8080)])
            async with asyncio.timeout(PATIENCE), states.listening():
                alone = await states.state_after(None)
                assert (alone.code, alone.files) == (CODE, None)
                found["backend-pods", 8000] = {first, second}
                differing = await states.state_after(alone)
                assert differing.code is None
                found["backend-pods", 8000] = {second}
                other = await states.state_after(differing)
                assert other.code == NEWER_CODE
                found["backend-pods", 8000] = set()
                assert (await states.state_after(other)).code is None

        replicas.backends[1].code = NEWER_CODE
        monkeypatch.setattr(watcher, "resolve", resolve)
        monkeypatch.setattr(watcher, "FIND_INTERVAL", 0.01)
        asyncio.run(follow())

    def test_a_name_means_all_its_addresses(self, monkeypatch: pytest.MonkeyPatch) -> None:
        found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (f"10.244.0.{n}", 8000)) for n in (5, 6)]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
        expected = {("10.244.0.5", 8000), ("10.244.0.6", 8000)}
        assert asyncio.run(watcher.resolve(("backend-pods", 8000))) == expected

    def test_an_unknown_name_means_none(self) -> None:
        assert asyncio.run(watcher.resolve(("name.invalid", 8000))) == set()


class TestScript:
    def test_stands_in_every_page(self, replicas: Replicas) -> None:
        for name in ("index.html", "404.html"):
            page = replicas.frontends[0].get(f"/{name}")
            assert page.body == (FRONTEND / name).read_bytes().replace(b"<head>", b"<head>" + SCRIPT)
            assert page.body.count(SCRIPT) == 1
            assert_security_headers(page)
        assert SCRIPT in replicas.frontends[0].get("/nothing").body

    @pytest.mark.parametrize("name", ("app.js", "style.css", "favicon.svg"))
    def test_stands_in_nothing_else(self, replicas: Replicas, name: str) -> None:
        assert replicas.frontends[0].get(f"/{name}").body == (FRONTEND / name).read_bytes()

    def test_comes_also_without_the_service(self, replicas: Replicas) -> None:
        replicas.service.stop()
        reply = replicas.frontends[0].get("/_dev/reload.js")
        assert reply.body == (FRONTEND / "browser_reload" / "client.js").read_bytes()
        assert reply.headers["Content-Type"] == "text/javascript; charset=utf-8"
        assert_security_headers(reply)

    @pytest.mark.parametrize(
        "target", ("", "client.js", "server.py", "files/nginx.conf", "files/browser_reload/client.js")
    )
    def test_other_addresses_are_not_found(self, replicas: Replicas, target: str) -> None:
        assert replicas.frontends[0].get(f"/_dev/{target}").status == 404


class TestNginx:
    @pytest.mark.parametrize("name", SERVED)
    def test_sends_the_newest_file_whatever_its_time_and_size(self, replicas: Replicas, name: str) -> None:
        headers = replicas.frontends[0].get(f"/{name}").headers
        assert headers["ETag"] is None
        modified = headers["Last-Modified"] or "Thu, 01 Jan 2099 00:00:00 GMT"
        assert replicas.frontends[0].get(f"/{name}", If_Modified_Since=modified).status == 200

    def test_serves_the_page_without_the_service(self, replicas: Replicas) -> None:
        replicas.service.stop()
        assert replicas.frontends[0].get("/").status == 200
        assert replicas.frontends[0].get("/_dev/events").status == 502

    def test_of_production_has_nothing_of_it(self) -> None:
        with reserved_port() as port, running_nginx(port) as nginx:
            for target in ("reload.js", "events", "files/", "files/app.js"):
                assert nginx.get(f"/_dev/{target}").status == 404
            assert nginx.get("/").body == (FRONTEND / "index.html").read_bytes()
            assert b"_dev" not in nginx.get("/nothing").body


class TestImages:
    @pytest.mark.parametrize(
        ("dockerfile", "stage"),
        (("frontend.Dockerfile", "runtime"), ("backend.Dockerfile", "runtime"), ("backend.Dockerfile", "migrate")),
    )
    def test_of_production_have_nothing_of_it(self, dockerfile: str, stage: str) -> None:
        assert not [line for line in instructions(dockerfile, stage) if "browser" in line or "server.d" in line]

    @pytest.mark.parametrize(
        ("dockerfile", "stage"), (("frontend.Dockerfile", "dev"), ("backend.Dockerfile", "browser-reload"))
    )
    def test_of_development_have_it(self, dockerfile: str, stage: str) -> None:
        assert [line for line in instructions(dockerfile, stage) if line.startswith("COPY frontend/browser_reload/")]


def instructions(dockerfile: str, stage: str) -> list[str]:
    """Return what a stage is made of: its own lines, and those of the stages that it starts from or copies from."""
    lines = (DOCKER / dockerfile).read_text().splitlines()
    starts = {line.split()[3]: number for number, line in enumerate(lines) if line.startswith("FROM ")}
    start = starts[stage]
    end = min((number for number in starts.values() if number > start), default=len(lines))
    own = lines[start:end]
    others = {line.split()[1] for line in own if line.startswith("FROM ")}
    others |= {line.split()[1].removeprefix("--from=") for line in own if line.startswith("COPY --from=")}
    return [*own, *(line for other in sorted(others & starts.keys()) for line in instructions(dockerfile, other))]
