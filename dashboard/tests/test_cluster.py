"""The requests by which the dashboard sees whether the page answers."""

import asyncio

from dashboard.cluster import probe

STATUSES = {True: b"200 OK", False: b"404 Not Found"}


class Page:
    """Answers with the given successes in turn, and stays with the last; counts the connections."""

    def __init__(self, *answers: bool) -> None:
        self._answers = list(answers)
        self.connections = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while await reader.readuntil(b"\r\n\r\n"):
                answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
                writer.write(b"HTTP/1.1 %b\r\nContent-Length: 0\r\n\r\n" % STATUSES[answer])
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()


async def watch(page: Page, count: int) -> list[bool]:
    """Probe the page until so many requests are noted; return how they ended."""
    noted: list[bool] = []
    enough = asyncio.Event()

    def note(_: float, answered: bool) -> None:
        noted.append(answered)
        if len(noted) == count:
            enough.set()

    async with await asyncio.start_server(page.serve, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        probing = asyncio.create_task(probe(f"http://127.0.0.1:{port}/", lambda: True, note))
        async with asyncio.timeout(30):
            await enough.wait()
        probing.cancel()
        await asyncio.wait([probing])
    return noted[:count]


def test_a_connection_is_kept_while_it_is_good() -> None:
    page = Page(True)
    assert asyncio.run(watch(page, 3)) == [True, True, True]
    assert page.connections == 1


def test_after_an_error_the_page_is_asked_over_a_new_connection() -> None:
    page = Page(True, False, True)
    assert asyncio.run(watch(page, 4)) == [True, False, True, True]
    assert page.connections == 2


def test_nobody_there_is_no_failed_request() -> None:
    noted: list[bool] = []

    async def ask_a_closed_port() -> None:
        async with await asyncio.start_server(Page(True).serve, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
        pauses = asyncio.Semaphore(0)

        def is_urgent() -> bool:
            pauses.release()
            return True

        address = f"http://127.0.0.1:{port}/"
        probing = asyncio.create_task(probe(address, is_urgent, lambda _, answered: noted.append(answered)))
        async with asyncio.timeout(30):
            for _ in range(3):
                await pauses.acquire()
        probing.cancel()
        await asyncio.wait([probing])

    asyncio.run(ask_a_closed_port())
    assert noted == []
