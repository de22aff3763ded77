"""A page that is worked with: a headless chromium, its keys pressed and its downloads taken, by a pipe.

Speaks the DevTools protocol over two file descriptors (`--remote-debugging-pipe`), so that it needs no
port and no library. `tests.browser` is for pages that are only looked at.
"""

import base64
import itertools
import json
import os
import select
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.browser import CHROMIUM
from tests.patience import eventually

_ANSWER_WITHIN_S = 60.0


class Tab:
    """One tab of the browser."""

    def __init__(self, to: int, answers: int, downloads: Path) -> None:
        self.complaints: list[str] = []
        """All that the page's console said, and what the page's policy refused."""
        self.asked: list[str] = []
        """The dialogs that the page opened; each was answered with yes."""
        self.downloads = downloads
        self._to = to
        self._answers = answers
        self._pending = b""
        self._numbers = itertools.count(1)
        self._session: str | None = None
        target = self._ask("Target.createTarget", url="about:blank")["targetId"]
        attached = self._ask("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log"):
            self._ask(f"{domain}.enable")
        self._ask("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(downloads))

    def open(self, page: Path) -> None:
        """Go to a file and wait until it is there."""
        self._ask("Page.navigate", url=page.resolve().as_uri())
        assert eventually(lambda: self.run("document.readyState") == "complete")

    def run(self, script: str) -> Any:
        """What an expression comes to in the page."""
        answer = self._ask("Runtime.evaluate", expression=script, returnByValue=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def press(self, *keys: str) -> None:
        """Press and release keys one after the other, as the keyboard would: `1`, `u`, `ArrowLeft`."""
        for key in keys:
            text = key if len(key) == 1 else ""
            code = ord(key.upper()) if text else {"ArrowLeft": 37, "ArrowRight": 39, "Tab": 9}[key]
            about = {"key": key, "windowsVirtualKeyCode": code}
            self._ask("Input.dispatchKeyEvent", type="keyDown", text=text, **about)
            self._ask("Input.dispatchKeyEvent", type="keyUp", **about)

    def downloaded(self, name: str) -> str:
        """The text of a file, not an empty one, that the page saves."""
        file = self.downloads / name
        assert eventually(lambda: file.is_file() and file.stat().st_size)
        return file.read_text(encoding="utf-8")

    def picture(self, file: Path, width: int, height: int) -> None:
        """What the page looks like, as a PNG file."""
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self._ask("Emulation.setDeviceMetricsOverride", **size)
        file.write_bytes(base64.b64decode(self._ask("Page.captureScreenshot")["data"]))

    def _ask(self, method: str, **parameters: object) -> Any:
        number = self._send(method, parameters)
        deadline = time.monotonic() + _ANSWER_WITHIN_S
        while time.monotonic() < deadline:
            answer = self._next(deadline)
            if answer.get("id") == number:
                assert "error" not in answer, answer
                return answer["result"]
            self._note(answer)
        raise AssertionError(f"no answer to {method}")

    def _send(self, method: str, parameters: Mapping[str, object]) -> int:
        number = next(self._numbers)
        message: dict[str, object] = {"id": number, "method": method, "params": parameters}
        if self._session is not None and not method.startswith("Browser."):
            message["sessionId"] = self._session
        os.write(self._to, json.dumps(message).encode() + b"\0")
        return number

    def _next(self, deadline: float) -> dict[str, Any]:
        while b"\0" not in self._pending:
            wait_s = max(0.0, deadline - time.monotonic())
            assert select.select([self._answers], [], [], wait_s)[0], "the browser says nothing"
            more = os.read(self._answers, 1 << 20)
            assert more, "the browser has gone"
            self._pending += more
        message, _, self._pending = self._pending.partition(b"\0")
        found: dict[str, Any] = json.loads(message)
        return found

    def _note(self, event: dict[str, Any]) -> None:
        match event.get("method"):
            case "Log.entryAdded":
                self.complaints.append(event["params"]["entry"]["text"])
            case "Page.javascriptDialogOpening":
                self.asked.append(event["params"]["type"])
                self._send("Page.handleJavaScriptDialog", {"accept": True})
            case "Runtime.consoleAPICalled" | "Runtime.exceptionThrown":
                self.complaints.append(json.dumps(event["params"]))


@contextmanager
def tab(folder: Path) -> Iterator[Tab]:
    """A browser with one tab; it saves into `folder / "downloads"` and reaches no network."""
    assert CHROMIUM is not None
    downloads = folder / "downloads"
    downloads.mkdir()
    commands, to = os.pipe()
    answers, back = os.pipe()
    words = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
    words += ["--remote-debugging-pipe", "--host-resolver-rules=MAP * ~NOTFOUND"]
    words += [f"--user-data-dir={folder / 'profile'}"]
    # The browser reads from descriptor 3 and writes to 4.
    shell = f'exec "$@" 3<&{commands} 4>&{back}'
    browser = subprocess.Popen(
        ["bash", "-c", shell, "bash", *words],
        pass_fds=(commands, back),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    os.close(commands)
    os.close(back)
    try:
        yield Tab(to, answers, downloads)
    finally:
        browser.kill()
        browser.wait()
        os.close(to)
        os.close(answers)
