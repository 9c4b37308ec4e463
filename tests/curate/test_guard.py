"""The guard around a tiny application: who is let in, who is told what."""

import asyncio
import json
from typing import Any

import pytest

from limner.curate import guard
from limner.curate.guard import CLOSED, HEADERS, MAX_BODY, Door, Guard, in_url, is_loopback

JSON = (b"content-type", b"application/json")
OPEN = Door.at("0.0.0.0", "sesame")


async def echo(scope: Any, receive: Any, send: Any) -> None:
    """Says how many bytes came."""
    count, more = 0, True
    while more:
        message = await receive()
        count, more = count + len(message["body"]), message["more_body"]
    await send({"type": "http.response.start", "status": 200, "headers": [(b"cache-control", b"private")]})
    await send({"type": "http.response.body", "body": str(count).encode()})


def ask(
    door: Door,
    *headers: tuple[bytes, bytes],
    method: str = "GET",
    path: str = "/api/set",
    query: bytes = b"",
    host: bytes = b"localhost:8765",
    pieces: tuple[bytes, ...] = (b"",),
    stalls: bool = False,
) -> tuple[int, dict[str, str], str]:
    """Status, headers and body of an answer; `stalls`: the last piece never comes."""
    left, sent = list(pieces), []

    async def receive() -> Any:
        if len(left) == 1 and stalls:
            await asyncio.sleep(60)
        return {"type": "http.request", "body": left.pop(0), "more_body": bool(left)}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "scheme": "http", "method": method, "path": path, "query_string": query}
    scope |= {"headers": [(b"host", host), *headers], "server": ("127.0.0.1", 8765)}
    asyncio.run(Guard(echo, door)(scope, receive, send))
    answered = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    return sent[0]["status"], answered, sent[1]["body"].decode()


def post(*headers: tuple[bytes, bytes], door: Door = CLOSED, **more: Any) -> int:
    return ask(door, *headers, method="POST", **more)[0]


def test_own_page_and_scripts_may_change_things():
    assert post(JSON) == 200  # no browser
    own = (b"origin", b"http://localhost:8765"), (b"sec-fetch-site", b"same-origin")
    assert post(JSON, *own) == 200
    assert post((b"content-type", b"Application/JSON; charset=utf-8"), *own) == 200
    tunnel = (b"origin", b"http://localhost:9000")  # ssh -L 9000:localhost:8765
    assert post(JSON, tunnel, host=b"localhost:9000") == 200


@pytest.mark.parametrize(
    "origin",
    [b"http://evil.example", b"null", b"", b"http://localhost", b"http://localhost:3000", b"https://localhost:8765"],
)
def test_a_page_of_another_origin_changes_nothing_and_sees_nothing(origin: bytes):
    assert post(JSON, (b"origin", origin)) == 403
    assert post(JSON, (b"origin", b"http://localhost:8765"), (b"origin", origin)) == 403
    assert ask(CLOSED, (b"origin", origin))[0] == 403


@pytest.mark.parametrize("site", [b"cross-site", b"same-site", b"", b"other"])
def test_what_the_browser_says_of_the_asker_counts(site: bytes):
    assert post(JSON, (b"sec-fetch-site", site)) == 403
    assert ask(CLOSED, (b"sec-fetch-site", site))[0] == 403
    assert ask(CLOSED, (b"sec-fetch-site", site), path="/")[0] == 200  # a link from elsewhere
    assert post(JSON, (b"sec-fetch-site", site), path="/") == 403


@pytest.mark.parametrize(
    "kinds",
    [[], [b"text/plain"], [b"multipart/form-data"], [b"application/jsonp"], [b"application/json", b"text/plain"]],
)
def test_forms_change_nothing(kinds: list[bytes]):
    assert post(*((b"content-type", kind) for kind in kinds)) == 415


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "BREW"])
def test_other_methods_are_refused(method: str):
    assert ask(CLOSED, JSON, method=method)[0] == 405


@pytest.mark.parametrize(
    ("listens", "named", "known"),
    [
        *(("127.0.0.1", name, True) for name in ("127.0.0.1:8765", "localhost", "LOCALHOST:8765", "[::1]:8765")),
        *(("::1", name, True) for name in ("[::1]:8765", "localhost:8765", "[::1]")),
        ("127.0.0.7", "127.0.0.7:1", True),
        *(("::1", name, False) for name in ("[::2]:8765", "::1", "[::1", "[::1]x", "[::1]:8765:1", "evil.example")),
        *(("127.0.0.1", n, False) for n in ("evil.example", "", "localhost@evil.example", "10.0.0.1", "a/b")),
        *(("0.0.0.0", name, True) for name in ("10.0.0.1:8765", "192.168.1.9", "[fe80::1]:8765", "localhost:8765")),
        *((host, "evil.example:8765", False) for host in ("0.0.0.0", "::", "", "10.0.0.1", "::1", "127.0.0.1")),
        ("desk.example", "Desk.Example:8765", True),
    ],
)
def test_only_own_names_are_answered(listens: str, named: str, known: bool):
    door = Door.at(listens, "sesame")
    status = ask(door, (b"authorization", b"Bearer sesame"), host=named.encode())[0]
    assert status == (200 if known else 400)


