"""A browser without a screen, driven over a pipe by the DevTools protocol; nothing but the standard library.

Messages are JSON, each ended by a NUL: the browser reads them from file descriptor 3 and writes them to 4. Every wait has an
end, and closing kills the browser's whole process group, so that nothing can hang or stay behind.
"""

import base64
import contextlib
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome")
PATIENCE = 60.0  # seconds
FLAGS = (
    "--headless=new",
    "--remote-debugging-pipe",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-extensions",
    "--disable-background-networking",
    "--disable-breakpad",
    "--no-first-run",
    "--hide-scrollbars",
)
# The browser insists on descriptors 3 and 4, which this process may be using for something else.
START = "import os, sys; os.dup2(int(sys.argv[1]), 3); os.dup2(int(sys.argv[2]), 4); os.execv(sys.argv[3], sys.argv[3:])"
KEY_CODES = {"ArrowLeft": 37, "ArrowUp": 38, "ArrowRight": 39, "ArrowDown": 40, "Escape": 27, "Enter": 13, "Tab": 9}

Json = dict[str, Any]


def installed() -> str | None:
    """The path of a browser that can be driven, or None."""
    return next(filter(None, map(shutil.which, NAMES)), None) if os.name == "posix" else None


class BrowserError(Exception):
    """The browser did not answer, or answered with an error."""


class NavigatedError(BrowserError):
    """The page was replaced by another while it was being asked."""


