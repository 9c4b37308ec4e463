"""The review bench in the browser. One page, a few addresses; every change is kept before the answer."""

import base64
import hashlib
import json
import os
import re
import secrets
import sqlite3
import threading
from pathlib import Path
from typing import Annotated, Any, Literal

from rich.console import Console
from rich.text import Text

from limner.body.keypoints import KEYPOINT_NAMES
from limner.curate.bench import POINTS, Bench, EditError, View
from limner.curate.guard import CLOSED, Door, Guard, in_url
from limner.curate.records import Decision
from limner.curate.run import load_body, load_set_priors
from limner.curate.store import ConflictError, CuratedSet, Order
from limner.curate.work import Refitter
from limner.errors import LimnerError, PhotoError
from limner.extras import extra

with extra("review", "`limner review`"):
    import uvicorn
    from fastapi import FastAPI, HTTPException, Query, Request
    from fastapi import Path as InPath
    from fastapi.exceptions import RequestValidationError
    from fastapi.responses import HTMLResponse, Response
    from pydantic import BaseModel, ConfigDict, Field, FiniteFloat

PAGE = Path(__file__).parent / "page" / "index.html"
FOREVER = {"Cache-Control": "private, max-age=31536000, immutable"}
ANSWER_SECONDS, END_SECONDS = 1, 2.0
"""After Ctrl+C: so long requests may still be answered, and after so long the server is gone whatever it did."""
LARGEST = 2**63 - 1
"""The largest whole number in the file."""

Id = Annotated[int, Field(ge=1, le=LARGEST)]
Version = Annotated[int, Field(ge=0, le=LARGEST)]
PersonId = Annotated[int, InPath(ge=1, le=LARGEST)]
Name = Annotated[str, Field(min_length=1, max_length=80, pattern=r"^\P{Cc}+$")]
Coordinate = Annotated[FiniteFloat, Field(ge=-1e6, le=1e6)]


class Body(BaseModel):
    """What a request may say: these fields of these types, nothing else."""

    model_config = ConfigDict(extra="forbid", strict=True)


class Looker(Body):
    """Who looks."""

    reviewer: Name


class Looked(Looker):
    """Who changes a person, and which version of it they looked at."""

    version: Version


class Decided(Looked):
    """A decision."""

    decision: Decision


class Point(Body):
    """One of the 144 points, set by hand: photo pixels; confidence 0 hides it."""

    index: int = Field(ge=0, lt=len(KEYPOINT_NAMES))
    x: Coordinate
    y: Coordinate
    confidence: float = Field(default=1.0, ge=0, le=1)


class Moved(Looked):
    """Points set by hand."""

    points: list[Point] = Field(max_length=len(KEYPOINT_NAMES))


class Wanted(Looker):
    """Who asks for another person, and which ones they do not want."""

    order: Order = "best"
    skip: list[Id] = Field(default=[], max_length=500)


def review(
    folder: Path,
    reviewer: str = "",
    port: int = 8765,
    host: str = "127.0.0.1",
    body_model: Path | None = None,
    vposer: Path | None = None,
) -> int:
    """Serve the review page of a set until interrupted. Raises LimnerError for a set that cannot be reviewed.

    host: 0.0.0.0 (or ::) lets other machines in: whoever has the token in the address that is printed at the start.
    """
    curated = CuratedSet.open(folder)
    try:
        model, priors = load_body(curated, body_model), load_set_priors(curated, vposer)
        if not sum(curated.counts().values()):
            raise LimnerError(
                f"{folder} has nobody to review yet. Run limner curate first, or wait until it got further."
            )
        serve(Bench(curated, model, Refitter(model, priors)), reviewer, port, host)
    finally:
        curated.close()
    return 0


