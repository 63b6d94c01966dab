"""Headless Chromium, driven by its DevTools protocol over a pipe: no package, no port.

Debian's package ``chromium`` has it. With NIRC_REQUIRE_ORACLES=1 a missing browser is a failure.
"""

from __future__ import annotations

import base64
import json
import os
import select
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome")
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--remote-debugging-pipe",
)
MOST_SECONDS = 120  # of silence, after which a browser counts as hung
Message = dict[str, Any]


@dataclass
class Page:
    """A tab. ``console``: errors and messages. ``requests``: all addresses that it asked for."""

    browser: Browser
    session: str
    console: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def call(self, method: str, **parameters: Any) -> Message:
        return self.browser.call(method, self.session, **parameters)

    def open(self, file: Path, *, width: int = 1000, dark: bool = False, media: str = "") -> None:
        """Load ``file`` in a window of ``width``. ``media``: print, or as on a screen."""
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", media=media, features=[scheme])
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=900,
            deviceScaleFactor=1,
            mobile=False,
        )
        self.call("Page.navigate", url=file.as_uri())
        self.browser.wait_for("Page.loadEventFired", self.session)

    def value(self, script: str) -> Any:
        """Return the value of a JavaScript expression."""
        found = self.call("Runtime.evaluate", expression=script, returnByValue=True)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def screenshot(self, file: Path) -> None:
        """Write the whole page as a PNG."""
        shot = self.call("Page.captureScreenshot", captureBeyondViewport=True)
        file.write_bytes(base64.b64decode(shot["data"]))

    def pdf(self) -> bytes:
        """Return the page as it is printed."""
        printed = self.call("Page.printToPDF", printBackground=False, preferCSSPageSize=True)
        return base64.b64decode(printed["data"])


class Browser:
    """A running browser."""

    def __init__(self, to: int, back: int) -> None:
        self._to = os.fdopen(to, "wb", buffering=0)
        self._back = os.fdopen(back, "rb", buffering=0)
        self._waiting = select.poll()  # `select` takes no descriptor above 1023
        self._waiting.register(self._back, select.POLLIN)
        self._rest = b""
        self._number = 0
        self._pages: dict[str, Page] = {}

    def page(self) -> Page:
        """Return a new tab."""
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        joined = self.call("Target.attachToTarget", targetId=target, flatten=True)
        page = Page(self, joined["sessionId"])
        self._pages[page.session] = page
        for domain in ("Page", "Runtime", "Log", "Network"):
            page.call(f"{domain}.enable")
        return page

    def call(self, method: str, session: str | None = None, **parameters: Any) -> Message:
        """Send a command, and return its result."""
        self._number += 1
        number = self._number
        message: Message = {"id": number, "method": method, "params": parameters}
        if session is not None:
            message["sessionId"] = session
        self._to.write(json.dumps(message).encode() + b"\0")
        while True:
            answer = self._next()
            if answer.get("id") == number:
                assert "error" not in answer, answer
                return dict(answer["result"])

    def wait_for(self, event: str, session: str) -> None:
        """Return when the tab reports ``event``."""
        while True:
            message = self._next()
            if message.get("method") == event and message.get("sessionId") == session:
                return

    def _next(self) -> Message:
        while b"\0" not in self._rest:
            ready = self._waiting.poll(1000 * MOST_SECONDS)
            part = os.read(self._back.fileno(), 1 << 16) if ready else b""
            assert part, "the browser has ended, or does not answer"
            self._rest += part
        first, _, self._rest = self._rest.partition(b"\0")
        message: Message = json.loads(first)
        page = self._pages.get(message.get("sessionId", ""))
        if page is not None:
            _note(page, message.get("method"), message.get("params", {}))
        return message

    def close(self) -> None:
        """End the browser."""
        self.call("Browser.close")
        self._to.close()
        self._back.close()


def _note(page: Page, method: str | None, parameters: Message) -> None:
    if method == "Runtime.consoleAPICalled":
        page.console.append(json.dumps(parameters["args"]))
    elif method == "Runtime.exceptionThrown":
        page.console.append(json.dumps(parameters["exceptionDetails"]))
    elif method == "Log.entryAdded":
        page.console.append(parameters["entry"]["text"])
    elif method == "Network.requestWillBeSent":
        page.requests.append(parameters["request"]["url"])


@contextmanager
def browser() -> Iterator[Browser]:
    """Start a browser with an empty profile. Skip the test if there is none to start."""
    program = next(filter(None, map(shutil.which, NAMES)), None)
    if program is None:
        if os.environ.get("NIRC_REQUIRE_ORACLES"):
            pytest.fail("no Chromium: apt-get install chromium")
        pytest.skip("no Chromium: apt-get install chromium")
    theirs_in, to = os.pipe()
    back, theirs_out = os.pipe()
    # The protocol is read from descriptor 3 and written to 4.
    move = f'exec "$@" 3<&{theirs_in} 4>&{theirs_out}'
    with tempfile.TemporaryDirectory(prefix="nirc-browser-") as profile:
        process = subprocess.Popen(
            ["/bin/bash", "-c", move, "browser", program, *FLAGS, f"--user-data-dir={profile}"],
            pass_fds=(theirs_in, theirs_out),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(theirs_in)
        os.close(theirs_out)
        running = Browser(to, back)
        try:
            yield running
            running.close()
            process.wait(20)
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
