"""How does the review bench get into a browser? One page, a few addresses; every change is kept before the answer."""

from pathlib import Path
from typing import Any, Literal

from rich.console import Console
from rich.text import Text

from limner.curate.bench import POINTS, Bench, EditError
from limner.curate.records import Decision
from limner.curate.run import load_body, load_set_priors
from limner.curate.store import ConflictError, CuratedSet, Order
from limner.curate.work import Refitter
from limner.errors import LimnerError, PhotoError

try:
    import uvicorn
    from fastapi import FastAPI, HTTPException, Request
    from fastapi.middleware.trustedhost import TrustedHostMiddleware
    from fastapi.responses import FileResponse, JSONResponse, Response
    from pydantic import BaseModel, Field
except ImportError as error:
    raise LimnerError(
        "`limner review` needs FastAPI and uvicorn, which are not installed. Install them with: pip install "
        "'limner[review]'"
    ) from error

PAGE = Path(__file__).parent / "page" / "index.html"
LOCAL = ["127.0.0.1", "localhost", "[::1]"]
FOREVER = {"Cache-Control": "public, max-age=31536000, immutable"}


class Looked(BaseModel):
    """Who changes a person, and which version of it they looked at."""

    version: int
    reviewer: str = Field(min_length=1, max_length=80)


class Decided(Looked):
    """A decision."""

    decision: Decision


class Point(BaseModel):
    """One of the 144 points, set by hand: photo pixels; confidence 0 hides it."""

    index: int
    x: float
    y: float
    confidence: float = 1.0


class Moved(Looked):
    """Points set by hand."""

    points: list[Point]


class Wanted(BaseModel):
    """Who asks for another person, and which ones they do not want."""

    reviewer: str = Field(min_length=1, max_length=80)
    order: Order = "best"
    skip: list[int] = Field(default=[], max_length=500)


def review(
    folder: Path,
    reviewer: str = "",
    port: int = 8765,
    host: str = "127.0.0.1",
    body_model: Path | None = None,
    vposer: Path | None = None,
) -> int:
    """Serve the review page of a set until interrupted. Raises LimnerError for a set that cannot be reviewed.

    host: 0.0.0.0 lets other machines in; there is no password, so only where everybody may review.
    """
    curated = CuratedSet.open(folder)
    model, priors = load_body(curated, body_model), load_set_priors(curated, vposer)
    if not sum(curated.counts().values()):
        raise LimnerError(f"{folder} has nobody to review yet. Run limner curate first, or wait until it got further.")
    app = make_app(Bench(curated, model, Refitter(model, priors)), reviewer, LOCAL if host in LOCAL else ["*"])
    where = "localhost" if host in LOCAL else host
    Console().print(Text(f"Reviewing {folder} at http://{where}:{port} (Ctrl+C stops)"), soft_wrap=True)
    try:
        uvicorn.run(app, host=host, port=port, log_level="critical")
    except SystemExit as error:  # uvicorn's word for a port that is taken
        raise LimnerError(f"cannot listen on {host}:{port}; is it in use? Give another --port.") from error
    finally:
        curated.close()
    return 0


def make_app(bench: Bench, reviewer: str = "", hosts: list[str] | None = None) -> FastAPI:
    """The application; `reviewer` is the name that the page proposes."""
    app = FastAPI(title="limner review", docs_url=None, redoc_url=None)
    # a web page elsewhere must not reach this server under a name of its own
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=hosts or [*LOCAL, "testserver"])
    _errors(app, bench)
    _looking(app, bench, reviewer)
    _changing(app, bench)
    return app


def _errors(app: FastAPI, bench: Bench) -> None:
    @app.exception_handler(ConflictError)
    def conflict(request: Request, error: Exception) -> JSONResponse:
        current = bench.person(int(request.path_params["person"]))
        return JSONResponse({"detail": str(error), "current": current}, status_code=409)

    @app.exception_handler(EditError)
    def edit(request: Request, error: Exception) -> JSONResponse:
        return JSONResponse({"detail": str(error)}, status_code=422)

    @app.exception_handler(PhotoError)
    def photo(request: Request, error: Exception) -> JSONResponse:
        return JSONResponse({"detail": f"{error} Photos must stay where they were curated."}, status_code=410)

    @app.exception_handler(KeyError)
    def missing(request: Request, error: Exception) -> JSONResponse:
        return JSONResponse({"detail": f"there is no {error} in this set"}, status_code=404)


def _looking(app: FastAPI, bench: Bench, reviewer: str) -> None:
    @app.get("/")
    def page() -> FileResponse:
        return FileResponse(PAGE, media_type="text/html", headers={"Cache-Control": "no-cache"})

    @app.get("/api/set")
    def about() -> dict[str, Any]:
        return bench.summary() | {"reviewer": reviewer} | POINTS

    @app.get("/api/summary")
    def summary() -> dict[str, Any]:
        return bench.summary()

    @app.get("/api/people")
    def queue(
        decision: Decision | Literal["all"] = "open", order: Order = "best", offset: int = 0, limit: int = 60
    ) -> list[dict[str, Any]]:
        return bench.queue(None if decision == "all" else decision, order, max(0, offset), min(max(1, limit), 500))

    @app.get("/api/people/{person}")
    def person(person: int, reviewer: str = "") -> dict[str, Any]:
        watched = bench.curated.look_at(person, reviewer) if reviewer else None
        return bench.person(person) | {"watched_by": watched}

    @app.get("/api/people/{person}/thumb.jpg")
    def thumb(person: int) -> Response:
        return Response(bench.curated.thumb(person), media_type="image/jpeg", headers=FOREVER)

    @app.get("/api/people/{person}/{version}/{view}/{layer}.jpg")
    def picture(person: int, version: int, view: str, layer: Literal["photo", "mesh"]) -> Response:
        if bench.curated.person(person).version != version:
            raise HTTPException(410, "this version is gone")
        return Response(bench.picture(person, view, layer == "mesh"), media_type="image/jpeg", headers=FOREVER)


def _changing(app: FastAPI, bench: Bench) -> None:
    @app.post("/api/next")
    def next_person(wanted: Wanted) -> dict[str, int | None]:
        return {"id": bench.curated.next_open(wanted.order, wanted.reviewer, wanted.skip)}

    @app.post("/api/people/{person}/decision")
    def decide(person: int, decided: Decided) -> dict[str, Any]:
        return bench.decide(person, decided.version, decided.decision, decided.reviewer)

    @app.post("/api/people/{person}/points")
    def move(person: int, moved: Moved) -> dict[str, Any]:
        edits = {point.index: (point.x, point.y, point.confidence) for point in moved.points}
        return bench.move_points(person, moved.version, edits, moved.reviewer)

    @app.post("/api/people/{person}/undo")
    def undo(person: int, looked: Looked) -> dict[str, Any]:
        return bench.undo(person, looked.version, looked.reviewer)