def serve(bench: Bench, reviewer: str, port: int, host: str) -> None:
    """Serve a bench until interrupted; says where. Raises LimnerError where nothing can listen."""
    if not 1 <= port <= 65535:
        raise LimnerError(f"--port is {port}, expected 1 to 65535.")
    door = Door.at(host, secrets.token_urlsafe(24))
    console = Console()
    console.print(
        Text(f"Reviewing {bench.curated.folder} at {address(host, port, door)} (Ctrl+C stops)"), soft_wrap=True
    )
    if door.token:
        console.print(
            Text("Other machines are let in, with this token and this machine's name or IP address in the address."),
            soft_wrap=True,
        )
    server = _Server(
        uvicorn.Config(
            make_app(bench, reviewer, door),
            host=host.strip("[]"),
            port=port,
            http="h11",  # what the tests know, whatever else is installed
            ws="none",
            log_level="critical",
            proxy_headers=False,
            server_header=False,
            timeout_graceful_shutdown=ANSWER_SECONDS,
        )
    )
    try:
        server.run()
    except KeyboardInterrupt:  # uvicorn gives it back when it has ended
        pass
    except (SystemExit, OSError) as error:  # uvicorn's words for a port that is taken
        raise LimnerError(f"cannot listen on {in_url(host)}:{port}; is it in use? Give another --port.") from error
    finally:
        if not bench.fitting:
            server.ended()


def address(host: str, port: int, door: Door) -> str:
    """Where the page is, for a browser on this machine."""
    here = {"127.0.0.1": "localhost", "0.0.0.0": "localhost", "": "localhost", "[::]": "[::1]"}
    where = here.get(in_url(host), in_url(host))
    return f"http://{where}:{port}/" + (f"?token={door.token}" if door.token else "")


class _Server(uvicorn.Server):
    """A server that ends when it is told to: a fit cannot be stopped midway, and Python waits for its thread."""

    _last_call: threading.Timer | None = None

    async def shutdown(self, sockets: Any = None) -> None:
        # no change is lost: each is in the file, as a whole, or not at all
        self._last_call = threading.Timer(END_SECONDS, os._exit, (130,))
        self._last_call.daemon = True
        self._last_call.start()
        await super().shutdown(sockets)

    def ended(self) -> None:
        """Nothing runs any longer; Python may go on."""
        if self._last_call is not None:
            self._last_call.cancel()


def make_app(bench: Bench, reviewer: str = "", door: Door = CLOSED) -> Guard:
    """The application; `reviewer` is the name that the page proposes."""
    app = FastAPI(title="limner review", openapi_url=None, docs_url=None, redoc_url=None, redirect_slashes=False)
    _errors(app, bench)
    _looking(app, bench, reviewer)
    _changing(app, bench)
    return Guard(app, door)


def _say(status: int, detail: str, **more: Any) -> Response:
    """An answer that can be written whatever was asked: ASCII, and the request is not repeated."""
    return Response(json.dumps({"detail": detail, **more}), status, media_type="application/json")


def _errors(app: FastAPI, bench: Bench) -> None:
    @app.exception_handler(RequestValidationError)
    def nonsense(request: Request, error: RequestValidationError) -> Response:
        wrong = [f"{'.'.join(str(part) for part in one['loc'])}: {one['msg']}" for one in error.errors()[:3]]
        return _say(422, "; ".join(wrong)[:1000])

    @app.exception_handler(ConflictError)
    def conflict(request: Request, error: Exception) -> Response:
        return _say(409, str(error), current=bench.person(int(request.path_params["person"])))

    @app.exception_handler(EditError)
    def edit(request: Request, error: Exception) -> Response:
        return _say(422, str(error))

    @app.exception_handler(PhotoError)
    def photo(request: Request, error: Exception) -> Response:
        return _say(410, f"{error} Photos must stay where they were curated.")

    @app.exception_handler(KeyError)
    def missing(request: Request, error: Exception) -> Response:
        return _say(404, f"there is no {error} in this set")

    @app.exception_handler(sqlite3.Error)
    def unreadable(request: Request, error: Exception) -> Response:
        return _say(503, f"the set cannot be read or written ({error}), nothing was saved. Is its disk full or gone?")

    @app.exception_handler(LimnerError)
    def failed(request: Request, error: Exception) -> Response:
        return _say(503, str(error))

    @app.exception_handler(Exception)
    def bug(request: Request, error: Exception) -> Response:
        return _say(500, f"bug in limner, please report: {type(error).__name__}: {error}")


