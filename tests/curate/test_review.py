"""The review server: its addresses, what it says to nonsense of every kind, and its end. No browser."""

import json
import multiprocessing
import os
import shutil
import signal
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from limner.body.keypoints import KEYPOINT_NAMES
from limner.curate.bench import Bench
from limner.curate.guard import HEADERS, Door
from limner.curate.records import Judged, Seen
from limner.curate.store import CuratedSet
from limner.errors import LimnerError
from tests.curate.fakes import SlidingFit

testclient = pytest.importorskip("fastapi.testclient", reason="FastAPI is not installed: pip install 'limner[review]'")
NOSE = KEYPOINT_NAMES.index("nose")
JSON = {"content-type": "application/json"}


@pytest.fixture
def web(bench: Bench):
    from limner.curate.review import make_app

    return testclient.TestClient(make_app(bench, "Anna"), base_url="http://localhost:8765")


def test_the_addresses_answer(web):
    assert "limner review" in web.get("/").text and "http" not in web.get("/").text.replace("http://www.w3.org", "")
    about = web.get("/api/set").json()
    assert about["reviewer"] == "Anna" and len(about["names"]) == 144 and about["people"]["open"] == 2
    assert [person["id"] for person in web.get("/api/people?order=photo").json()] == [1, 2]
    assert web.get("/api/people/1/thumb.jpg").headers["content-type"] == "image/jpeg"
    assert web.get("/api/people/1/0/face/mesh.jpg").status_code == 200
    assert web.get("/api/people/1/7/face/mesh.jpg").status_code == 410
    assert web.get("/api/people/9").status_code == 404
    assert web.post("/api/next", json={"reviewer": "Anna", "order": "photo"}).json() == {"id": 1}


def test_conflicts_come_with_how_it_stands_now(web):
    first = {"version": 0, "reviewer": "Anna", "decision": "accepted"}
    assert web.post("/api/people/1/decision", json=first).json()["version"] == 1
    late = web.post("/api/people/1/decision", json=first | {"reviewer": "Bert", "decision": "rejected"})
    assert late.status_code == 409 and late.json()["current"]["decision"] == "accepted"
    assert late.json()["current"]["history"][0]["reviewer"] == "Anna"
    moved = {"version": 0, "reviewer": "Bert", "points": [{"index": NOSE, "x": 100.0, "y": 50.0}]}
    assert web.post("/api/people/1/points", json=moved).status_code == 409


def test_other_sites_do_not_reach_the_server(web):
    assert web.get("/api/summary", headers={"host": "evil.example"}).status_code == 400
    form = '{"version": 0, "reviewer": "x", "decision": "accepted"}'  # what a form of another site could send
    plain, foreign = {"content-type": "text/plain"}, JSON | {"origin": "http://evil.example"}
    assert web.post("/api/people/1/decision", content=form, headers=plain).status_code == 415
    assert web.post("/api/people/1/decision", content=form, headers=foreign).status_code == 403
    assert web.get("/api/people/1").json()["decision"] == "open"


def test_looking_is_no_change_and_a_lease_is(web):
    assert web.get("/api/people/1?reviewer=Anna").json()["decision"] == "open"
    assert web.post("/api/people/1/look", json={"reviewer": "Bert"}).json()["watched_by"] is None
    assert web.post("/api/people/1/look", json={"reviewer": "Anna"}).json()["watched_by"] == "Bert"
    assert web.post("/api/next", json={"reviewer": "Anna", "order": "photo"}).json() == {"id": 2}
    assert web.post("/api/people/9/look", json={"reviewer": "Cleo"}).status_code == 404


def test_the_page_runs_its_own_script_only(web):
    answer = web.get("/")
    policy = answer.headers["content-security-policy"]
    assert "unsafe-inline" not in policy and "frame-ancestors 'none'" in policy and "script-src 'sha256-" in policy
    assert " onclick=" not in answer.text and " style=" not in answer.text  # the policy would stop them
    assert answer.headers.keys() >= {name.decode() for name in HEADERS}
    for path in ("/openapi.json", "/docs", "/redoc", "/docs/oauth2-redirect"):
        assert web.get(path).status_code == 404
    assert web.get("/api/set/", follow_redirects=False).status_code == 404


