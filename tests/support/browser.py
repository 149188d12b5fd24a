"""A real headless Chromium, spoken to over its DevTools protocol by a plain WebSocket.

Nothing but aiohttp is needed. Whatever a page throws, logs as an error, refuses under its policy
or asks of the network is kept, so that a test can demand that there was none of it.
"""

import asyncio
import base64
import contextlib
import itertools
import os
import shutil
import signal
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import aiohttp

from tests.support.processes import Server, ServerFailedError

_NAMES: Final = (
    "/usr/lib/chromium/chromium-headless-shell",
    "chromium",
    "chromium-browser",
    "google-chrome",
)
MISSING: Final = "no Chromium: apt-get install chromium-headless-shell fonts-dejavu-core"

# Generous: a machine that runs other things at the same time must not turn a test red.
PATIENCE: Final = 20.0

_FLAGS: Final = (
    "--headless",
    "--no-sandbox",  # tests run as root in containers
    "--no-zygote",  # children stay in the browser's process group
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-extensions",
    "--disable-background-networking",
    "--disable-component-update",
    "--no-first-run",
    "--force-color-profile=srgb",
    "--js-flags=--expose-gc",
    "--remote-debugging-port=0",
)
_KEYS: Final = {"Tab": 9, "Enter": 13, "Escape": 27, " ": 32, "/": 191, "?": 191}


def find_chromium() -> str | None:
    """Path of a Chromium, or None where none is installed."""
    return next((path for name in _NAMES if (path := shutil.which(name))), None)


class PageFailedError(AssertionError):
    """A condition did not come true in time, or a script threw."""


class Browser:
    """Started on entry; on exit it is killed with every process it started."""

    def __init__(self) -> None:
        found = find_chromium()
        if found is None:
            raise FileNotFoundError(MISSING)
        self._binary = found
        self._dir = tempfile.TemporaryDirectory(prefix="rk-browser-", ignore_cleanup_errors=True)
        self._profile = Path(self._dir.name) / "profile"
        self._server: Server | None = None
        self.port = 0

    def __enter__(self) -> Self:
        told = self._profile / "DevToolsActivePort"
        command = [self._binary, *_FLAGS, f"--user-data-dir={self._profile}", "about:blank"]
        self._server = Server(command, Path(self._dir.name) / "log")

        def listens() -> bool:
            with contextlib.suppress(OSError, ValueError):
                self.port = int(told.read_text().split()[0])
            return self.port > 0

        self._server.wait_until(listens, seconds=60, name="Chromium")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._server is not None
        if self._server.running:
            self._server.kill()
        deadline = time.monotonic() + 10
        while left := self.processes():
            if time.monotonic() > deadline:
                raise ServerFailedError(f"processes of the browser outlive it: {left}")
            for pid in left:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.02)  # between two looks at /proc, up to the deadline above
        self._dir.cleanup()

    def processes(self) -> list[int]:
        """Every process that runs with this browser's profile, whoever is its parent now."""
        found = []
        for entry in Path("/proc").iterdir():
            with contextlib.suppress(OSError):
                if entry.name.isdigit() and str(self._profile) in (entry / "cmdline").read_text():
                    found.append(int(entry.name))
        return found

    @contextlib.asynccontextmanager
    async def page(
        self, url: str, *, width: int = 1280, height: int = 800, scheme: str = "light"
    ) -> AsyncIterator["Page"]:
        """Open a tab of this size and colour scheme at ``url``, closed at the end."""
        async with aiohttp.ClientSession() as session:
            root = f"http://127.0.0.1:{self.port}/json"
            async with session.put(f"{root}/new?about:blank") as answer:
                tab = await answer.json()
            async with session.ws_connect(
                tab["webSocketDebuggerUrl"], max_msg_size=0, heartbeat=None
            ) as socket:
                page = Page(socket)
                listening = asyncio.create_task(page.listen())
                try:
                    await page.prepare(width, height, scheme)
                    await page.go(url)
                    yield page
                finally:
                    listening.cancel()
                    with contextlib.suppress(asyncio.CancelledError):
                        await listening
                    async with session.get(f"{root}/close/{tab['id']}"):
                        pass


