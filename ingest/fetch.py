"""Documents from web addresses, only below the prefixes that the operator allowed.

Safe against requests forged through an address (SSRF): http and https only; no user or password in an address; every redirect
is checked again; no proxy or credentials are taken from the environment; and the machine that answers must not be a link-local
one (where clouds keep their secrets), nor this machine unless the address names it so.
"""

from __future__ import annotations

import asyncio
import ipaddress
import re
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import SplitResult, unquote, urljoin, urlsplit

import httpx

from bot.errors import DocumentError, InputError, SettingsError
from ingest.load import SUFFIXES

MAX_DOWNLOAD = 32 * 1024 * 1024
TIMEOUT_S = 60.0
"""For all of a document, redirects included."""
MAX_REDIRECTS = 5
_TYPES = {
    "text/html": "html",
    "application/xhtml+xml": "html",
    "application/pdf": "pdf",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": "docx",
    "text/plain": "text",
    "text/csv": "csv",
    "text/tab-separated-values": "csv",
    "application/yaml": "yaml",
    "application/x-yaml": "yaml",
    "text/yaml": "yaml",
    "text/x-yaml": "yaml",
    "text/markdown": "guide",
}
_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Download:
    url: str  # after redirects, without the part behind '#'
    form: str  # a value of ingest.load.SUFFIXES
    raw: bytes
    encoding: str | None = None


def is_address(argument: object) -> bool:
    """Whether an argument of `ingest` is a web address, not a path. A path object has lost one of the two slashes."""
    return re.match(r"[A-Za-z][A-Za-z0-9+.-]+:/", str(argument)) is not None


def address(argument: object) -> str:
    return re.sub(r"^([A-Za-z][A-Za-z0-9+.-]+):/+", r"\1://", str(argument)).partition("#")[0]


def read_prefixes(setting: str) -> list[str]:
    """
    Raises:
        SettingsError: a prefix is no http(s) address of a host.
    """
    prefixes = [part.strip() for part in setting.split(",") if part.strip()]
    for prefix in prefixes:
        try:
            _parts(prefix)
        except InputError as error:
            raise SettingsError(f"IMG_ADVISOR_ALLOWED_URLS: {error}") from None
    return prefixes


def is_allowed(url: str, prefixes: Sequence[str]) -> bool:
    """Whether `url` lies at or below one of the prefixes: same scheme, host and port, and the same folders of the path."""
    parts = _parts(url)
    for prefix in map(_parts, prefixes):
        if (parts.scheme, parts.hostname, _port(parts)) != (prefix.scheme, prefix.hostname, _port(prefix)):
            continue
        path, below = parts.path or "/", prefix.path or "/"
        if path == below or path.startswith(below if below.endswith("/") else below + "/"):
            return True
    return False


def _port(parts: SplitResult) -> int:
    return parts.port or _PORTS[parts.scheme]


def _parts(url: str) -> SplitResult:
    shown = re.sub(r"//[^/@]*@", "//", url)[:120]
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        raise InputError(f"'{shown}' is not a web address.") from None
    if parts.scheme not in _PORTS or not parts.hostname:
        raise InputError(f"'{shown}' cannot be fetched: only http:// and https:// addresses can.")
    if parts.username is not None or parts.password is not None:
        raise InputError(f"'{shown}' holds a user name or password. Use an address without them.")
    path = parts.path
    for _ in range(3):  # "%252e" is "%2e" is "."
        path = unquote(path)
    if re.search(r"(?:^|[/\\])\.\.?(?:[/\\]|$)|\\|[\x00-\x20\x7f]", path) or re.search(r"[\x00-\x20\x7f\\]", url):
        raise InputError(f"'{shown}' has dots, backslashes or control characters in its path. Use the plain address.")
    return parts


