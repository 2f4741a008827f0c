"""The queue in a browser: a real server, the real command, and HTTP as a browser speaks it."""

import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from threedimo.media.video import probe_video

PATIENCE_S = 30.0


@dataclass
class Browser:
    """One browser: it remembers its cookie, and says what browsers say."""

    address: str
    cookie: str = ""
    host: str = field(init=False)

    def __post_init__(self) -> None:
        self.host = urlsplit(self.address).netloc

    def ask(self, path: str, method: str = "GET", **headers: str) -> tuple[int, dict[str, str], bytes]:
        connection = http.client.HTTPConnection(self.host, timeout=PATIENCE_S)
        sent = {"cookie": self.cookie} | {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, path, headers=sent)
        answer = connection.getresponse()
        found = answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
        connection.close()
        return found

    def open(self) -> None:
        parts = urlsplit(self.address)
        status, headers, _ = self.ask(f"{parts.path}?{parts.query}")
        assert status == 303, status
        self.cookie = headers["set-cookie"].split(";")[0]

    def text(self, path: str) -> str:
        status, _, body = self.ask(path)
        assert status == 200, (path, status)
        return body.decode()

    def press(self, path: str) -> int:
        return self.ask(path, "POST", origin=f"http://{self.host}")[0]

    def wait_for(self, words: str, path: str = "/queue") -> str:
        deadline = time.monotonic() + PATIENCE_S
        while words not in (text := self.text(path)):
            assert time.monotonic() < deadline, text
            time.sleep(0.1)
        return text


