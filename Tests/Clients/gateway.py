"""The gateway that HSAFA_URL and HSAFA_API_KEY name, as the tests of clients and of pages use it."""

import json
import os
import socket
import threading
import time
import urllib.error
import urllib.parse
import urllib.request

URL, KEY = os.environ["HSAFA_URL"], os.environ["HSAFA_API_KEY"]
# A net for a busy machine: what hangs fails, and does not hang the suite.
PATIENCE = 180


def api(method, path, body=None):
    """The answer's JSON; a body that is bytes goes as it is."""
    data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
    headers = {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"}
    try:
        with urllib.request.urlopen(urllib.request.Request(URL + path, data, headers, method=method), timeout=60) as answer:
            text = answer.read()
            return json.loads(text) if text else None
    except urllib.error.HTTPError as error:
        raise AssertionError(f"{method} {path}: {error.code} {error.read().decode()}") from error


def agent(name, steps, tools=()):
    model = {"provider": "simulated", "script": {"steps": steps}}
    publish({"version": "1.0", "agent": {"name": name}, "model": model, "tools": list(tools)})


def publish(config):
    api("POST", "/api/agents", {"name": config["agent"]["name"], "config": config})


def start(name, message="Go."):
    return api("POST", "/api/runs", {"agentName": name, "initialMessages": [{"role": "user", "content": message}]})["runId"]


def run_token(run, *grants):
    return api("POST", f"/api/runs/{run}/tokens", {"grants": list(grants)})


def events(run):
    return api("GET", f"/api/runs/{run}/events?limit=1000")["data"]


def whole_log(run):
    """The events of a run, once it is over."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        if api("GET", f"/api/runs/{run}")["status"] in ("completed", "failed", "canceled"):
            return events(run)
        time.sleep(0.1)
    raise AssertionError("the run does not end")


class CuttingProxy:
    """In front of the gateway: the first streams are cut, each after so many bytes of its answer, be it within the head or an event."""

    def __init__(self, cuts):
        self.cuts = list(cuts)
        # Streams that were asked for, and those of them that were cut.
        self.streams, self.done = 0, 0
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            client, _ = self.listener.accept()
            threading.Thread(target=self.carry, args=(client,), daemon=True).start()

    def carry(self, client):
        host = urllib.parse.urlsplit(URL)
        # How much of what is asked for next may pass; a connection may have other requests before its stream.
        left = [None]
        with client, socket.create_connection((host.hostname, host.port)) as gateway:
            threading.Thread(target=self.forward, args=(client, gateway, left), daemon=True).start()
            try:
                while data := gateway.recv(4096):
                    client.sendall(data if left[0] is None else data[: left[0]])
                    if left[0] is not None:
                        left[0] -= len(data)
                        if left[0] <= 0:
                            self.done += 1
                            break
            except OSError:
                pass
            for end in (client, gateway):
                try:
                    end.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass

    def forward(self, client, gateway, left):
        try:
            while data := client.recv(65536):
                if urllib.parse.urlsplit(data.split(b"\r\n")[0].split(b" ")[1]).path.endswith(b"/stream"):
                    self.streams += 1
                    if self.cuts:
                        left[0] = self.cuts.pop(0)
                gateway.sendall(data)
        except (OSError, IndexError):
            pass