class Browser:
    """A browser at `path`, with its profile in the empty folder `profile`; a context manager."""

    def __init__(self, path: str, profile: Path) -> None:
        theirs_in, self.writes = os.pipe()
        self.reads, theirs_out = os.pipe()
        high = [os.dup(fd) for fd in (theirs_in, theirs_out)]
        while min(high) < 5:  # so that neither is in the other's way
            high = [os.dup(fd) for fd in high]
        root = ("--no-sandbox",) if hasattr(os, "geteuid") and os.geteuid() == 0 else ()
        command = (path, *FLAGS, *root, f"--user-data-dir={profile}", "about:blank")
        self.process = subprocess.Popen(
            [sys.executable, "-c", START, *map(str, high), *command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            pass_fds=high,
            start_new_session=True,
        )
        for fd in {theirs_in, theirs_out, *high}:
            os.close(fd)
        self.received = b""
        self.number = 0
        self.tabs: dict[str, Tab] = {}

    def __enter__(self) -> "Browser":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(PATIENCE)
        os.close(self.writes)
        os.close(self.reads)

    def send(self, method: str, session: str | None = None, **parameters: Any) -> Json:
        """Call `method` and give its result; what happens meanwhile goes to the tabs that it happens in."""
        self.number += 1
        message = {"id": self.number, "method": method, "params": parameters} | ({"sessionId": session} if session else {})
        os.write(self.writes, json.dumps(message).encode() + b"\0")
        deadline = time.monotonic() + PATIENCE
        while True:
            answer = self._next(deadline)
            if answer.get("id") == self.number:
                break
            if tab := self.tabs.get(answer.get("sessionId", "")):
                tab.heard(answer)
        if "error" in answer:
            kind = NavigatedError if "navigated" in answer["error"]["message"] else BrowserError
            raise kind(f"{method}: {answer['error']['message']}")
        result: Json = answer["result"]
        return result

    def _next(self, deadline: float) -> Json:
        while b"\0" not in self.received:
            ready, _, _ = select.select([self.reads], [], [], max(0.0, deadline - time.monotonic()))
            piece = os.read(self.reads, 1 << 20) if ready else b""
            if not piece:
                raise BrowserError("the browser has gone" if ready else f"the browser said nothing for {PATIENCE} s")
            self.received += piece
        message, self.received = self.received.split(b"\0", 1)
        answer: Json = json.loads(message)
        return answer

    def open(self, file: Path, *, width: int = 1280, height: int = 800, dark: bool = False, fragment: str = "") -> "Tab":
        """A new tab with the page in `file`, once it says that it is ready."""
        target = self.send("Target.createTarget", url="about:blank")["targetId"]
        session = self.send("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        tab = self.tabs[session] = Tab(self, session)
        for domain in ("Runtime", "Log", "Page"):
            tab.send(f"{domain}.enable")
        tab.resize(width, height)
        tab.send(
            "Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        )
        tab.send("Page.navigate", url=file.as_uri() + fragment)
        tab.wait_for("document.documentElement?.dataset.ready === 'yes'")
        return tab


class Tab:
    """One page. `problems` are all errors, warnings and violations of a policy that it has reported."""

    def __init__(self, browser: Browser, session: str) -> None:
        self.browser, self.session = browser, session
        self.problems: list[str] = []

    def send(self, method: str, **parameters: Any) -> Json:
        """Call a method of the protocol for this tab."""
        return self.browser.send(method, self.session, **parameters)

    def heard(self, event: Json) -> None:
        """Take note of what the page reports."""
        parameters = event.get("params", {})
        if event["method"] == "Log.entryAdded":
            self.problems.append(parameters["entry"]["text"])
        elif event["method"] == "Runtime.exceptionThrown":
            details = parameters["exceptionDetails"]
            self.problems.append(details.get("exception", {}).get("description", details["text"]))
        elif event["method"] == "Runtime.consoleAPICalled" and parameters["type"] in ("error", "warning", "assert"):
            self.problems.append(str(parameters["args"]))

    def evaluate(self, expression: str) -> Any:
        """The value of a JavaScript expression; promises are waited for."""
        result = self.send("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in result:
            raise BrowserError(result["exceptionDetails"].get("exception", {}).get("description", expression))
        return result["result"].get("value")

    def wait_for(self, condition: str) -> None:
        """Wait until a JavaScript expression is true."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            try:
                if self.evaluate(f"Boolean({condition})"):
                    return
            except NavigatedError:
                pass
            time.sleep(0.02)
        raise BrowserError(f"never true: {condition}; problems: {self.problems}")

    def text(self, selector: str) -> str:
        """The text of the first element that `selector` finds, as it is shown."""
        return str(self.evaluate(f"document.querySelector({json.dumps(selector)}).innerText"))

    def style(self, selector: str, name: str) -> str:
        """A computed style of the first element that `selector` finds."""
        return str(self.evaluate(f"getComputedStyle(document.querySelector({json.dumps(selector)}))[{json.dumps(name)}]"))

    def hover(self, selector: str) -> None:
        """Move the mouse to the middle of the first element that `selector` finds."""
        self._mouse(selector, "mouseMoved")

    def click(self, selector: str) -> None:
        """Click in the middle of the first element that `selector` finds."""
        self._mouse(selector, "mouseMoved", "mousePressed", "mouseReleased")

    def _mouse(self, selector: str, *kinds: str) -> None:
        x, y = self._middle(selector)
        for kind in kinds:
            button = {} if kind == "mouseMoved" else {"button": "left", "clickCount": 1}
            self.send("Input.dispatchMouseEvent", type=kind, x=x, y=y, **button)

    def _middle(self, selector: str) -> tuple[float, float]:
        """Where the element's middle is, once it is in sight, uncovered and at rest."""
        element = f"document.querySelector({json.dumps(selector)})"
        look = f"""(() => {{
            {element}.scrollIntoView({{block: "nearest"}});
            const {{x, y, width, height}} = {element}.getBoundingClientRect();
            const middle = [x + width / 2, y + height / 2];
            return {element}.contains(document.elementFromPoint(...middle)) ? middle : null;
        }})()"""
        deadline, before = time.monotonic() + PATIENCE, None
        while time.monotonic() < deadline:
            middle = self.evaluate(look)
            if middle and middle == before:
                return middle[0], middle[1]
            before = middle
            time.sleep(0.05)  # a few frames
        raise BrowserError(f"nothing to point at: {selector}")

    def press(self, key: str) -> None:
        """Press and release a key: a character, or a name such as ArrowDown."""
        code = {"windowsVirtualKeyCode": KEY_CODES[key]} if key in KEY_CODES else {"text": key}
        self.send("Input.dispatchKeyEvent", type="keyDown", key=key, **code)
        self.send("Input.dispatchKeyEvent", type="keyUp", key=key)

    def resize(self, width: int, height: int) -> None:
        """Make the window `width` by `height` pixels."""
        self.send("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)

    def screenshot(self, file: Path, *, whole: bool = False) -> None:
        """Write what is seen, or the whole page, as a PNG."""
        shot = self.send("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        file.write_bytes(base64.b64decode(shot["data"]))
