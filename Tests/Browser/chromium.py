"""A headless Chromium and one page of it, over the DevTools protocol."""

import base64
import functools
import http.server
import itertools
import json
import os
import shutil
import subprocess
import tempfile
import threading
import time
import urllib.request
from pathlib import Path

from websockets.sync.client import connect

# A net for a busy machine: what hangs fails, and does not hang the suite.
PATIENCE = 120


def serve(folder):
    """The folder's files, on an origin of their own."""

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=folder))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return f"http://127.0.0.1:{server.server_address[1]}/"


class Chromium:
    """As long as the block: the process, with a profile that is thrown away."""

    def __enter__(self):
        self.profile = Path(tempfile.mkdtemp(prefix="hsafa-chromium."))
        flags = ["--headless=new", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--no-default-browser-check"]
        flags += ["--disable-background-networking", "--disable-component-update", "--disable-sync", "--mute-audio", "--hide-scrollbars"]
        # Its sandbox needs a user that is not root.
        if os.geteuid() == 0:
            flags.append("--no-sandbox")
        self.log = open(self.profile / "chromium.log", "wb")
        self.process = subprocess.Popen(
            ["chromium", *flags, f"--user-data-dir={self.profile}", "--remote-debugging-port=0", "about:blank"],
            stdout=self.log, stderr=self.log, stdin=subprocess.DEVNULL, start_new_session=True,
        )
        return self

    def __exit__(self, *_):
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.log.close()
        shutil.rmtree(self.profile, ignore_errors=True)

    def page(self):
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                break
            try:
                port = (self.profile / "DevToolsActivePort").read_text().split("\n")[0]
                request = urllib.request.Request(f"http://127.0.0.1:{port}/json/new?about:blank", method="PUT")
                with urllib.request.urlopen(request, timeout=30) as answer:
                    return Page(json.load(answer)["webSocketDebuggerUrl"])
            except (OSError, ValueError):
                time.sleep(0.1)
        raise AssertionError(f"Chromium does not start: {(self.profile / 'chromium.log').read_text(errors='replace')[-2000:]}")


class Page:
    def __init__(self, url):
        self.socket = connect(url, max_size=64 << 20, open_timeout=PATIENCE, ping_interval=None)
        self.ids = itertools.count(1)
        # What went wrong in the page, and every address that it asked for.
        self.faults, self.requests = [], []
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.send(f"{domain}.enable")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send(self, method, **parameters):
        identity = next(self.ids)
        self.socket.send(json.dumps({"id": identity, "method": method, "params": parameters}))
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            message = json.loads(self.socket.recv(timeout=PATIENCE))
            if message.get("id") == identity:
                assert "error" not in message, f"{method}: {message['error']}"
                return message["result"]
            self.note(message)
        raise AssertionError(f"{method} is not answered")

    def note(self, event):
        kind, data = event.get("method"), event.get("params", {})
        if kind == "Runtime.exceptionThrown":
            self.faults.append(data["exceptionDetails"].get("exception", {}).get("description", data["exceptionDetails"]["text"]))
        if kind == "Log.entryAdded" and data["entry"]["level"] == "error" and data["entry"]["source"] != "network":
            self.faults.append(data["entry"]["text"])
        if kind == "Network.requestWillBeSent":
            self.requests.append(data["request"]["url"])
        if kind == "Page.javascriptDialogOpening":
            self.faults.append(f"a dialog: {data['message']}")
            self.socket.send(json.dumps({"id": next(self.ids), "method": "Page.handleJavaScriptDialog", "params": {"accept": True}}))

    def evaluate(self, expression):
        answer = self.send("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, f"{expression}: {answer['exceptionDetails']}"
        return answer["result"].get("value")

    def wait(self, expression, what):
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            # While a page is being left there is no body.
            value = self.evaluate(f"document.body && ({expression})")
            if value:
                return value
            time.sleep(0.05)
        raise AssertionError(f"not seen: {what}; the page says:\n{self.evaluate('document.body.innerText')}\nfaults: {self.faults}")

    def wait_for(self, condition, what):
        """Until what was noted of the page fits."""
        deadline = time.monotonic() + PATIENCE
        while not condition():
            assert time.monotonic() < deadline, f"not seen: {what}"
            self.evaluate("0")
            time.sleep(0.05)

    def open(self, url):
        # Also where only the fragment differs.
        self.send("Page.navigate", url="about:blank")
        self.wait("location.href === 'about:blank' && document.readyState === 'complete'", "an empty page")
        self.send("Page.navigate", url=url)

    def click(self, label):
        """The last button of that label that can be clicked, as a person would."""
        expression = f"[...document.querySelectorAll('button')].findLast((b) => b.textContent === {json.dumps(label)} && !b.disabled)"
        self.wait(f"!!{expression}", f"the button {label}")
        self.evaluate(f"{expression}.click()")

    def type(self, selector, text):
        self.wait(f"!!document.querySelector({json.dumps(selector)})", selector)
        self.evaluate(f"document.querySelector({json.dumps(selector)}).focus()")
        self.send("Input.insertText", text=text)

    def look(self, scheme, width, height):
        self.send("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        self.send("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600)

    def shoot(self, path):
        picture = self.send("Page.captureScreenshot", format="png")
        Path(path).write_bytes(base64.b64decode(picture["data"]))

    def pictures(self, folder, name):
        """Light and dark, on a desk and on a phone, of the end of what the page shows."""
        for scheme in ("light", "dark"):
            for device, (width, height) in {"desktop": (1180, 860), "phone": (390, 844)}.items():
                self.look(scheme, width, height)
                self.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
                self.evaluate("window.scrollTo(0, document.body.scrollHeight)")
                self.shoot(Path(folder) / f"{name}-{scheme}-{device}.png")
        self.look("light", 1180, 860)