def test_a_photo_that_is_gone_is_told(web, bench: Bench):
    with bench.curated._write() as db:
        db.execute("UPDATE photos SET path = '/moved/away.jpg' WHERE id = 1")
    answer = web.get("/api/people/1/0/person/photo.jpg")
    assert answer.status_code == 410 and "must stay" in answer.json()["detail"]


DECISION = {"version": 0, "reviewer": "A", "decision": "accepted"}
POINT = {"index": 0, "x": 1.0, "y": 1.0, "confidence": 1.0}
POINTS = {"version": 0, "reviewer": "A", "points": [POINT]}
BODIES = {
    "/api/next": {"reviewer": "A", "order": "best", "skip": [1]},
    "/api/people/1/look": {"reviewer": "A"},
    "/api/people/1/decision": DECISION,
    "/api/people/1/points": POINTS,
    "/api/people/1/undo": {"version": 0, "reviewer": "A"},
}
"""A request of every address that changes something."""
NUMBERS = [
    *("-1", "0", "9223372036854775808", "1" + "0" * 30, "9" * 5000),
    *("1.5", "1e3", "NaN", "x", "%00", "%ED%A0%80", "%ff"),
]
NOT_INTEGERS = [
    *("-1", "9223372036854775808", "1" + "0" * 400, "9" * 5000, "1.5", "1e3", "1e999", "-0.5", "NaN", "Infinity"),
    *("true", "null", '"0"', '"\\ud800"', "[]", "{}", "[" * 500 + "]" * 500),
]
NOT_NUMBERS = ["1e7", "-1e308", "1e999", "9" * 400, "NaN", "-Infinity", "true", "null", '"1"', '"\\ud800"', "[1]", "{}"]
NOT_NAMES = [
    *('""', '"\\ud800"', '"\\udfff A"', f'"{"x" * 81}"', '"a\\u0000"', '"a\\u001b[31m"', '"a\\nb"'),
    *("7", "NaN", "null", "true", "[]", "{}"),
]
NOT_OBJECTS = [
    *("", " ", "null", "1", '"x"', "[]", "NaN", "{", "{}", "}", '{"a"}', "'", "\x00", "\xff\xfe", "[" * 200_000),
    *('{"a":' * 100_000, "[" * 900 + "]" * 900, '{"a":' * 400 + "1" + "}" * 400, '{"\\ud800": 1}', "9" * 5000),
]
NOT_POINTS = ["[]", "[1]", "[[]]", "{}", "7", "null", json.dumps([POINT] * 145), json.dumps([{"index": 1}])]


def replaced(address: str, field: str, value: str) -> str:
    """A good body with one value written otherwise; `points.x` is of the first point."""
    body = json.loads(json.dumps(BODIES[address]))
    name = field.rpartition(".")[2]
    (body["points"][0] if field.startswith("points.") else body)[name] = "HERE"
    return json.dumps(body).replace('"HERE"', value)


MALFORMED = [
    *((address, body) for address in BODIES for body in NOT_OBJECTS),
    *((a, replaced(a, "reviewer", v)) for a in BODIES for v in NOT_NAMES),
    *((a, replaced(a, "version", v)) for a in BODIES if "version" in BODIES[a] for v in NOT_INTEGERS),
    *((address, replaced(address, "more", "1")) for address in BODIES),
    *(("/api/people/1/decision", replaced("/api/people/1/decision", "decision", value)) for value in NOT_NAMES),
    *(("/api/next", replaced("/api/next", "order", value)) for value in [*NOT_NAMES, '"quality; DROP TABLE people"']),
    *(
        ("/api/next", replaced("/api/next", "skip", value))
        for value in ["1", "null", '"1"', '{"a": 1}', str([1] * 501)]
    ),
    *(("/api/next", replaced("/api/next", "skip", f"[{value}]")) for value in [*NOT_INTEGERS, "0"]),
    *(
        ("/api/people/1/points", replaced("/api/people/1/points", "points", v))
        for v in ["[]", "[1]", "[[]]", "{}", "7"]
    ),
    ("/api/people/1/points", replaced("/api/people/1/points", "points", json.dumps([POINT] * 145))),
    *(("/api/people/1/points", replaced("/api/people/1/points", "points.index", v)) for v in [*NOT_INTEGERS, "144"]),
    *(("/api/people/1/points", replaced("/api/people/1/points", "points.x", value)) for value in NOT_NUMBERS),
    *(("/api/people/1/points", replaced("/api/people/1/points", "points.y", value)) for value in NOT_NUMBERS),
    *(("/api/people/1/points", replaced("/api/people/1/points", "points.confidence", v)) for v in [*NOT_NUMBERS, "2"]),
]


