"""The review server's guard. Other sites' pages, strangers and endless bodies are refused before the app."""

import asyncio
import hmac
import ipaddress
import json
import re
import socket
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Scope]]
Send = Callable[[Scope], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

LOCAL = frozenset({"127.0.0.1", "localhost", "[::1]"})
"""What this machine calls itself, as a browser writes it."""
MAX_BODY = 1_000_000
BODY_SECONDS = 10.0
HEADERS = {
    b"content-security-policy": b"default-src 'none'; frame-ancestors 'none'",
    b"x-frame-options": b"DENY",
    b"x-content-type-options": b"nosniff",
    b"referrer-policy": b"no-referrer",
    b"cross-origin-resource-policy": b"same-origin",
    b"cache-control": b"no-store",
}
"""With every answer that does not say otherwise itself."""
_HOST = re.compile(r"(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(:[0-9]{1,5})?")


@dataclass(frozen=True)
class Door:
    """Under which names a server is reached, and what it asks for.

    hosts        names as in a URL, lower case; addresses: any number (an IP address cannot be another site's name) too
    token        what everybody must bring; empty: whoever reaches the server may use it
    """

    hosts: frozenset[str] = LOCAL
    addresses: bool = False
    token: str = ""

    @classmethod
    def at(cls, host: str, token: str) -> "Door":
        """The door of a server that listens at `host`: only what cannot be reached from elsewhere needs no token."""
        if is_loopback(host):
            return cls(LOCAL | {in_url(host)})
        own = {socket.gethostname().lower(), f"{socket.gethostname()}.local".lower()}
        return cls(LOCAL | own | {in_url(host)}, True, token)

    def knows(self, host: str) -> bool:
        """Whether a Host header names this server: a name of somebody else's (DNS rebinding) does not."""
        match = _HOST.fullmatch(host)
        return match is not None and (match[1] in self.hosts or (self.addresses and is_address(match[1])))


CLOSED = Door()
"""Of a server that only this machine reaches."""


def is_address(host: str) -> bool:
    """Whether a host is an IP address, with or without brackets."""
    try:
        ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return False
    return True


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches a server that listens there."""
    bare = host.strip("[]").lower()
    return bare == "localhost" or (is_address(bare) and ipaddress.ip_address(bare).is_loopback)


def in_url(host: str) -> str:
    """A host as a URL has it: IPv6 addresses in brackets."""
    bare = host.strip("[]").lower()
    return f"[{bare}]" if ":" in bare else bare


class Refused(Exception):
    """A request that is answered here: status, and what to do about it."""

    def __init__(self, status: int, detail: str):
        super().__init__(detail)
        self.status = status


class Guard:
    """An ASGI application around another one, which hears only what it may be asked."""

    def __init__(self, app: App, door: Door):
        self.app, self.door = app, door

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or hand it on with its whole body read."""
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        send = _with_headers(send, self._cookie(scope))
        try:
            self._check(scope)
            body = await _read(scope, receive)
        except Refused as refused:
            return await _refuse(send, refused)
        await self.app(scope, _replay(body, receive), send)

    def _check(self, scope: Scope) -> None:
        """Raise Refused for what this server was not meant to hear; nothing of the body is read yet."""
        hosts = _values(scope, b"host")
        if len(hosts) != 1 or not self.door.knows(hosts[0].lower()):
            raise Refused(
                400,
                "not this server's name. Open the address that limner review printed, or its IP address.",
            )
        looks = scope["method"] in ("GET", "HEAD")
        if not looks and scope["method"] != "POST":
            raise Refused(405, "expected GET or POST.")
        if not (looks and scope["path"] == "/"):  # a link from elsewhere to the page itself does no harm
            own = f"{scope['scheme']}://{hosts[0]}".lower()
            foreign = any(origin.lower() != own for origin in _values(scope, b"origin"))
            if foreign or any(site not in ("same-origin", "none") for site in _values(scope, b"sec-fetch-site")):
                raise Refused(403, "a page of another site asked; only limner's own page may.")
        if self.door.token and not any(self._opens(token) for token in _tokens(scope)):
            raise Refused(401, "a token is missing or wrong. Open the address with ?token= that limner review printed.")
        if not looks and [_media_type(value) for value in _values(scope, b"content-type")] != ["application/json"]:
            raise Refused(415, "expected one Content-Type, application/json.")

    def _opens(self, token: str) -> bool:
        return hmac.compare_digest(token.encode(errors="replace"), self.door.token.encode())

    def _cookie(self, scope: Scope) -> list[tuple[bytes, bytes]]:
        """Who opens the page with the token in its address keeps it in a cookie, for pictures and changes."""
        if not self.door.token or scope["path"] != "/" or not any(self._opens(token) for token in _asked(scope)):
            return []
        cookie = f"{_cookie_name(scope)}={self.door.token}; Path=/; HttpOnly; SameSite=Strict"
        return [(b"set-cookie", cookie.encode())]


def _values(scope: Scope, name: bytes) -> list[str]:
    return [value.decode("latin-1") for key, value in scope["headers"] if key == name]


def _media_type(value: str) -> str:
    return value.partition(";")[0].strip().lower()


def _cookie_name(scope: Scope) -> str:
    server = scope.get("server")  # browsers keep the cookies of all ports of a machine together
    return f"limner_review_{server[1] if server else ''}"


def _asked(scope: Scope) -> list[str]:
    return parse_qs(scope["query_string"].decode("latin-1")).get("token", [])


def _tokens(scope: Scope) -> list[str]:
    """Tokens in the address, in the cookie, and in an `Authorization: Bearer` header."""
    pairs = [pair.strip().partition("=") for value in _values(scope, b"cookie") for pair in value.split(";")]
    bearers = [value.partition(" ") for value in _values(scope, b"authorization")]
    return [
        *_asked(scope),
        *(value for name, _, value in pairs if name == _cookie_name(scope)),
        *(value.strip() for kind, _, value in bearers if kind.lower() == "bearer"),
    ]


async def _read(scope: Scope, receive: Receive) -> bytes:
    """The body, counted while it arrives; its length may be wrong or missing."""
    too_large = Refused(413, f"the body is too large, expected at most {MAX_BODY} bytes.")
    if any(not length.isdecimal() or int(length[:20]) > MAX_BODY for length in _values(scope, b"content-length")):
        raise too_large
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_SECONDS):
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise Refused(400, "the connection ended before the body did.")
                body += message.get("body", b"")
                if len(body) > MAX_BODY:
                    raise too_large
                if not message.get("more_body", False):
                    return bytes(body)
    except TimeoutError as error:
        raise Refused(408, f"the body was not there after {BODY_SECONDS:g} s.") from error


def _replay(body: bytes, receive: Receive) -> Receive:
    """A `receive` that gives the body in one piece, then what comes."""
    pieces: list[Scope] = [{"type": "http.request", "body": body, "more_body": False}]

    async def next_message() -> Scope:
        return pieces.pop() if pieces else await receive()

    return next_message


def _with_headers(send: Send, more: list[tuple[bytes, bytes]]) -> Send:
    async def guarded(message: Scope) -> None:
        if message["type"] == "http.response.start":
            said = list(message.get("headers", []))
            names = {name.lower() for name, _ in said}
            message["headers"] = said + more + [pair for pair in HEADERS.items() if pair[0] not in names]
        await send(message)

    return guarded


async def _refuse(send: Send, refused: Refused) -> None:
    body = json.dumps({"detail": str(refused)}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    if refused.status == 401:
        headers.append((b"www-authenticate", b"Bearer"))
    if refused.status == 408:  # whoever sends so slowly is not waited for any longer
        headers.append((b"connection", b"close"))
    await send({"type": "http.response.start", "status": refused.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
