"""The review page as a reviewer drives it: a real browser, a real server, a set of the bundled photos.

Needs playwright (in the extras `dev` and `browser`) and a Chromium (`apt install chromium-headless-shell`, or
`playwright install chromium`); skipped where they are missing. `.ci/run` installs one.
"""

import json
import multiprocessing
import os
import shutil
import socket
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from limner.body.keypoints import KEYPOINT_NAMES
from limner.curate.bench import Bench
from limner.curate.guard import Door
from limner.curate.run import curate
from limner.curate.store import CuratedSet
from tests.curate.fakes import MakeFake, SlidingFit, photos

playwright = pytest.importorskip(
    "playwright.sync_api", reason="playwright is not installed: pip install 'limner[browser]'"
)
BROWSERS = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
SHOTS = os.environ.get("LIMNER_SCREENSHOTS")
"""A folder to put screenshots into, for looking at."""


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """A headless Chromium, the system's or playwright's own."""
    with playwright.sync_playwright() as driver:
        found = next((path for name in BROWSERS if (path := shutil.which(name))), None)
        try:
            chromium = driver.chromium.launch(executable_path=found, args=["--no-sandbox"])
        except playwright.Error as error:
            pytest.skip(f"no Chromium can be started: apt install chromium-headless-shell ({str(error)[:80]})")
        yield chromium
        chromium.close()


def serve(folder: Path, port: int, token: str) -> None:
    """A review server, until it is killed; with a token it is open to other machines."""
    import uvicorn

    from limner.curate.review import make_app

    fit = SlidingFit()
    door = Door.at("0.0.0.0" if token else "127.0.0.1", token)
    uvicorn.run(make_app(Bench(CuratedSet.open(folder), fit.model, fit), door=door), port=port, log_level="error")


class Server:
    """A review server in a process of its own, which can be killed and started again."""

    def __init__(self, folder: Path, token: str = ""):
        self.folder, self.token = folder, token
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.start()

    def start(self) -> None:
        """Start, and wait until it answers."""
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(["tests.curate.fakes"])
        self.process = context.Process(target=serve, args=(self.folder, self.port, self.token), daemon=True)
        self.process.start()
        for _ in range(600):
            try:
                self.get("/api/summary")
                return
            except OSError:
                time.sleep(0.1)
        raise TimeoutError("the server did not start")

    def kill(self) -> None:
        """SIGKILL."""
        self.process.kill()
        self.process.join(10)

    def get(self, path: str) -> Any:
        """What the server says, past the browser."""
        request = urllib.request.Request(self.url + path, headers={"Authorization": f"Bearer {self.token}"})
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """Four people of four photos, waiting for review."""
    curate([photos(tmp_path / "photos", [1, 1, 1, 1])], tmp_path / "set", licence="CC0", make_worker=MakeFake())
    running = Server(tmp_path / "set")
    yield running
    running.kill()


def page_of(browser: Any, server: Server, reviewer: str = "Anna", where: str = "") -> Any:
    page = browser.new_context(viewport={"width": 1440, "height": 900}).new_page()
    page.set_default_timeout(60_000)
    page.goto(f"{server.url}/?reviewer={reviewer}{where}")
    page.wait_for_selector("body[data-ready='1']")
    return page


def shown(page: Any) -> int:
    """Who is on the stage."""
    return int(page.evaluate("state.person.id"))


def drag(page: Any, point: str, dx: float, dy: float, shift: bool = False) -> None:
    """Drag a point of the stage by so many pixels of the screen."""
    box = page.locator(f"#main circle[data-name={point}]").bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    if shift:
        page.keyboard.down("Shift")
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + dx / 2, y + dy / 2)
    page.mouse.move(x + dx, y + dy)
    page.mouse.up()
    if shift:
        page.keyboard.up("Shift")


def changed(page: Any, version: int) -> None:
    """Wait until the person on the stage has this version."""
    page.wait_for_function(f"state.person.version === {version} && !state.busy")


def shot(page: Any, name: str) -> None:
    if SHOTS:
        page.wait_for_function("[...document.images].every(image => !image.wanted || image.src.endsWith(image.wanted))")
        page.wait_for_timeout(300)
        page.screenshot(path=str(Path(SHOTS) / f"{name}.png"))


