"""Takes the programs out of docs/CLIENTS.md and runs them against a live gateway: snippets.py FOLDER [PROGRAM …]

Streams must print every event of a run once, in order, and end by themselves, also when the connection is cut on the way; devices must answer a
call. The programs are run by what the arguments name: events.sh, events.py, watch.mjs, events.swift (compiled, at FOLDER/events), device.py,
device.mjs.
"""

import base64
import json
import os
import re
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from pathlib import Path

FOLDER = Path(sys.argv[1])
URL, KEY = os.environ["HSAFA_URL"], os.environ["HSAFA_API_KEY"]
# A net for a busy machine: a program that hangs must not hang the suite.
PATIENCE = 180


def extract():
    """Every block that names a file."""
    text = Path("docs/CLIENTS.md").read_text()
    blocks = re.findall(r"^```\w+ file=(\S+)\n(.*?)^```$", text, re.M | re.S)
    assert len(blocks) >= 8, "docs/CLIENTS.md has lost its programs"
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, program in blocks:
        assert "/" not in name
        (FOLDER / name).write_text(program)


def api(method, path, body=None):
    data = None if body is None else json.dumps(body).encode()
    headers = {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"}
    with urllib.request.urlopen(urllib.request.Request(URL + path, data, headers, method=method), timeout=60) as answer:
        return json.load(answer)


def start(name, steps, tools=()):
    config = {"version": "1.0", "agent": {"name": name}, "model": {"provider": "simulated", "script": {"steps": steps}}, "tools": list(tools)}
    api("POST", "/api/agents", {"name": name, "config": config})
    return api("POST", "/api/runs", {"agentName": name, "initialMessages": [{"role": "user", "content": "Go."}]})["runId"]


def events(run):
    """The whole log of a run that is over."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        if api("GET", f"/api/runs/{run}")["status"] in ("completed", "failed", "canceled"):
            return api("GET", f"/api/runs/{run}/events?limit=1000")["data"]
        time.sleep(0.1)
    raise AssertionError("the run does not end")


class CuttingProxy:
    """Passes bytes on to the gateway, and cuts the first connections after some bytes of their answers."""

    def __init__(self, cuts):
        self.cuts = list(cuts)
        self.connections = 0
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            client, _ = self.listener.accept()
            self.connections += 1
            limit = self.cuts.pop(0) if self.cuts else None
            host, port = URL.removeprefix("http://").split(":")
            gateway = socket.create_connection((host, int(port)))
            threading.Thread(target=self.copy, args=(client, gateway, None), daemon=True).start()
            threading.Thread(target=self.copy, args=(gateway, client, limit), daemon=True).start()

    def copy(self, source, target, limit):
        passed = 0
        try:
            while data := source.recv(65536):
                if limit is not None and passed + len(data) > limit:
                    target.sendall(data[: limit - passed])
                    break
                target.sendall(data)
                passed += len(data)
        except OSError:
            pass
        for end in (source, target):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            end.close()


COMMANDS = {
    "events.sh": ["bash", "events.sh"],
    "events.py": [os.environ.get("CLIENT_PYTHON", sys.executable), "events.py"],
    "watch.mjs": ["node", "watch.mjs"],
    "events.swift": ["./events"],
    "device.py": [os.environ.get("CLIENT_PYTHON", sys.executable), "device.py"],
    "device.mjs": ["node", "--experimental-websocket", "device.mjs"],
}


def stream(program, run, wanted):
    # The first connection breaks within the head, the next ones within events. Foundation of Linux ends the process at the first of these
    # ("Transfer completed, but there's no response"), whatever a program does.
    proxy = CuttingProxy([1200 if program == "events.swift" else 40, 900, 1500])
    environment = os.environ | {"HSAFA_URL": proxy.url, "RUN_ID": run}
    done = subprocess.run(COMMANDS[program], cwd=FOLDER, env=environment, capture_output=True, text=True, timeout=PATIENCE)
    assert done.returncode == 0, f"{program} ended with {done.returncode}: {done.stderr}"
    seen = [json.loads(line) for line in done.stdout.splitlines() if line]
    assert seen == wanted, f"{program} saw {[event['seq'] for event in seen]} of 1 to {len(wanted)}: {done.stderr}"
    assert proxy.connections >= 4, f"{program} connected {proxy.connections} times, though it was cut three times"
    print(f"{program}: {len(seen)} events over {proxy.connections} connections")


def refused(program, run):
    environment = os.environ | {"HSAFA_API_KEY": "none", "RUN_ID": run}
    done = subprocess.run(COMMANDS[program], cwd=FOLDER, env=environment, capture_output=True, text=True, timeout=PATIENCE)
    assert done.returncode != 0 and not done.stdout.strip(), f"{program} takes no refusal: {done.stdout}"


def device(program):
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    name = program.replace(".", "-") + f"-{os.getpid()}"
    key = Ed25519PrivateKey.generate()
    public = base64.urlsafe_b64encode(key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)).rstrip(b"=").decode()
    identity = api("POST", "/api/devices", {"publicKey": public, "deviceKey": name, "labels": {"zone": name}})["deviceId"]
    environment = os.environ | {"DEVICE_ID": identity, "DEVICE_SEED": base64.b64encode(key.private_bytes_raw()).decode()}
    process = subprocess.Popen(COMMANDS[program], cwd=FOLDER, env=environment, stderr=subprocess.PIPE, text=True)
    try:
        tool = {"name": "uname", "target": "device", "device": {"labels": {"zone": name}}, "timeoutSeconds": PATIENCE}
        run = start(name, [{"toolCalls": [{"name": "uname", "arguments": {}}]}, {"text": "{{lastToolResult}}"}], [tool])
        log = events(run)
        assert log[-1]["type"] == "run.completed", log[-1]
        [result] = [event["data"] for event in log if event["type"] == "tool.result.received"]
        assert "system" in json.dumps(result) and not result.get("isError"), result
        # Revoked, it goes and does not come back.
        urllib.request.urlopen(
            urllib.request.Request(f"{URL}/api/devices/{identity}", headers={"Authorization": f"Bearer {KEY}"}, method="DELETE"), timeout=60
        )
        process.wait(PATIENCE)
        print(f"{program}: answered its call, and went when it was revoked")
    finally:
        process.kill()
        process.wait()


extract()
programs = sys.argv[2:]
if any(not program.startswith("device") for program in programs):
    run = start(f"snippets-{os.getpid()}", [{"deltas": {"count": 60, "text": "word "}, "delayMilliseconds": 5}, {"text": "Done."}])
    log = events(run)
    for program in programs:
        if not program.startswith("device"):
            stream(program, run, log)
            refused(program, run)
for program in programs:
    if program.startswith("device"):
        device(program)