def told(answer: Any) -> bool:
    """Whether an answer says in words what was wrong with the request."""
    return 400 <= answer.status_code < 500 and isinstance(answer.json()["detail"], str) and len(answer.content) < 2000


def test_malformed_bodies_are_told_what_is_wrong(web, bench: Bench):
    for address, good in BODIES.items():
        kept = web.post(address, json=good)
        assert kept.status_code in (200, 409), address  # what is replaced is good as it stands
    before = [bench.person(person) for person in (1, 2)]
    wrong = [
        (address, body[:80], answer.status_code)
        for address, body in MALFORMED
        if not told(answer := web.post(address, content=body.encode("latin-1"), headers=JSON))
    ]
    assert not wrong and len(MALFORMED) > 300
    assert [bench.person(person) for person in (1, 2)] == before


@pytest.mark.parametrize("number", NUMBERS, ids=lambda number: number[:20])
def test_malformed_addresses_are_told_what_is_wrong(web, number: str):
    looks = ["/{}", "/{}/thumb.jpg", "/{}/0/person/photo.jpg", "/{}/0/side/mesh.jpg"]
    assert all(told(web.get(f"/api/people{path.format(number)}")) for path in looks)
    if number != "0":
        assert told(web.get(f"/api/people/1/{number}/person/photo.jpg"))
        assert told(web.get(f"/api/people?offset={number}"))
    assert told(web.get(f"/api/people?limit={number}")) and told(web.get("/api/people?limit=501"))
    assert told(web.get(f"/api/people?order={number}")) and told(web.get(f"/api/people?decision={number}"))
    assert told(web.get(f"/api/people/1/0/{number}/photo.jpg")) and told(
        web.get(f"/api/people/1/0/person/{number}.jpg")
    )
    for address, body in BODIES.items():
        if "people/1" in address:
            assert told(web.post(address.replace("people/1", f"people/{number}"), json=body))
    assert told(web.get(f"/{number}")) and told(web.post(f"/api/{number}", json={}))


def test_a_set_that_fails_meanwhile_is_told(web, bench: Bench):
    bench.curated.close()
    answer = web.get("/api/people/1")
    assert answer.status_code == 503 and "the set cannot be read" in answer.json()["detail"]
    answer = web.post("/api/people/1/decision", json=DECISION)
    assert answer.status_code == 503 and "nothing was saved" in answer.json()["detail"]


def test_a_bug_is_told_and_the_answer_guarded(bench: Bench, monkeypatch: pytest.MonkeyPatch):
    from limner.curate.review import make_app

    client = testclient.TestClient(make_app(bench), "http://localhost", raise_server_exceptions=False)
    monkeypatch.setattr(bench, "summary", lambda: 1 / 0)
    answer = client.get("/api/summary")
    assert answer.status_code == 500 and "ZeroDivisionError" in answer.json()["detail"]
    assert answer.headers["x-frame-options"] == "DENY"


@pytest.mark.parametrize(
    ("host", "where"),
    [
        *((host, "http://localhost:8765/") for host in ("127.0.0.1", "localhost")),
        *((host, "http://[::1]:8765/") for host in ("::1", "[::1]")),
        *((host, "http://localhost:8765/?token=sesame") for host in ("0.0.0.0", "")),
        *((host, "http://[::1]:8765/?token=sesame") for host in ("::", "[::]")),
        ("fe80::1", "http://[fe80::1]:8765/?token=sesame"),
        ("desk", "http://desk:8765/?token=sesame"),
    ],
)
def test_the_address_that_is_printed_opens_the_page(host: str, where: str):
    from limner.curate.review import address

    assert address(host, 8765, Door.at(host, "sesame")) == where


@pytest.mark.parametrize("port", [0, -1, 65536])
def test_ports_that_cannot_be_are_refused(bench: Bench, port: int):
    from limner.curate.review import serve

    with pytest.raises(LimnerError, match="1 to 65535"):
        serve(bench, "", port, "127.0.0.1")


def test_a_port_that_is_taken_is_told(bench: Bench):
    from limner.curate.review import serve

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(LimnerError, match="in use"):
            serve(bench, "", taken.getsockname()[1], "127.0.0.1")


