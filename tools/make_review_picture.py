"""Draw docs/images/review.jpg: the review page in a real browser, with the bundled photos.

pip install -e '.[review,browser]' && apt install chromium-headless-shell
python tools/make_review_picture.py
"""

import io
import shutil
import tempfile
import threading
import time
from pathlib import Path

import tyro
import uvicorn
from PIL import Image
from playwright.sync_api import sync_playwright

from limner.curate.bench import Bench
from limner.curate.review import make_app
from limner.curate.run import curate, load_body
from limner.curate.store import CuratedSet
from limner.curate.work import Refitter

ROOT = Path(__file__).parents[1]
PHOTOS = ROOT / "src" / "limner" / "assets" / "photos"
LOADED = "[...document.images].every(image => !image.wanted || image.src.endsWith(image.wanted))"


def picture(port: int) -> bytes:
    """Open the page, drag a wrist, wait for the new fit."""
    with sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=shutil.which("chromium-headless-shell"))
        page = chromium.new_context(viewport={"width": 1440, "height": 900}).new_page()
        page.set_default_timeout(120_000)
        page.goto(f"http://127.0.0.1:{port}/?reviewer=Anna#1")
        page.wait_for_selector("body[data-ready='1']")
        page.evaluate("document.querySelector('#opacity').value = 70; mesh()")
        box = page.locator("#main circle[data-name=right_wrist]").bounding_box()
        assert box is not None
        x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        page.mouse.move(x, y)
        page.mouse.down()
        page.mouse.move(x + 20, y + 10)
        page.mouse.move(x + 34, y + 18)
        page.mouse.up()
        page.wait_for_function("state.person.version === 1 && !state.busy")
        page.wait_for_function(LOADED)
        page.wait_for_timeout(500)
        return page.screenshot()


def main(out: Path = ROOT / "docs" / "images" / "review.jpg", port: int = 8790) -> None:
    """Curate the bundled photos and take the picture."""
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder) / "bundled photos"
        curate([PHOTOS], made, licence="public domain, CC0")
        curated = CuratedSet.open(made)
        model = load_body(curated)
        app = make_app(Bench(curated, model, Refitter(model)))
        server = uvicorn.Server(uvicorn.Config(app, port=port, log_level="error"))
        thread = threading.Thread(target=server.run)
        thread.start()
        while not server.started:
            time.sleep(0.1)
        try:
            shot = picture(port)
        finally:
            server.should_exit = True
            thread.join()
    Image.open(io.BytesIO(shot)).convert("RGB").save(out, quality=88)


if __name__ == "__main__":
    tyro.cli(main)