def _looking(app: FastAPI, bench: Bench, reviewer: str) -> None:
    html = PAGE.read_text(encoding="utf-8")
    headers = {"Content-Security-Policy": _policy(html), "Cache-Control": "no-cache"}
    start = secrets.token_hex(
        8
    )  # browsers keep pictures for ever; those of another set, or of an older one, are others

    @app.get("/")
    def page() -> HTMLResponse:
        return HTMLResponse(html, headers=headers)

    @app.get("/api/set")
    def about() -> dict[str, Any]:
        return bench.summary() | {"reviewer": reviewer, "start": start} | POINTS

    @app.get("/api/summary")
    def summary() -> dict[str, Any]:
        return bench.summary()

    @app.get("/api/people")
    def queue(
        decision: Decision | Literal["all"] = "open",
        order: Order = "best",
        offset: Annotated[int, Query(ge=0, le=LARGEST)] = 0,
        limit: Annotated[int, Query(ge=1, le=500)] = 60,
    ) -> list[dict[str, Any]]:
        return bench.queue(None if decision == "all" else decision, order, offset, limit)

    @app.get("/api/people/{person}")
    def person(person: PersonId) -> dict[str, Any]:
        return bench.person(person)

    @app.get("/api/people/{person}/thumb.jpg")
    def thumb(person: PersonId) -> Response:
        return Response(bench.curated.thumb(person), media_type="image/jpeg", headers=FOREVER)

    @app.get("/api/people/{person}/{version}/{view}/{layer}.jpg")
    def picture(
        person: PersonId,
        version: Annotated[int, InPath(ge=0, le=LARGEST)],
        view: View,
        layer: Literal["photo", "mesh"],
    ) -> Response:
        if bench.curated.person(person).version != version:
            raise HTTPException(410, "this version is gone")
        return Response(bench.picture(person, view, layer == "mesh"), media_type="image/jpeg", headers=FOREVER)


def _changing(app: FastAPI, bench: Bench) -> None:
    @app.post("/api/next")
    def next_person(wanted: Wanted) -> dict[str, int | None]:
        return {"id": bench.curated.next_open(wanted.order, wanted.reviewer, wanted.skip)}

    @app.post("/api/people/{person}/look")
    def look(person: PersonId, looker: Looker) -> dict[str, Any]:
        shown = bench.person(person)  # first: who is not there cannot be looked at
        return shown | {"watched_by": bench.curated.look_at(person, looker.reviewer)}

    @app.post("/api/people/{person}/decision")
    def decide(person: PersonId, decided: Decided) -> dict[str, Any]:
        return bench.decide(person, decided.version, decided.decision, decided.reviewer)

    @app.post("/api/people/{person}/points")
    def move(person: PersonId, moved: Moved) -> dict[str, Any]:
        edits = {point.index: (point.x, point.y, point.confidence) for point in moved.points}
        return bench.move_points(person, moved.version, edits, moved.reviewer)

    @app.post("/api/people/{person}/undo")
    def undo(person: PersonId, looked: Looked) -> dict[str, Any]:
        return bench.undo(person, looked.version, looked.reviewer)


def _policy(html: str) -> str:
    """The page's Content-Security-Policy: its own style and script, this server's pictures and answers.

    Nothing of the page calls eval; it is left to those who drive the page in a browser, playwright for one.
    """
    script, style = (
        base64.b64encode(hashlib.sha256(inner.encode()).digest()).decode()
        for kind in ("script", "style")
        for inner in re.findall(rf"<{kind}>(.*?)</{kind}>", html, re.DOTALL)
    )
    return (
        f"default-src 'none'; script-src 'sha256-{script}' 'unsafe-eval'; style-src 'sha256-{style}'; "
        "img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
