"""What the pods and the page answer: the version that each pod serves, and whether requests succeed."""

import asyncio
import base64
import json
import ssl
import tempfile
import time
from collections.abc import Callable, Iterable
from typing import NoReturn

import httpx

# Seconds that one question may take; one to a pod that reloads waits for the new code.
_PATIENCE = 10.0
# Seconds between two requests to the page: usually, and while a save is under way.
_USUAL_PAUSE, _SHORT_PAUSE = 1.0, 0.1
_OK = 200


class Pods:
    """The pods of one cluster, asked through its API server: nothing listens for this."""

    def __init__(self, context: str, namespace: str, port: int) -> None:
        """context: of the kubeconfig. port: where the pods answer to /version."""
        self._context = context
        self._path = f"/api/v1/namespaces/{namespace}/pods/{{}}:{port}/proxy/version"
        self._client: httpx.AsyncClient | None = None

    async def codes(self, names: Iterable[str]) -> dict[str, str]:
        """Return the digest of the code that each pod serves; a pod that does not tell is left out."""
        listed = list(names)
        try:
            client = self._client = self._client or await self._connect()
            answers = await asyncio.gather(*(client.get(self._path.format(name)) for name in listed))
        except (httpx.HTTPError, OSError, ValueError, LookupError):
            # The next time, by what kubectl knows then: a new cluster has new credentials.
            if self._client:
                await self._client.aclose()
            self._client = None
            return {}
        return {name: code for name, answer in zip(listed, answers, strict=True) if (code := _code(answer))}

    async def _connect(self) -> httpx.AsyncClient:
        """Return a client with kubectl's credentials for the context. Raises OSError, ValueError, LookupError."""
        process = await asyncio.create_subprocess_exec(
            *("kubectl", "--context", self._context, "config", "view", "--raw", "--minify", "--output", "json"),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
        output, _ = await process.communicate()
        known = json.loads(output)
        cluster, user = known["clusters"][0]["cluster"], known["users"][0]["user"]
        trusted = ssl.create_default_context(cadata=_decode(cluster["certificate-authority-data"]).decode())
        # The standard library reads keys from files alone; this one is for this user's eyes, and gone at once.
        with tempfile.NamedTemporaryFile() as file:
            file.write(_decode(user["client-certificate-data"]) + _decode(user["client-key-data"]))
            file.flush()
            trusted.load_cert_chain(file.name)
        return httpx.AsyncClient(base_url=cluster["server"], verify=trusted, timeout=_PATIENCE, trust_env=False)


def _decode(data: str) -> bytes:
    return base64.b64decode(data)


def _code(answer: httpx.Response) -> str:
    try:
        return str(answer.json()["code"])
    except (ValueError, TypeError, KeyError):
        return ""


async def probe(address: str, is_urgent: Callable[[], bool], note: Callable[[float, bool], None]) -> NoReturn:
    """Ask an address again and again, and tell of each request when it was sent and whether it was answered with 200.

    A connection that cannot be opened is no failed request: nobody is there. note: takes milliseconds since 1970.
    """

    async def pause() -> None:
        await asyncio.sleep(_SHORT_PAUSE if is_urgent() else _USUAL_PAUSE)

    while True:
        async with httpx.AsyncClient(timeout=_PATIENCE, trust_env=False) as client:
            # A connection is kept while it is good: one that was made before the page was there may lead elsewhere.
            while await _is_answered(client, address, note):
                await pause()
        await pause()


async def _is_answered(client: httpx.AsyncClient, address: str, note: Callable[[float, bool], None]) -> bool:
    began = time.time() * 1000
    try:
        ok = (await client.get(address)).status_code == _OK
    except httpx.ConnectError:
        return False
    except httpx.HTTPError:
        ok = False
    note(began, ok)
    return ok