def test_accept_reject_drag_refit_and_reload(browser: Any, server: Server) -> None:
    page = page_of(browser, server)
    first = shown(page)
    shot(page, "loaded")
    page.keyboard.press("a")  # accept, and on to the next
    page.wait_for_function(f"state.person.id !== {first}")
    second = shown(page)
    page.click("#reject")
    page.wait_for_function(f"![{first}, {second}].includes(state.person.id)")
    third = shown(page)

    before = server.get(f"/api/people/{third}")
    wrist = KEYPOINT_NAMES.index("left_wrist")
    screen = page.evaluate("document.querySelector('#main svg').getScreenCTM().a")
    drag(page, "left_wrist", 60, -40)
    changed(page, 1)
    shot(page, "dragged")
    after = server.get(f"/api/people/{third}")
    scale = before["views"]["person"]["scale"] * screen
    assert after["views"]["person"] == before["views"]["person"]  # the stage does not jump
    moved = [after["points"][wrist][k] - before["points"][wrist][k] for k in (0, 1)]
    assert moved == pytest.approx([60 / scale, -40 / scale], abs=1.0)  # photo pixels
    assert after["points"][wrist][2:] == [1.0, 1.0]  # sure, by hand
    assert after["fit"][0][0] > before["fit"][0][0] + 1 and after["fit"][0][1] < before["fit"][0][1] - 1  # fitted anew
    assert after["history"][0]["action"] == "moved left wrist" and after["history"][0]["reviewer"] == "Anna"

    page.reload()
    page.wait_for_selector("body[data-ready='1']")
    assert shown(page) == third and page.evaluate("state.person.version") == 1  # where we were
    assert page.locator("#main circle.hand[data-name=left_wrist]").count() == 1
    decisions = {person["id"]: person["decision"] for person in server.get("/api/people?decision=all")}
    assert decisions == {first: "accepted", second: "rejected"} | dict.fromkeys(
        decisions.keys() - {first, second}, "open"
    )
    assert "1 accepted" in page.inner_text("#counts") and "1 rejected" in page.inner_text("#counts")


def test_several_points_then_one_fit_hide_and_undo(browser: Any, server: Server) -> None:
    page = page_of(browser, server)
    drag(page, "left_wrist", 30, 0, shift=True)
    drag(page, "right_wrist", 30, 0, shift=True)
    assert page.evaluate("state.person.version") == 0 and page.evaluate("state.edits.size") == 2
    page.keyboard.press("f")
    changed(page, 1)
    page.locator("#main circle[data-name=right_wrist]").click()
    page.keyboard.press("x")
    changed(page, 2)
    index = KEYPOINT_NAMES.index("right_wrist")
    assert server.get(f"/api/people/{shown(page)}")["points"][index][2] == 0
    page.keyboard.press("u")
    changed(page, 3)
    assert server.get(f"/api/people/{shown(page)}")["points"][index][2] == 1
    page.keyboard.press("u")
    changed(page, 4)
    person = server.get(f"/api/people/{shown(page)}")
    assert not any(point[3] for point in person["points"])
    assert [change["undone"] for change in person["history"]] == [True, True]


def test_decisions_survive_a_killed_server(browser: Any, server: Server) -> None:
    page = page_of(browser, server)
    first = shown(page)
    page.keyboard.press("r")
    page.wait_for_function(f"state.person.id !== {first}")
    server.kill()
    page.keyboard.press("a")  # nobody is there: it says so, and does not pretend
    page.wait_for_selector("#banner.shown")
    assert "does not answer" in page.inner_text("#banner")
    unsaved = shown(page)
    server.start()
    page.reload()
    page.wait_for_selector("body[data-ready='1']")
    decisions = {person["id"]: person["decision"] for person in server.get("/api/people?decision=all")}
    assert decisions[first] == "rejected" and decisions[unsaved] == "open"


