"""Takes the programs out of docs/CLIENTS.md and runs them against a live gateway: snippets.py FOLDER [PROGRAM …]

Streams must print every event of a run once, in order, and end by themselves, also when the connection is cut on the way; devices must answer a
call. The programs are run by what the arguments name: events.sh, events.py, watch.mjs, events.swift (compiled, at FOLDER/events), device.py,
device.mjs.
"""

import base64
import json
import os
import re
import subprocess
import sys
from pathlib import Path

from gateway import PATIENCE, CuttingProxy, agent, api, start, whole_log

FOLDER = Path(sys.argv[1])


def extract():
    """Every block that names a file."""
    text = Path("docs/CLIENTS.md").read_text()
    blocks = re.findall(r"^```\w+ file=(\S+)\n(.*?)^```$", text, re.M | re.S)
    assert len(blocks) >= 8, "docs/CLIENTS.md has lost its programs"
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, program in blocks:
        assert "/" not in name
        (FOLDER / name).write_text(program)


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
    assert proxy.done == 3 and proxy.streams >= 4, f"{program} asked for {proxy.streams} streams, of which {proxy.done} were cut"
    print(f"{program}: {len(seen)} events over {proxy.streams} connections")


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
        agent(name, [{"toolCalls": [{"name": "uname", "arguments": {}}]}, {"text": "{{lastToolResult}}"}], [tool])
        log = whole_log(start(name))
        assert log[-1]["type"] == "run.completed", log[-1]
        [result] = [event["data"] for event in log if event["type"] == "tool.result.received"]
        assert "system" in json.dumps(result) and not result.get("isError"), result
        # Revoked, it goes and does not come back.
        api("DELETE", f"/api/devices/{identity}")
        process.wait(PATIENCE)
        print(f"{program}: answered its call, and went when it was revoked")
    finally:
        process.kill()
        process.wait()


extract()
programs = sys.argv[2:]
if any(not program.startswith("device") for program in programs):
    name = f"snippets-{os.getpid()}"
    agent(name, [{"deltas": {"count": 60, "text": "word "}, "delayMilliseconds": 5}, {"text": "Done."}])
    run = start(name)
    log = whole_log(run)
    for program in programs:
        if not program.startswith("device"):
            stream(program, run, log)
            refused(program, run)
for program in programs:
    if program.startswith("device"):
        device(program)
