"""What a running Tilt says, and what it can be told.

Objects come from its API server, by the credentials that it writes for `tilt get`. Log lines come from the stream that
`tilt logs` reads as well: read directly, it has numbers and exact times.
"""

import asyncio
import base64
import json
import os
import ssl
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import yaml
from websockets.asyncio.client import connect
from websockets.exceptions import WebSocketException

_API = "/apis/tilt.dev/v1alpha1"
# Seconds. Tilt answers from memory.
_PATIENCE = 10.0
# Bytes. The first message of the log stream holds all that Tilt keeps, 2 MB and what JSON adds.
_LONGEST_MESSAGE = 64 << 20
# Under this name Tilt keeps the credentials of the one that listens here; others have their port in the name.
_USUAL_PORT = 10350


class AwayError(Exception):
    """Tilt does not answer; the text says how that shows."""


class RefusedError(Exception):
    """Tilt has refused an action; the text is its own."""


class Tilt:
    """A Tilt on this machine, which may come and go."""

    def __init__(self, port: int, folder: Path | None = None) -> None:
        """port: of its web server. folder: where it keeps its credentials."""
        self.port = port
        self._folder = folder or Path(os.environ.get("TILT_DEV_DIR") or Path.home() / ".tilt-dev")

    async def objects(self, kind: str) -> AsyncIterator[tuple[str, dict[str, Any]]]:
        """Yield ("ALL", list of what there is), then ("ADDED", "MODIFIED" or "DELETED", object) for ever.

        kind: a plural, such as "uiresources". Raises AwayError.
        """
        try:
            async with self._client() as client:
                listed = (await client.get(f"{_API}/{kind}")).raise_for_status().json()
                yield "ALL", listed
                version = listed["metadata"]["resourceVersion"]
                parameters = {"watch": "true", "resourceVersion": version}
                async with client.stream("GET", f"{_API}/{kind}", params=parameters, timeout=None) as events:
                    async for line in events.raise_for_status().aiter_lines():
                        event = json.loads(line)
                        if event["type"] == "ERROR":
                            raise AwayError(f"it ended the watch of {kind}: {event['object'].get('message')}")
                        yield event["type"], event["object"]
        except (httpx.HTTPError, ssl.SSLError, OSError, ValueError, KeyError) as error:
            raise AwayError(str(error) or type(error).__name__) from error
        raise AwayError(f"it ended the watch of {kind}")

    async def views(self) -> AsyncIterator[dict[str, Any]]:
        """Yield the messages of the log stream, the first with all that Tilt keeps. Raises AwayError."""
        address = f"127.0.0.1:{self.port}"
        try:
            token = (self._folder / "token").read_text().strip()
            async with httpx.AsyncClient(timeout=_PATIENCE, trust_env=False) as client:
                answer = await client.get(f"http://{address}/api/websocket_token", headers={"X-Tilt-Token": token})
                ticket = answer.raise_for_status().text
            async with connect(
                f"ws://{address}/ws/view?csrf={ticket}", max_size=_LONGEST_MESSAGE, compression=None, proxy=None
            ) as stream:
                async for message in stream:
                    yield json.loads(message)
        except (httpx.HTTPError, WebSocketException, OSError, ValueError) as error:
            raise AwayError(str(error) or type(error).__name__) from error
        raise AwayError("it ended the log stream")

    async def run(self, action: str, resource: str) -> None:
        """Run `tilt trigger`, `tilt enable` or `tilt disable`. Raises RefusedError."""
        command = ["tilt", action, "--port", str(self.port), "--", resource]
        try:
            process = await asyncio.create_subprocess_exec(
                *command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
            )
            async with asyncio.timeout(_PATIENCE):
                output, _ = await process.communicate()
        except FileNotFoundError:
            raise RefusedError("tilt is not on the PATH: make doctor") from None
        except TimeoutError:
            process.kill()
            raise RefusedError(f"tilt {action} did not end within {_PATIENCE:.0f} s") from None
        if process.returncode:
            raise RefusedError(output.decode(errors="replace").strip() or f"tilt {action} failed")

    async def press(self, button: str) -> None:
        """Press one of the buttons that the Tiltfile defines. Raises RefusedError."""
        path = f"{_API}/uibuttons/{button}"
        try:
            async with self._client() as client:
                found = (await client.get(path)).raise_for_status().json()
                found.setdefault("status", {})["lastClickedAt"] = datetime.now(UTC).isoformat(timespec="microseconds")
                found["status"]["inputs"] = [_default(entry) for entry in found["spec"].get("inputs") or []]
                (await client.put(f"{path}/status", json=found)).raise_for_status()
        except (AwayError, httpx.HTTPError, OSError, ValueError) as error:
            raise RefusedError(f"the button {button} cannot be pressed: {error}") from error

    def _client(self) -> httpx.AsyncClient:
        """Return a client of the API server. Raises AwayError when Tilt has never run."""
        file = self._folder / "config"
        name = "tilt-default" if self.port == _USUAL_PORT else f"tilt-{self.port}"
        try:
            written = yaml.safe_load(file.read_text())
            (cluster,) = [one["cluster"] for one in written["clusters"] if one["name"] == name]
            (user,) = [one["user"] for one in written["users"] if one["name"] == name]
            authority = base64.b64decode(cluster["certificate-authority-data"]).decode()
            trusted = ssl.create_default_context(cadata=authority)
            # Its certificate, made anew at each start, is not as strict as newer versions of Python want it.
            trusted.verify_flags &= ~ssl.VERIFY_X509_STRICT
            return httpx.AsyncClient(
                base_url=cluster["server"],
                headers={"Authorization": f"Bearer {user['token']}"},
                verify=trusted,
                timeout=_PATIENCE,
                trust_env=False,
            )
        except (OSError, KeyError, TypeError, ValueError, yaml.YAMLError) as error:
            raise AwayError(f"{file} has no credentials: {error}") from error


def _default(entry: Mapping[str, Any]) -> dict[str, Any]:
    """Return the answer to one of a button's questions that stands there already."""
    for kind in ("text", "bool", "hidden", "choice"):
        if kind in entry:
            asked = entry[kind]
            choices = asked.get("choices") or [""]
            value = asked.get("value", asked.get("defaultValue", choices[0] if kind == "choice" else ""))
            return {"name": entry["name"], kind: {"value": value}}
    return {"name": entry["name"]}
