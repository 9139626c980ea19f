"""Drives real headless browsers without a driver: Chromium by its debugging pipe, Firefox by Marionette's socket.

Both are started with the network off, by a proxy that is not there, and a new profile.
"""

import base64
import contextlib
import json
import os
import pathlib
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

SIZE = (1280, 800)
_EXEC = (
  "import os, sys; read, written = os.dup(int(sys.argv[1])), os.dup(int(sys.argv[2])); "
  "os.dup2(read, 3); os.dup2(written, 4); os.set_inheritable(3, True); os.set_inheritable(4, True); "
  "os.execv(sys.argv[3], sys.argv[3:])"
)
_FLAGS = (
  "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run",
  "--disable-component-update", "--disable-sync", "--disable-quic", "--disable-dev-shm-usage",
  "--proxy-server=127.0.0.1:9", "--remote-debugging-pipe",
)  # fmt: skip


class Page(NamedTuple):
  """run: a script's body, whose `return` comes back. drag: with the left button, in CSS pixels. picture: PNG bytes."""

  run: Callable[[str], Any]
  drag: Callable[[float, float, float, float], None]
  picture: Callable[[], bytes]


def chromium_path() -> str | None:
  return next((p for n in ("chromium", "chromium-browser", "google-chrome") if (p := shutil.which(n))), None)


def firefox_path() -> str | None:
  return next((p for n in ("firefox-esr", "firefox") if (p := shutil.which(n))), None)