def test_two_names_are_none():
    assert ask(CLOSED, (b"host", b"localhost:8765"))[0] == 400


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "", "10.0.0.1", "desk.example", "[::]"])
def test_whoever_reaches_an_open_server_needs_its_token(host: str):
    door = Door.at(host, "sesame")
    for path in ("/", "/api/set"):
        assert ask(door, path=path)[0] == 401
        assert ask(door, path=path, query=b"token=")[0] == ask(door, path=path, query=b"token=Sesame")[0] == 401
        assert ask(door, (b"cookie", b"limner_review_8765=%00; token=sesame"), path=path)[0] == 401
        assert ask(door, path=path, query=b"reviewer=A&token=sesame")[0] == 200
    assert ask(door, query=b"token=%ff")[0] == ask(door, (b"authorization", b"Bearer \xff"))[0] == 401
    assert post(JSON, door=door) == 401
    assert post(JSON, (b"authorization", b"bearer sesame"), door=door) == 200


def test_the_cookie_of_the_page_opens_the_rest_but_no_foreign_page():
    status, headers, _ = ask(OPEN, path="/", query=b"token=sesame")
    cookie, *flags = headers["set-cookie"].split("; ")
    assert status == 200 and {"HttpOnly", "SameSite=Strict"} <= set(flags)
    kept = (b"cookie", f"other=1; {cookie}".encode())
    assert ask(OPEN, kept)[0] == 200 and post(JSON, kept, door=OPEN) == 200
    assert post(JSON, kept, (b"origin", b"http://evil.example"), door=OPEN) == 403
    assert "set-cookie" not in ask(OPEN, kept, path="/")[1]
    assert "set-cookie" not in ask(OPEN, path="/", query=b"token=wrong")[1]


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1", "[::1]", "127.8.0.1"])
def test_a_server_of_this_machine_alone_needs_no_token(host: str):
    assert is_loopback(host) and not Door.at(host, "sesame").token


def test_bodies_are_counted_while_they_arrive():
    assert post(JSON, pieces=(b"x" * 600_000, b"x" * 400_000)) == 200
    assert post(JSON, pieces=(b"x" * 600_000, b"x" * 400_001)) == 413
    assert post(JSON, pieces=(b"x",) * 3 + (b"x" * (MAX_BODY + 1), b"never read"), stalls=True) == 413
    assert ask(CLOSED, pieces=(b"x" * (MAX_BODY + 1),))[0] == 413  # of a GET, too


@pytest.mark.parametrize("length", [b"1000001", b"9" * 4000, b"-1", b"1e3", b"\xb2"])
def test_a_length_that_cannot_be_is_refused_before_the_body(length: bytes):
    assert post(JSON, (b"content-length", length), stalls=True) == 413


def test_slow_bodies_are_given_up(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(guard, "BODY_SECONDS", 0.05)
    status, headers, body = ask(CLOSED, JSON, method="POST", pieces=(b"{", b"}"), stalls=True)
    assert status == 408 and headers["connection"] == "close" and "0.05 s" in json.loads(body)["detail"]


def test_nothing_is_read_for_a_stranger():
    assert post(JSON, (b"origin", b"http://evil.example"), stalls=True) == 403
    assert post(JSON, door=OPEN, stalls=True) == 401


def test_every_answer_says_that_it_is_not_to_be_framed_or_guessed():
    for status, headers, _ in (ask(CLOSED), ask(CLOSED, host=b"evil.example"), ask(OPEN)):
        assert "frame-ancestors 'none'" in headers["content-security-policy"], status
        assert headers["x-frame-options"] == "DENY" and headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer" and headers.keys() >= {name.decode() for name in HEADERS}
    assert ask(CLOSED)[1]["cache-control"] == "private"  # the application's own word


@pytest.mark.parametrize(
    ("host", "written"), [("::1", "[::1]"), ("[::]", "[::]"), ("Desk", "desk"), ("10.0.0.1", "10.0.0.1")]
)
def test_addresses_are_written_as_urls_have_them(host: str, written: str):
    assert in_url(host) == written