class Endless(SlidingFit):
    """A fit that nobody waits for."""

    def __call__(self, seen: Seen) -> Judged:
        time.sleep(60)
        return super().__call__(seen)


def run_server(folder: Path, port: int, host: str) -> None:
    """`limner review` with fits that take a minute; what it prints goes into a file beside the set."""
    from limner.curate.review import serve

    with open(folder / "printed", "w", encoding="utf-8", buffering=1) as printed:
        os.dup2(printed.fileno(), 1)
        bench = Bench(CuratedSet.open(folder), (fit := Endless()).model, fit)
        serve(bench, "", port, host)


Start = Callable[[str], tuple[Any, int, str]]


@pytest.fixture
def start(made: Path, tmp_path: Path) -> Iterator[Start]:
    """Starts a server at a host in a process of its own: the process, the port, what it printed."""
    running: list[Any] = []

    def begin(host: str) -> tuple[Any, int, str]:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        folder = Path(shutil.copytree(made, tmp_path / f"set{len(running)}"))
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(["tests.curate.fakes"])
        process = context.Process(target=run_server, args=(folder, port, host), daemon=True)
        process.start()
        running.append(process)
        for _ in range(600):
            try:
                connect(port).close()
                return process, port, (folder / "printed").read_text()
            except OSError:
                time.sleep(0.05)
        raise TimeoutError("the server did not start")

    yield begin
    for process in running:
        process.kill()
        process.join(10)


def connect(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=20)


def send(port: int, head: str, body: bytes = b"", host: str = "localhost") -> socket.socket:
    """A request, byte by byte as it is written here."""
    sock = connect(port)
    sock.sendall(f"{head}\r\nHost: {host}:{port}\r\nContent-Type: application/json\r\n".encode() + body)
    return sock


def status(sock: socket.socket) -> int:
    with sock, sock.makefile("rb") as answer:
        return int(answer.readline().split()[1])


def test_ctrl_c_ends_it_while_bodies_and_fits_are_half_done(start: Start):
    process, port, _ = start("127.0.0.1")
    half = send(port, "POST /api/next HTTP/1.1", b'Content-Length: 100\r\n\r\n{"reviewer": ')
    idle, headers = connect(port), send(port, "GET / HTTP/1.1")
    fitting = json.dumps(POINTS | {"points": [POINT | {"x": 100.0, "y": 50.0}]}).encode()
    waiting = send(port, "POST /api/people/1/points HTTP/1.1", b"Content-Length: %d\r\n\r\n" % len(fitting) + fitting)
    assert status(send(port, "GET /api/summary HTTP/1.1", b"\r\n")) == 200  # it is not deaf meanwhile
    os.kill(process.pid, signal.SIGINT)
    process.join(20)
    ended = process.exitcode
    for sock in (half, idle, headers, waiting):
        sock.close()
    assert ended == 130  # the fit would have taken a minute


def test_an_open_server_prints_its_token_and_counts_real_bodies(start: Start):
    process, port, printed = start("0.0.0.0")
    token = printed.split("?token=")[1].split()[0]
    assert printed.count(token) == 1 and len(token) >= 32 and f"http://localhost:{port}/?token=" in printed
    assert status(send(port, "GET /api/summary HTTP/1.1", b"\r\n")) == 401
    known = f"Authorization: Bearer {token}\r\n".encode()
    assert status(send(port, "GET /api/summary HTTP/1.1", known + b"\r\n")) == 200
    assert status(send(port, f"GET /?token={token} HTTP/1.1", b"\r\n")) == 200
    assert status(send(port, "GET /api/summary HTTP/1.1", known + b"\r\n", "evil.example")) == 400
    lengths = known + b"Content-Length: 3000000\r\n\r\n" + b" " * 3_000_000
    assert status(send(port, "POST /api/next HTTP/1.1", lengths)) == 413  # said, though all of it is sent
    chunks = known + b"Transfer-Encoding: chunked\r\n\r\n" + (b"10000\r\n" + b" " * 65536 + b"\r\n") * 16
    assert status(send(port, "POST /api/next HTTP/1.1", chunks)) == 413  # before it ends
    os.kill(process.pid, signal.SIGINT)
    process.join(20)
    assert process.exitcode == 0