class PageProcess:
    """The command `threedimo page`, of one server."""

    def __init__(self, server, temporary: Path, *more: str):
        temporary.mkdir(exist_ok=True)
        self.temporary = temporary
        connection_file = str(server.home / "connection.json")
        self.process = subprocess.Popen(
            [
                *(sys.executable, "-m", "threedimo_server.cli", "page", "--no-browser"),
                *("--server", connection_file, *more),
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | {"TMPDIR": str(temporary), "OMP_NUM_THREADS": "1"},
        )
        assert self.process.stdout is not None
        self.address = self.process.stdout.readline().removeprefix("queue: ").strip()

    def opened(self) -> Browser:
        browser = Browser(self.address)
        browser.open()
        return browser

    def stop(self, number: int = signal.SIGINT) -> tuple[int, str]:
        if self.process.poll() is None:
            self.process.send_signal(number)
        _, problems = self.process.communicate(timeout=PATIENCE_S)
        return self.process.returncode, problems


@pytest.fixture
def serve_page(tmp_path: Path) -> Iterator[Callable[..., PageProcess]]:
    pages: list[PageProcess] = []

    def serve(server, *more: str) -> PageProcess:
        pages.append(PageProcess(server, tmp_path / "temporary", *more))
        return pages[-1]

    yield serve
    for page in pages:
        page.stop()


def test_jobs_appear_with_their_states_and_results_play(start_server, serve_page, follow, inputs):
    server = start_server()
    browser = serve_page(server).opened()
    assert "No jobs yet" in browser.text("/")
    follower = follow(server)
    job_id = follower.submit(inputs, "Front view.", seed=7, label="<b>shot 1</b>")
    follower.end(job_id)
    queue = browser.wait_for(f"/jobs/{job_id}/viewer")
    assert "&lt;b&gt;shot 1&lt;/b&gt;" in queue  # what people type is never markup
    assert "<b>shot 1</b>" not in queue

    viewer = browser.text(f"/jobs/{job_id}/viewer")
    assert f'src="/jobs/{job_id}/film.mp4"' in viewer
    assert "Front view." in viewer
    assert "<dd>7</dd>" in viewer
    assert browser.text(f"/jobs/{job_id}/viewer") == viewer  # also a second time
    status, headers, film = browser.ask(f"/jobs/{job_id}/film.mp4")
    assert (status, headers["content-type"]) == (200, "video/mp4")
    status, headers, part = browser.ask(f"/jobs/{job_id}/film.mp4", range="bytes=4-7")
    assert (status, part) == (206, b"ftyp")
    file = server.home / "film.mp4"
    file.write_bytes(film)
    found = probe_video(file)
    assert (found.num_frames, found.width, found.height) == (9, 64, 32)


def test_a_running_job_shows_progress_and_preview_and_is_cancelled(start_server, serve_page, follow, inputs):
    server = start_server()
    browser = serve_page(server).opened()
    follower = follow(server)
    job_id = follower.submit(inputs, "slow", num_inference_steps=150)
    follower.state(job_id, "running")
    browser.wait_for("denoising")
    browser.wait_for(f"/jobs/{job_id}/preview.jpg?step=")
    status, headers, jpeg = browser.ask(f"/jobs/{job_id}/preview.jpg")
    assert (status, headers["content-type"], jpeg[:2]) == (200, "image/jpeg", b"\xff\xd8")
    assert browser.press(f"/jobs/{job_id}/cancel") == 200
    assert follower.end(job_id).state == "cancelled"
    queue = browser.wait_for('<span class="state">cancelled</span>')
    assert f"/jobs/{job_id}/cancel" not in queue
    assert "there is no film" in browser.text(f"/jobs/{job_id}/viewer")
    assert browser.ask(f"/jobs/{job_id}/film.mp4")[0] == 404


def test_a_failed_job_says_why(start_server, serve_page, follow, inputs):
    server = start_server()
    browser = serve_page(server).opened()
    follower = follow(server)
    follower.end(follower.submit(inputs, "wrong"))
    assert "job.failed" in browser.wait_for('<span class="state">failed</span>')


def test_a_job_that_nobody_knows_is_no_page(shared_server, serve_page):
    browser = serve_page(shared_server).opened()
    unknown = "00000000-0000-4000-8000-000000000000"
    assert "the server has no such job" in browser.text(f"/jobs/{unknown}/viewer")
    assert browser.ask(f"/jobs/{unknown}/preview.jpg")[0] == 404
    assert browser.ask("/jobs/../../etc/passwd/film.mp4")[0] == 404
    assert browser.ask("/static/../app.py")[0] == 404


def test_no_other_browser_page_or_name_gets_in(shared_server, serve_page):
    page = serve_page(shared_server)
    stranger = Browser(page.address)
    for path in ("/", "/queue", "/static/page.css", "/?token=guessed"):
        status, headers, body = stranger.ask(path)
        assert (status, b"threedimo page" in body) == (403, True), path
        assert headers["content-security-policy"].startswith("default-src 'self'")
    own = page.opened()
    cancel = "/jobs/00000000-0000-4000-8000-000000000000/cancel"
    assert own.ask("/queue")[0] == 200
    assert own.ask("/queue", host="evil.example")[0] == 400
    assert own.ask(cancel, "POST")[0] == 403
    assert own.ask(cancel, "POST", origin="http://evil.example")[0] == 403
    assert own.ask(cancel)[0] == 405
    assert own.press(cancel) == 200


def test_the_page_outlives_its_server(start_server, serve_page, follow, inputs):
    server = start_server()
    page = serve_page(server)
    browser = page.opened()
    follower = follow(server)
    job_id = follower.submit(inputs)
    follower.end(job_id)
    browser.wait_for(f"/jobs/{job_id}/viewer")
    server.kill()
    assert f"/jobs/{job_id}/viewer" in browser.wait_for("connection lost")
    server.start()
    deadline = time.monotonic() + PATIENCE_S
    while 'role="alert"' in browser.text("/queue"):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert "film.mp4" in browser.text(f"/jobs/{job_id}/viewer")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_ends_quietly_and_leaves_nothing(shared_server, serve_page, number):
    page = serve_page(shared_server)
    page.opened().text("/")
    assert page.stop(number) == (0, "")
    assert list(page.temporary.iterdir()) == []


def test_a_taken_port_is_told(shared_server, serve_page):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        status, problem = serve_page(shared_server, "--port", str(other.getsockname()[1])).stop()
    assert status == 7
    assert "server.port_in_use" in problem


@pytest.mark.gui
def test_in_a_real_browser(start_server, serve_page, follow, inputs, tmp_path, wait):
    playwright = pytest.importorskip("playwright.sync_api")
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("there is no chromium on this machine")
    server = start_server()
    page_process = serve_page(server)
    follower = follow(server)
    done = follower.submit(inputs, label="sh010")
    follower.end(done)
    with playwright.sync_playwright() as play:
        browser = play.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page()
        complaints: list[str] = []
        page.on("console", lambda message: complaints.append(f"{message.text} {message.location}"))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(page_process.address)
        assert "token" not in page.url
        page.get_by_role("button", name="Play").click()
        wait(lambda: page.evaluate("document.querySelector('video')?.currentTime ?? 0") > 0)
        size = page.evaluate(
            "[document.querySelector('video').videoWidth, document.querySelector('video').videoHeight]"
        )
        assert size == [64, 32]
        slow = follower.submit(inputs, "slow", num_inference_steps=150, label="sh020")
        follower.state(slow, "running")
        cancel = page.get_by_role("button", name="Cancel")
        cancel.wait_for()
        page.locator("td img").wait_for()
        page.screenshot(path=str(tmp_path / "page.png"))
        page.on("dialog", lambda dialog: dialog.accept())
        cancel.click()
        page.locator("tr.cancelled").wait_for()
        assert page.evaluate("document.querySelector('video').currentTime") > 0  # it plays on
        browser.close()
    assert complaints == [], json.dumps(complaints)