async def download(url: str, prefixes: Sequence[str]) -> Download:
    """
    Raises:
        InputError: the address, or one it redirects to, is not allowed. DocumentError: it cannot be had or is no document.
    """
    _must_be_allowed(url, url, prefixes)
    limits = httpx.Timeout(TIMEOUT_S, connect=10)
    try:
        async with asyncio.timeout(TIMEOUT_S), httpx.AsyncClient(timeout=limits, trust_env=False, follow_redirects=False) as client:
            here = url
            for _ in range(MAX_REDIRECTS + 1):
                async with client.stream("GET", here, headers={"User-Agent": "img-advisor"}) as response:
                    _check_peer(response, here, url)
                    if response.is_redirect:
                        here = urljoin(here, response.headers["location"]).partition("#")[0]
                        _must_be_allowed(here, url, prefixes)
                        continue
                    if not response.is_success:
                        raise DocumentError(f"the server answered {response.status_code}; check the address", file=url)
                    return await _read(response, here, url)
            raise DocumentError(f"redirects more than {MAX_REDIRECTS} times; use the last address", file=url)
    except TimeoutError:
        raise DocumentError(f"did not arrive within {TIMEOUT_S:.0f} seconds; try again later", file=url) from None
    except (httpx.HTTPError, httpx.InvalidURL, UnicodeError) as error:
        raise DocumentError(f"cannot be fetched ({type(error).__name__}); check the address and the connection", file=url) from None


def _must_be_allowed(url: str, asked: str, prefixes: Sequence[str]) -> None:
    if not is_allowed(url, prefixes):
        parts = _parts(url)
        where = "is" if url == asked else f"redirects to {parts.scheme}://{parts.netloc}{parts.path[:80]}, which is"
        raise InputError(f"{asked} {where} not among the addresses that may be fetched. Add its beginning to IMG_ADVISOR_ALLOWED_URLS.")


def _check_peer(response: httpx.Response, here: str, asked: str) -> None:
    """Looks at the address that was connected to, not at one resolved before: a name may resolve differently each time."""
    stream = response.extensions.get("network_stream")
    peer = stream.get_extra_info("server_addr") if stream is not None else None
    if not peer:
        raise DocumentError("cannot be fetched: the server's address is not known", file=asked)
    found = ipaddress.ip_address(str(peer[0]).partition("%")[0])
    found = getattr(found, "ipv4_mapped", None) or found
    host = urlsplit(here).hostname or ""
    named = host == "localhost" or _is_literal(host)
    if found.is_link_local or found.is_multicast or found.is_unspecified or (found.is_loopback and not named):
        raise DocumentError("cannot be fetched: its name leads to an address inside this machine or its network", file=asked)


def _is_literal(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


async def _read(response: httpx.Response, here: str, asked: str) -> Download:
    kind, _, rest = response.headers.get("content-type", "").partition(";")
    kind = kind.strip().lower()
    form = _TYPES.get(kind)
    if form is None and kind in {"", "application/octet-stream", "binary/octet-stream"}:  # the server does not know: the name decides
        form = SUFFIXES.get("." + urlsplit(here).path.rpartition(".")[2].lower())
    if form is None or form == "jsonl":
        raise DocumentError(f"is of a kind that cannot be read ({kind[:60] or 'not named'}); fetch it by hand and convert it", file=asked)
    size = response.headers.get("content-length", "")
    raw = bytearray()
    if not (size.isdigit() and int(size) > MAX_DOWNLOAD):
        async for part in response.aiter_bytes():
            raw += part
            if len(raw) > MAX_DOWNLOAD:
                break
    if len(raw) > MAX_DOWNLOAD or (size.isdigit() and int(size) > MAX_DOWNLOAD):
        raise DocumentError(f"is larger than {MAX_DOWNLOAD // 2**20} MiB; fetch it by hand and split it", file=asked)
    charset = re.search(r"charset=[\"']?([\w.:-]+)", rest, re.I)
    return Download(here, form, bytes(raw), charset[1] if charset else None)