class Page:
    """One tab: what it was told and what came of it.

    ``requests``: every address it asked for. ``faults``: exceptions, console errors and what the
    content policy refused, as text.
    """

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._ids = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self.requests: list[str] = []
        self.faults: list[str] = []

    async def listen(self) -> None:
        """Sort what the browser says until it hangs up."""
        async for message in self._socket:
            said = message.json()
            if "id" in said:
                waiting = self._waiting.pop(said["id"], None)
                if waiting is not None and not waiting.done():
                    waiting.set_result(said)
            else:
                self._keep(said["method"], said["params"])

    def _keep(self, method: str, said: dict[str, Any]) -> None:
        if method == "Network.requestWillBeSent":
            self.requests.append(said["request"]["url"])
        elif method == "Runtime.exceptionThrown":
            details = said["exceptionDetails"]
            self.faults.append(details.get("exception", {}).get("description") or details["text"])
        elif method == "Runtime.consoleAPICalled" and said["type"] in {"error", "assert"}:
            self.faults.append(" ".join(str(a.get("value", a)) for a in said["args"]))
        elif method == "Log.entryAdded" and said["entry"]["level"] == "error":
            entry = said["entry"]
            self.faults.append(f"{entry['source']}: {entry['text']} {entry.get('url', '')}".strip())

    async def prepare(self, width: int, height: int, scheme: str) -> None:
        """Switch on what is recorded, and set the size and what the media queries say."""
        for domain in ("Page", "Runtime", "Network", "Log", "DOM", "Accessibility"):
            await self.call(f"{domain}.enable")
        await self.resize(width, height)
        await self.media(scheme)

    async def resize(self, width: int, height: int) -> None:
        """Make the window this large; below 600 px it is a phone."""
        await self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=width < 600,
        )

    async def media(self, scheme: str, *, reduced_motion: bool = False) -> None:
        """Answer the media queries for colour scheme and motion."""
        motion = "reduce" if reduced_motion else "no-preference"
        await self.call(
            "Emulation.setEmulatedMedia",
            features=[
                {"name": "prefers-color-scheme", "value": scheme},
                {"name": "prefers-reduced-motion", "value": motion},
            ],
        )

    async def go(self, url: str) -> None:
        """Open an address; returns when its document is there."""
        await self.call("Page.navigate", url=url)
        await self.until("location.href !== 'about:blank' && document.readyState === 'complete'")

    async def call(self, method: str, **params: Any) -> dict[str, Any]:
        """Call one method of the protocol; raises PageFailedError when it is refused."""
        number = next(self._ids)
        answer: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._waiting[number] = answer
        await self._socket.send_json({"id": number, "method": method, "params": params})
        said = await asyncio.wait_for(answer, PATIENCE)
        if "error" in said:
            raise PageFailedError(f"{method}: {said['error']['message']}")
        result: dict[str, Any] = said["result"]
        return result

    async def evaluate(self, script: str) -> Any:
        """Return the value of an expression; promises are awaited."""
        said = await self.call(
            "Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True
        )
        if details := said.get("exceptionDetails"):
            raise PageFailedError(f"{script}: {details.get('exception', {}).get('description')}")
        return said["result"].get("value")

    async def until(self, condition: str, seconds: float = PATIENCE) -> Any:
        """Wait until an expression is true; returns its value."""
        deadline = time.monotonic() + seconds
        while True:
            with contextlib.suppress(PageFailedError):  # a document that is being replaced
                if value := await self.evaluate(condition):
                    return value
            if time.monotonic() > deadline:
                raise PageFailedError(f"not within {seconds:g} s: {condition}\n{await self.seen()}")
            await asyncio.sleep(0.03)

    async def seen(self) -> str:
        """Return what a reader sees, and what went wrong, for a failure's message."""
        text = await self.evaluate("document.body ? document.body.innerText : ''")
        return "\n".join([*self.faults, str(text)[:3000]])

    async def press(self, key: str, *, shift: bool = False) -> None:
        """Press and release one key."""
        text = {"Enter": "\r", "Tab": ""}.get(key, key if len(key) == 1 else "")
        common = {
            "key": key,
            "windowsVirtualKeyCode": _KEYS.get(key, ord(key[0].upper())),
            "modifiers": 8 if shift else 0,
        }
        await self.call("Input.dispatchKeyEvent", type="keyDown", text=text, **common)
        await self.call("Input.dispatchKeyEvent", type="keyUp", **common)

    async def type(self, text: str) -> None:
        """Write into what has the focus."""
        await self.call("Input.insertText", text=text)

    async def click(self, selector: str) -> None:
        """Click the middle of an element as a mouse does, so that what covers it would be hit."""
        place = await self.until(
            f"(() => {{ const e = document.querySelector({selector!r}); if (!e) return null;"
            "e.scrollIntoView({block: 'center', behavior: 'instant'});"
            "const b = e.getBoundingClientRect();"
            "return b.width ? {x: b.x + b.width / 2, y: b.y + b.height / 2} : null })()"
        )
        for kind in ("mousePressed", "mouseReleased"):
            await self.call(
                "Input.dispatchMouseEvent", type=kind, button="left", clickCount=1, **place
            )

    async def accessible(self) -> list[dict[str, Any]]:
        """Return what a screen reader is told: role, name and properties of every node."""
        said = await self.call("Accessibility.getFullAXTree")
        return [
            {
                "role": node.get("role", {}).get("value", ""),
                "name": node.get("name", {}).get("value", ""),
                "properties": {p["name"]: p["value"].get("value") for p in node["properties"]}
                if "properties" in node
                else {},
            }
            for node in said["nodes"]
            if not node.get("ignored")
        ]

    async def heap(self) -> int:
        """Return the bytes of JavaScript in use after a full collection."""
        await self.call("HeapProfiler.collectGarbage")
        usage = await self.call("Runtime.getHeapUsage")
        return int(usage["usedSize"])

    async def counters(self) -> dict[str, int]:
        """Return how many documents, DOM nodes and listeners are alive after a collection."""
        await self.call("HeapProfiler.collectGarbage")
        return await self.call("Memory.getDOMCounters")

    async def screenshot(self, *, whole: bool = True) -> bytes:
        """Return a PNG of the page; ``whole``: beyond the window too."""
        params: dict[str, Any] = {"format": "png", "captureBeyondViewport": whole}
        if whole:
            size = (await self.call("Page.getLayoutMetrics"))["cssContentSize"]
            params["clip"] = {**size, "scale": 1}
        said = await self.call("Page.captureScreenshot", **params)
        return base64.b64decode(said["data"])