@contextlib.contextmanager
def chromium(url: str) -> Iterator[Page]:
  to_browser, from_browser = os.pipe(), os.pipe()
  read, written = to_browser[0], from_browser[1]
  with tempfile.TemporaryDirectory() as profile:
    # The browser reads commands from 3 and writes answers to 4.
    process = subprocess.Popen(
      [sys.executable, "-c", _EXEC, str(read), str(written), chromium_path(), *_FLAGS, f"--user-data-dir={profile}"],
      pass_fds=(read, written), stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    os.close(read)
    os.close(written)
    with open(from_browser[0], "rb") as answers, open(to_browser[1], "wb", buffering=0) as commands, _ended(process):
      yield _chromium_page(commands, answers, url)


def _chromium_page(commands, answers, url: str) -> Page:
  count, buffer = 0, b""

  def call(method: str, session: str = "", **params: Any) -> Any:
    nonlocal count, buffer
    count += 1
    message = {"id": count, "method": method, "params": params} | ({"sessionId": session} if session else {})
    commands.write(json.dumps(message).encode() + b"\0")
    while True:
      while b"\0" not in buffer:
        chunk = answers.read1(1 << 20)
        assert chunk, "the browser ended"
        buffer += chunk
      text, buffer = buffer.split(b"\0", 1)
      answer = json.loads(text)
      if answer.get("id") == count:
        assert "error" not in answer, answer
        return answer["result"]

  target = call("Target.createTarget", url="about:blank")["targetId"]
  session = call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
  size = {"width": SIZE[0], "height": SIZE[1], "deviceScaleFactor": 1, "mobile": False}
  call("Emulation.setDeviceMetricsOverride", session, **size)
  call("Page.navigate", session, url=url)

  def run(script: str) -> Any:
    body = f"(async () => {{ {script} }})()"
    answer = call("Runtime.evaluate", session, expression=body, awaitPromise=True, returnByValue=True)
    assert "exceptionDetails" not in answer, answer
    return answer["result"].get("value")

  def drag(x0: float, y0: float, x1: float, y1: float) -> None:
    for kind, x, y in [("mousePressed", x0, y0), *[
      ("mouseMoved", x0 + (x1 - x0) * i / 8, y0 + (y1 - y0) * i / 8) for i in range(1, 9)
    ], ("mouseReleased", x1, y1)]:  # fmt: skip
      call("Input.dispatchMouseEvent", session, type=kind, x=x, y=y, button="left", buttons=1, clickCount=1)

  def picture() -> bytes:
    return base64.b64decode(call("Page.captureScreenshot", session, format="png")["data"])

  _loaded(run)
  return Page(run, drag, picture)


@contextlib.contextmanager
def firefox(url: str) -> Iterator[Page]:
  with tempfile.TemporaryDirectory() as folder:
    port = _free_port()
    preferences = {
      "marionette.port": port, "network.proxy.type": 1, "network.proxy.http": "127.0.0.1", "network.proxy.http_port": 9,
      "network.proxy.ssl": "127.0.0.1", "network.proxy.ssl_port": 9, "app.update.enabled": False,
      "datareporting.policy.dataSubmissionEnabled": False, "toolkit.telemetry.enabled": False,
      "browser.shell.checkDefaultBrowser": False, "remote.prefs.recommended": True,
    }  # fmt: skip
    lines = "".join(f"user_pref({json.dumps(k)}, {json.dumps(v)});\n" for k, v in preferences.items())
    pathlib.Path(folder, "user.js").write_text(lines)
    process = subprocess.Popen(
      [firefox_path(), "--headless", "--marionette", "--no-remote", "--profile", folder, "about:blank"],
      stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL, env={**os.environ, "HOME": folder, "MOZ_HEADLESS": "1"},
    )  # fmt: skip
    with _ended(process), _connected(port, process) as connection:
      yield _firefox_page(connection, url)


def _firefox_page(connection: socket.socket, url: str) -> Page:
  file, count = connection.makefile("rb"), 0

  def receive() -> Any:
    length = b""
    while (byte := file.read(1)) != b":":
      assert byte, "the browser ended"
      length += byte
    return json.loads(file.read(int(length)))

  def call(name: str, **params: Any) -> Any:
    nonlocal count
    count += 1
    text = json.dumps([0, count, f"WebDriver:{name}", params]).encode()
    connection.sendall(str(len(text)).encode() + b":" + text)
    _, _, error, result = receive()
    assert error is None, error
    return result

  receive()  # its greeting
  call("NewSession", capabilities={})
  call("SetWindowRect", width=SIZE[0], height=SIZE[1] + 85)
  call("Navigate", url=url)

  def run(script: str) -> Any:
    return call("ExecuteScript", script=f"return (async () => {{ {script} }})()", args=[])["value"]

  def drag(x0: float, y0: float, x1: float, y1: float) -> None:
    move = lambda x, y, ms: {"type": "pointerMove", "duration": ms, "x": round(x), "y": round(y)}  # noqa: E731
    steps = [
      move(x0, y0, 0),
      {"type": "pointerDown", "button": 0},
      move(x1, y1, 200),
      {"type": "pointerUp", "button": 0},
    ]
    mouse = {"type": "pointer", "id": "mouse", "parameters": {"pointerType": "mouse"}, "actions": steps}
    call("PerformActions", actions=[mouse])

  def picture() -> bytes:
    return base64.b64decode(call("TakeScreenshot", full=False)["value"])

  _loaded(run)
  return Page(run, drag, picture)


def _loaded(run: Callable[[str], Any]) -> None:
  run("while (document.readyState !== 'complete') await new Promise(r => setTimeout(r, 20))")


def _free_port() -> int:
  with socket.socket() as probe:
    probe.bind(("127.0.0.1", 0))
    return probe.getsockname()[1]


@contextlib.contextmanager
def _connected(port: int, process: subprocess.Popen) -> Iterator[socket.socket]:
  """A connection, once the browser listens."""
  while True:
    assert process.poll() is None, "the browser ended"
    try:
      connection = socket.create_connection(("127.0.0.1", port))
      break
    except ConnectionRefusedError:
      with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(0.1)
  with connection:
    yield connection


@contextlib.contextmanager
def _ended(process: subprocess.Popen) -> Iterator[None]:
  try:
    yield
  finally:
    process.terminate()
    process.wait()


BROWSERS = {"chromium": (chromium_path, chromium), "firefox": (firefox_path, firefox)}
