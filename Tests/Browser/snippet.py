"""The page's program of docs/CLIENTS.md in headless Chromium, against a live gateway: snippet.py FOLDER with page.js, compiled

HSAFA_URL and HSAFA_API_KEY name the gateway. The page around the program is on another origin than the gateway, and does what any page would:
it passes the program its tools, and keeps what the program tells it.
"""

import json
import signal
import sys
from pathlib import Path

from chromium import PATIENCE, Chromium, serve
from gateway import URL, CuttingProxy, agent, api, events, run_token, start, whole_log

FOLDER = Path(sys.argv[1])
AROUND = """<!doctype html><meta charset="utf-8"><title>A page of one's own</title><body></body>
<script type="module">
  import { watch } from "./page.js";
  const at = JSON.parse(decodeURIComponent(location.hash.slice(1)));
  Object.assign(window, { seen: [], carriedOut: [], refused: null });
  const tools = {
    echo: async (args) => { window.carriedOut.push(args); return { said: args.text }; },
    silent: (args) => { window.carriedOut.push(args); return new Promise(() => {}); },
    broken: async () => { throw new RangeError("no such page"); },
  };
  // Every stream that the program opens, so that what becomes of them can be told.
  window.streams = [];
  window.EventSource = class extends EventSource { constructor(url) { super(url); window.streams.push(this); } };
  try { window.end = await watch(at.url, at.run, at.token, tools, (event) => window.seen.push(event)); }
  catch (failure) { window.refused = String(failure); }
</script>"""
ASK = [{"name": name, "target": "browser", "timeoutSeconds": 600} for name in ("echo", "silent", "broken", "unknown")]


def show(page, origin, run, token, url=URL):
    page.open(f"{origin}#" + json.dumps({"url": url, "run": run, "token": token["token"]}))


def ended(page):
    over = "['run.completed', 'run.failed', 'run.canceled'].includes(window.seen?.at(-1)?.type)"
    page.wait(f"{over} && window.streams.every((stream) => stream.readyState === EventSource.CLOSED)", "the end, and no open stream")
    return page.evaluate("window.seen")


def calls(name, text):
    return {"toolCalls": [{"name": name, "arguments": {"text": text}}]}


def a_stream_that_breaks(page, origin):
    """Every event is shown once and in order, over connections that are cut, and a call is carried out once."""
    talk = {"deltas": {"count": 60, "text": "word "}, "delayMilliseconds": 5}
    agent("page-streams", [talk | calls("echo", "☃ and </script>"), {"text": "{{lastToolResult}}"}], ASK)
    run = start("page-streams")
    # The first within the head, which a browser takes for an answer that is no stream; the others within events.
    proxy = CuttingProxy([40, 900, 1500])
    show(page, origin, run, run_token(run, "tools"), proxy.url)
    log = whole_log(run)
    assert ended(page) == log, [event["seq"] for event in page.evaluate("window.seen")]
    assert proxy.done == 3 and proxy.streams == 4, f"{proxy.streams} streams, {proxy.done} cut"
    # Of the cut head the browser complains, for what allows the page to read it was behind the cut.
    page.faults = [fault for fault in page.faults if "No 'Access-Control-Allow-Origin'" not in fault]
    assert page.evaluate("window.carriedOut") == [{"text": "☃ and </script>"}]
    [result] = [event["data"] for event in log if event["type"] == "tool.result.received"]
    assert result["result"] == {"said": "☃ and </script>"}, result


def a_page_loaded_anew(page, origin):
    """Of what is in the log already, the page carries out what nobody has answered, and nothing else."""
    agent("page-anew", [calls("echo", "first"), calls("silent", "second"), {"text": "Done."}], ASK)
    run = start("page-anew")
    token = run_token(run, "tools")
    show(page, origin, run, token)
    page.wait("window.carriedOut?.length === 2", "both calls")
    show(page, origin, run, token)
    page.wait("window.carriedOut?.length === 1", "the call that waits, again")
    assert page.evaluate("window.carriedOut") == [{"text": "second"}]
    [call] = api("GET", f"/api/runs/{run}")["pendingCalls"]
    api("POST", f"/api/runs/{run}/tool-results", {"callId": call["callId"], "result": "from elsewhere"})
    assert ended(page) == whole_log(run)
    # Once it is over, the whole log again, and nothing to do.
    show(page, origin, run, token)
    assert ended(page) == events(run) and page.evaluate("window.carriedOut") == []


def a_tool_that_fails(page, origin):
    """What a tool throws, and a tool that is not there, are the call's error."""
    agent("page-fails", [calls("broken", ""), calls("unknown", ""), {"text": "Done."}], ASK)
    run = start("page-fails")
    show(page, origin, run, run_token(run, "tools"))
    ended(page)
    errors = [event["data"]["error"] for event in whole_log(run) if event["type"] == "tool.result.received"]
    assert [error["code"] for error in errors] == ["tool_failed"] * 2, errors
    assert "no such page" in errors[0]["message"] and "no tool unknown" in errors[1]["message"], errors


def a_held_call(page, origin):
    """A call that a person is asked about is carried out when he has approved it, and not before."""
    rule = {"id": "ask", "agents": ["page-held"], "tools": ["echo"], "effect": "require_approval"}
    api("PUT", "/api/policies/page-held", {"version": 1, "rules": [rule]})
    agent("page-held", [calls("echo", "pay"), {"text": "{{lastToolResult}}"}], ASK)
    run = start("page-held")
    show(page, origin, run, run_token(run, "tools"))
    page.wait("window.seen?.some((event) => event.type === 'tool.call.approval_required')", "that a person is asked")
    assert page.evaluate("window.carriedOut") == []
    [asked] = [event["data"] for event in events(run) if event["type"] == "tool.call.approval_required"]
    api("POST", f"/api/runs/{run}/tool-calls/{asked['callId']}/approve", {"callHash": asked["callHash"]})
    assert ended(page) == whole_log(run) and page.evaluate("window.carriedOut") == [{"text": "pay"}]


def a_token_that_ends(page, origin):
    """Who has no token is told so; a page whose token is revoked asks no more."""
    agent("page-waits", [calls("silent", "wait"), {"text": "Done."}], ASK)
    run = start("page-waits")
    show(page, origin, run, {"token": "hrt_none"})
    assert page.wait("window.refused", "the refusal") == "Error: the run was refused: 401"
    token = run_token(run, "tools")
    show(page, origin, run, token)
    page.wait("window.carriedOut?.length === 1", "the call")
    api("DELETE", f"/api/runs/{run}/tokens/{token['tokenId']}")
    # By itself the browser tries again once, is refused, and gives up; the program asks for the run, and does as well.
    asked = f"{URL}/api/runs/{run}"
    before = page.requests.count(asked)
    page.wait("window.streams.every((stream) => stream.readyState === EventSource.CLOSED)", "that no stream is open")
    page.wait_for(lambda: page.requests.count(asked) > before, "that the program asks for the run")
    api("POST", f"/api/runs/{run}/cancel", {})


def main():
    signal.alarm(4 * PATIENCE)
    (FOLDER / "index.html").write_text(AROUND)
    origin = serve(FOLDER)
    with Chromium() as browser, browser.page() as page:
        for test in (a_stream_that_breaks, a_page_loaded_anew, a_tool_that_fails, a_held_call, a_token_that_ends):
            test(page, origin)
            assert not page.faults, f"{test.__name__}: {page.faults}"
            print(f"{test.__name__}: {test.__doc__}", flush=True)


main()