def test_two_reviewers_do_not_overwrite_each_other(browser: Any, server: Server) -> None:
    anna = page_of(browser, server, "Anna")
    person = shown(anna)
    bert = page_of(browser, server, "Bert")
    assert shown(bert) != person  # the queue gives him somebody whom nobody looks at
    bert.evaluate(f"open({person})")
    bert.wait_for_function(f"state.person.id === {person}")
    assert "Anna looks at this person" in bert.inner_text("#banner")
    bert.keyboard.press("r")
    bert.wait_for_function(f"state.person.id !== {person}")
    anna.keyboard.press("a")
    anna.wait_for_selector("#banner.shown")
    shot(anna, "conflict")
    assert "Bert rejected it" in anna.inner_text("#banner")
    assert server.get(f"/api/people/{person}")["decision"] == "rejected"
    assert anna.inner_text("#title .state") == "rejected by Bert"  # she sees how it stands
    anna.keyboard.press("a")  # and may decide again, now knowing
    anna.wait_for_function(f"state.person.id !== {person}")
    assert server.get(f"/api/people/{person}")["decision"] == "accepted"


def test_nobody_decides_without_a_name(browser: Any, server: Server) -> None:
    page = page_of(browser, server, "")
    page.keyboard.press("a")
    page.wait_for_selector("#banner.shown")
    assert server.get("/api/summary")["people"]["accepted"] == 0
    assert page.evaluate("document.activeElement.id") == "reviewer"


def test_when_all_are_reviewed_it_says_so(browser: Any, server: Server) -> None:
    page = page_of(browser, server)
    for left in (3, 2, 1, 0):
        page.keyboard.press("a")
        page.wait_for_function(f"!state.busy && document.querySelector('#counts').innerText.includes('{left} open')")
    page.wait_for_selector("#done.shown")
    page.keyboard.press("r")  # there is nobody left to reject
    page.wait_for_timeout(300)
    assert server.get("/api/summary")["people"] == {"open": 0, "accepted": 4, "rejected": 0}


def test_an_open_server_works_with_its_token_and_no_foreign_page_gets_in(browser: Any, tmp_path: Path) -> None:
    curate([photos(tmp_path / "photos", [1, 1])], tmp_path / "set", make_worker=MakeFake())
    running, errors = Server(tmp_path / "set", "sesame"), []
    try:
        context = browser.new_context(viewport={"width": 1440, "height": 900})
        page = context.new_page()
        page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
        page.goto(f"{running.url}/?token=sesame&reviewer=Anna")
        page.wait_for_selector("body[data-ready='1']")
        assert page.evaluate("location.search") == "?reviewer=Anna" and not page.evaluate("document.cookie")
        first = shown(page)
        page.wait_for_function("document.querySelector('#main img.photo').naturalWidth > 0")
        shot(page, "token")
        page.keyboard.press("a")
        page.wait_for_function(f"state.person.id !== {first} && !state.busy")
        page.reload()  # the cookie has the token
        page.wait_for_selector("body[data-ready='1']")
        page.click("#helpme")
        page.click("#help button")
        assert not page.evaluate("document.querySelector('#help').open")
        refused = [text for text in errors if "(Gone)" not in text]  # pictures of a version that was just decided on
        assert not refused  # its policy lets the page do all it does

        context.route("http://evil.example/", lambda route: route.fulfill(body="<p>", content_type="text/html"))
        foreign = context.new_page()  # of the same browser, which has the cookie
        foreign.goto("http://evil.example/")
        body = json.dumps({"version": 0, "reviewer": "evil", "decision": "rejected"})
        for kind, mode in (("text/plain", "no-cors"), ("application/json", "cors")):
            options = {"method": "POST", "mode": mode, "credentials": "include", "body": body}
            address = f"{running.url}/api/people/{shown(page)}/decision"
            foreign.evaluate(
                "([address, options]) => fetch(address, options).catch(() => 0).then(() => 1)",
                [address, options | {"headers": {"Content-Type": kind}}],
            )
        assert running.get("/api/summary")["people"] == {"open": 1, "accepted": 1, "rejected": 0}
        stranger = browser.new_context().new_page()
        assert stranger.goto(running.url).status == 401 and "token" in stranger.inner_text("body")
    finally:
        running.kill()
