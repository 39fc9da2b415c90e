"""One file over HTTPS: checked, then put in its place; what is not whole or not right is never there.

Proxies and certificate authorities are those of the environment: HTTPS_PROXY, NO_PROXY, SSL_CERT_FILE.
"""

import hashlib
import http.client
import ssl
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

from devenv.failure import Failure
from devenv.process import Log

_CHUNK = 1 << 16
# Seconds without a byte.
_SILENCE = 60.0
_MIB = 1 << 20
_AGAIN = (
    "check the network, and HTTPS_PROXY where there is a proxy, then run the same command again; "
    "or do without release downloads: DEVENV_SOURCE=registry"
)


def download(address: str, sha256: str, target: Path, log: Log, unpack: Callable[[Path], bytes] | None = None) -> None:
    """Put what is at the address under the target's name, as a program.

    unpack: returns the program's content from the archive that was sent. Raises Failure with the cause when the server
    does not send it, or sends something else.
    """
    log.write(f"download {address}\n")
    target.parent.mkdir(parents=True, exist_ok=True)
    parts = target.with_name(f"{target.name}.part")
    try:
        found = _receive(address, parts, log)
        if found != sha256:
            raise Failure(
                f"download of {address}",
                f"its sha256 is {found}, not the pinned {sha256}: it is another file",
                "find out what answers there, a proxy or a changed release; the file was deleted",
            )
        if unpack:
            parts.write_bytes(unpack(parts))
        parts.chmod(0o755)
        parts.rename(target)
    finally:
        parts.unlink(missing_ok=True)


def _receive(address: str, target: Path, log: Log) -> str:
    """Write what the server sends, and return its sha256 in hexadecimal."""
    digest = hashlib.sha256()
    received = 0
    try:
        with urllib.request.build_opener().open(address, timeout=_SILENCE) as response, target.open("wb") as file:
            expected = int(response.headers.get("Content-Length") or 0)
            while chunk := response.read(_CHUNK):
                file.write(chunk)
                digest.update(chunk)
                received += len(chunk)
                log.remark = _progress(received, expected)
    except (OSError, http.client.HTTPException) as error:
        raise Failure(f"download of {address}", _cause(error), _remedy(error)) from error
    if received < expected:
        raise Failure(f"download of {address}", f"it ended after {received} of {expected} bytes", _AGAIN)
    return digest.hexdigest()


def _progress(received: int, expected: int) -> str:
    return f"{received / _MIB:.1f} of {expected / _MIB:.1f} MiB" if expected else f"{received / _MIB:.1f} MiB"


def _cause(error: Exception) -> str:
    if isinstance(error, urllib.error.HTTPError):
        error.close()
        return f"the server answers {error.code} {error.reason}"
    # urllib wraps what happens before the answer begins, and nothing that happens after.
    reason = error.reason if isinstance(error, urllib.error.URLError) else error
    if isinstance(reason, TimeoutError):
        return f"nothing came for {_SILENCE:g} s"
    return str(reason) or type(reason).__name__


def _remedy(error: Exception) -> str:
    reason = error.reason if isinstance(error, urllib.error.URLError) else error
    if isinstance(reason, ssl.SSLCertVerificationError):
        return (
            "where a company's proxy opens connections, name its certificate authority: "
            "SSL_CERT_FILE=/path/to/bundle.pem, and run the same command again"
        )
    return _AGAIN
