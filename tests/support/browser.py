"""Chromium, headless, controlled over a pair of pipes: a page as a person with a keyboard would use it."""

import base64
import fcntl
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
_FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-extensions",
    "--disable-sync",
    "--no-first-run",
    "--remote-debugging-pipe",
    "about:blank",
]
_VIOLATIONS = """axe.run(document, { resultTypes: ["violations"] }).then(({ violations }) => violations.map(one =>
  `${one.id}: ${one.nodes.slice(0, 3).map(node => `${node.target} ${node.failureSummary}`).join("; ")}`))"""
_HIGH = 100
"""File descriptors that are surely not the 3 and 4 on which the browser listens and answers."""


@dataclass
class Browser:
    """One tab. Its console errors and network requests are recorded."""

    _in: int
    _out: int
    complaints: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    _session: str | None = None
    _number: int = 0
    _rest: bytes = b""
    _loaded: bool = False

    def open(self, page: Path, width: int = 1280, height: int = 1000, *, dark: bool = False) -> None:
        """Loads the file and waits until it is there."""
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.ask("Emulation.setEmulatedMedia", features=[scheme])
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.ask("Emulation.setDeviceMetricsOverride", **size)
        self._loaded = False
        self.ask("Page.navigate", url=page.absolute().as_uri())
        while not self._loaded:
            self._heard(self._read())

    def value(self, expression: str) -> Any:
        """What this JavaScript gives, or what it promises."""
        result = self.ask("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in result, result
        return result["result"].get("value")

    def click(self, selector: str) -> None:
        """One click, or a touch, in the middle of the first element that matches."""
        box = self.value(f"document.querySelector('{selector}').getBoundingClientRect().toJSON()")
        at = {"x": box["x"] + box["width"] / 2, "y": box["y"] + box["height"] / 2}
        for kind in ("mousePressed", "mouseReleased"):
            self.ask("Input.dispatchMouseEvent", type=kind, button="left", clickCount=1, **at)

    def screenshot(self, file: Path) -> None:
        """What the window shows, as PNG."""
        file.write_bytes(base64.b64decode(self.ask("Page.captureScreenshot", format="png")["data"]))

    def shut_out(self) -> list[str]:
        """What axe finds that shuts people out, low contrast too: the rule and elements. Opens whatever is folded."""
        self.value("document.querySelectorAll('details').forEach(one => one.open = true)")
        self.value(_axe())
        found: list[str] = self.value(_VIOLATIONS)
        return found

    def reachable(self) -> tuple[int, list[str]]:
        """How many links and folded parts the page shows, and those that Tab reaches, each with a visible focus."""
        every = "a[href], summary"
        shown = f'[...document.querySelectorAll("{every}")].filter(one => one.checkVisibility()).length'
        reached: list[str] = []
        while True:
            for kind in ("keyDown", "keyUp"):
                self.ask("Input.dispatchKeyEvent", type=kind, key="Tab", code="Tab", windowsVirtualKeyCode=9)
            here = self.value("document.activeElement.tagName + ' ' + document.activeElement.innerText.slice(0, 40)")
            if here.startswith("BODY"):
                return self.value(shown), reached
            assert self.value("getComputedStyle(document.activeElement).outlineStyle") != "none"
            reached.append(here)

    def ask(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Has the browser do something and returns what it answers."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._in, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._read()
            if answer.get("id") == self._number:
                assert "error" not in answer, answer
                result: dict[str, Any] = answer["result"]
                return result
            self._heard(answer)

    def _read(self) -> dict[str, Any]:
        while b"\0" not in self._rest:
            data = os.read(self._out, 1 << 20)
            assert data, "the browser is gone"
            self._rest += data
        message, _, self._rest = self._rest.partition(b"\0")
        value: dict[str, Any] = json.loads(message)
        return value

    def _heard(self, event: dict[str, Any]) -> None:
        method, parameters = event.get("method"), event.get("params", {})
        if method == "Page.loadEventFired":
            self._loaded = True
        elif method in {"Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Log.entryAdded"}:
            self.complaints.append(json.dumps(parameters))
        elif method == "Network.requestWillBeSent":
            self.requests.append(parameters["request"]["url"])


@cache
def _axe() -> str:
    return files("axe_playwright_python").joinpath("axe.min.js").read_text() + "; null"


@contextmanager
def open_browser() -> Iterator[Browser]:
    """An empty browser, closed at the end."""
    assert CHROMIUM is not None
    theirs_in, ours_in = os.pipe()
    ours_out, theirs_out = os.pipe()
    high = [fcntl.fcntl(number, fcntl.F_DUPFD, _HIGH) for number in (theirs_in, theirs_out)]
    with tempfile.TemporaryDirectory(prefix="browser-", ignore_cleanup_errors=True) as profile:
        script = f'exec "$@" 3<&{high[0]} 4>&{high[1]}'
        command = ["bash", "-c", script, "bash", CHROMIUM, f"--user-data-dir={profile}", *_FLAGS]
        with subprocess.Popen(command, pass_fds=high, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
            for number in (theirs_in, theirs_out, *high):
                os.close(number)
            browser = Browser(ours_in, ours_out)
            target = browser.ask("Target.createTarget", url="about:blank")["targetId"]
            browser._session = browser.ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
            for domain in ("Page", "Runtime", "Log", "Network"):
                browser.ask(f"{domain}.enable")
            try:
                yield browser
            finally:
                os.close(ours_in)  # which ends it
                process.wait(20)
                os.close(ours_out)
