"""The page of examples/browser in headless Chromium, against a live gateway: drive.py [FOLDER for pictures]

HSAFA_URL and HSAFA_API_KEY name the gateway, HSAFA_BIN the command that makes a token as the example's README does. The page comes from another origin than the gateway, as pages do.
"""

import json
import os
import signal
import subprocess
import sys
import urllib.parse
from pathlib import Path

from chromium import Chromium, serve
from gateway import PATIENCE, URL, CuttingProxy, agent, api, events, publish, run_token, start

EXAMPLE = Path("examples/browser")
PICTURES = Path(sys.argv[1]) if len(sys.argv) > 1 else None

# Keeps every text that a bubble had, and every question that the page asked: what was there for a moment only is seen as well.
RECORDER = """
window.grown = []; window.asked = [];
new MutationObserver(() => {
  const texts = [...document.querySelectorAll('.bubble.agent .text')].map((t) => t.textContent);
  if (texts.length && texts.join('|') !== window.grown.at(-1)?.join('|')) window.grown.push(texts);
  for (const q of document.querySelectorAll('.question')) if (!window.asked.includes(q.textContent)) window.asked.push(q.textContent);
}).observe(document, { subtree: true, childList: true, characterData: true });
"""


def begin(name, message="Go.", grants=("tools", "approvals")):
    run = start(name, message)
    return run, run_token(run, *grants)


def tokens(*arguments):
    command = [os.environ["HSAFA_BIN"], "tokens", *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=PATIENCE).stdout.strip()


def show(page, origin, run, token, gateway=URL):
    fragment = urllib.parse.urlencode({"gateway": gateway, "run": run, "token": token["token"]})
    page.open(f"{origin}#{fragment}")


def pictures(page, name):
    if PICTURES is not None:
        page.pictures(PICTURES, name)


ENDED = "document.getElementById('state')?.textContent === 'ended'"
TEXTS = "[...document.querySelectorAll('.bubble.agent .text')].map((t) => t.textContent)"


def the_example(page, origin):
    """A run from the first word to the end: text that grows, a tool of the page, a question, an approval."""
    publish(json.loads((EXAMPLE / "agent.json").read_text()))
    api("PUT", "/api/policies/browser-demo", json.loads((EXAMPLE / "policy.json").read_text()))
    run, other = begin("browser-demo", "Please book me a flight to Oslo.")
    text = tokens("create", run, "--grant", "tools", "--grant", "approvals", "--expires-seconds", "3600")
    made = [json.loads(line) for line in tokens("list", run, "--json").splitlines()]
    assert len(made) == 2 and made[1]["tokenId"] == other["tokenId"], made
    token = {"token": text, "tokenId": made[0]["tokenId"]}
    tokens("revoke", run, other["tokenId"])
    assert tokens("list", run).count(token["tokenId"]) == 1 and other["tokenId"] not in tokens("list", run)
    show(page, origin, run, token)
    page.wait("document.body.innerText.includes('The agent asks for your note')", "the page's own question")
    assert page.evaluate("location.hash") == "", "the token stays in the address"
    pictures(page, "tool")
    # Loaded anew, it asks again, for nobody has answered; later it does not ask for what was answered.
    show(page, origin, run, token)
    page.click("Share note")
    page.wait("document.body.innerText.includes('Which day would you like to fly?')", "the second question")
    show(page, origin, run, token)
    page.wait("document.body.innerText.includes('Which day would you like to fly?')", "the second question, again")
    asked = page.evaluate("window.asked")
    assert asked == ["Which day would you like to fly?"], f"asked again: {asked}"
    page.type(".call:last-of-type textarea", "Friday <b>morning</b>")
    page.click("Answer")
    page.wait("document.body.innerText.includes('May the agent do exactly this?')", "the approval")
    pictures(page, "approval")
    shown = page.evaluate("document.querySelector('.call:last-of-type pre').textContent")
    wanted = {"number": "SK804", "seat": "12A", "meal": "no nuts", "price": {"amount": 129.5, "currency": "EUR"}}
    assert json.loads(shown) == wanted and '"amount": 129.5' in shown, shown
    page.click("Approve")
    page.wait(ENDED, "the end")
    pictures(page, "end")

    log = events(run)
    assert log[-1]["type"] == "run.completed", log[-1]
    results = [e["data"]["result"] for e in log if e["type"] == "tool.result.received"]
    assert "Window seat" in results[0]["note"] and results[1] == {"answer": "Friday <b>morning</b>"}, results
    approved = next(e for e in log if e["type"] == "tool.call.approved")
    assert approved["data"]["by"] == f"run_token:{token['tokenId']}", approved
    said = [e["data"]["text"] for e in log if e["type"] == "assistant.message"]
    assert page.evaluate(TEXTS) == said
    grown = page.evaluate("window.grown")
    seen = [(text, whole) for texts in grown for text, whole in zip(texts, said)]
    assert any(0 < len(text) < len(whole) for text, whole in seen), "the text did not grow, it was there"
    for text, whole in seen:
        assert whole.startswith(text), f"not a beginning of the answer: {text!r}"
    # The token is in the address of the stream, and in no other.
    for url in page.requests:
        assert token["token"] not in url or urllib.parse.urlsplit(url).path == f"/api/runs/{run}/stream" or url.startswith(origin + "#"), url
        assert url.startswith((origin, URL, "about:", "data:")), f"the page asks elsewhere: {url}"


def nothing_is_html(page, origin):
    """What a run says is text, and what a person is shown to approve is what the call holds."""
    attack = "<img src=x onerror='window.pwned=1'><script>window.pwned=1</script><svg onload=alert(1)>\u202egnp.exe"
    tool = {"name": "pay", "executionType": "basic", "execution": {"mode": "pass-through"}}
    ask = {"name": "askUser", "target": "browser", "timeoutSeconds": 600}
    rule = {"id": "ask", "agents": ["attacker"], "tools": ["pay"], "effect": "require_approval"}
    api("PUT", "/api/policies/attacker", {"version": 1, "rules": [rule]})
    arguments = '{"to":"' + attack.replace("\u202e", "\\u202e") + '","amount":12345678901234567890.10,"zero\\u200bwidth":true}'
    # As text: this number is no double, and JSON of Python would round it.
    config = json.dumps(
        {
            "version": "1.0", "agent": {"name": "attacker"}, "tools": [tool, ask],
            "model": {"provider": "simulated", "script": {"steps": [
                {"text": attack, "toolCalls": [{"name": "askUser", "arguments": {"question": attack}}]},
                {"text": "Now " + attack, "toolCalls": [{"name": "pay", "arguments": "ARGUMENTS"}]},
                {"text": "Done {{lastToolResult}}"}]}},
        }
    ).replace('"ARGUMENTS"', arguments)
    api("POST", "/api/agents", ('{"name":"attacker","config":' + config + "}").encode())
    run, token = begin("attacker", attack)
    show(page, origin, run, token)
    page.wait("document.querySelector('.question')?.textContent.includes('onerror')", "the question, as text")
    page.type(".call:last-of-type textarea", attack)
    page.click("Answer")
    page.wait("document.body.innerText.includes('May the agent do exactly this?')", "the approval")
    shown = page.evaluate("document.querySelector('.call:last-of-type pre').textContent")
    for part in ("<img src=x onerror='window.pwned=1'>", "\\u202egnp.exe", "12345678901234567890.10", "zero\\u200bwidth"):
        assert part in shown, f"{part} is not in {shown}"
    pictures(page, "attack")
    page.type(".call:last-of-type input", "<b>no</b>")
    page.click("Deny")
    page.wait(ENDED, "the end")
    denied = next(e for e in events(run) if e["type"] == "tool.call.denied")
    assert denied["data"]["reason"] == "approval_denied" and "<b>no</b>" in denied["data"]["message"], denied
    assert page.evaluate("window.pwned === undefined")
    assert page.evaluate("document.querySelectorAll('#log :is(img, script, svg, b)').length") == 0
    assert page.evaluate("document.querySelectorAll('script').length") == 2


def a_held_call(page, origin):
    """A tool of the page that needs an approval: the page does nothing for it before."""
    api("PUT", "/api/policies/held", {"version": 1, "rules": [{"id": "ask", "agents": ["held"], "tools": ["askUser"], "effect": "require_approval"}]})
    ask = {"name": "askUser", "target": "browser", "timeoutSeconds": 600}
    agent("held", [{"toolCalls": [{"name": "askUser", "arguments": {"question": "May I?"}}]}, {"text": "{{lastToolResult}}"}], [ask])
    run, watcher = begin("held", grants=("tools",))
    show(page, origin, run, watcher)
    page.wait("document.body.innerText.includes('May the agent do exactly this?')", "the approval")
    # This token was not given it; the page says so and goes on.
    page.click("Approve")
    page.wait("document.querySelector('.problem:not([hidden])')?.textContent.includes('approvals')", "what the token lacks")
    token = run_token(run, "tools", "approvals")
    show(page, origin, run, token)
    page.wait("document.body.innerText.includes('May the agent do exactly this?')", "the approval")
    page.click("Approve")
    page.wait("document.querySelector('.question')?.textContent === 'May I?'", "the page's question, once it is approved")
    page.type(".call:last-of-type textarea", "yes")
    page.click("Answer")
    page.wait(ENDED, "the end")
    assert page.evaluate("window.asked") == ["May the agent do exactly this?", "May I?"], page.evaluate("window.asked")


def cut_connections(page, origin):
    """Every event once, over connections that break in the middle of one."""
    words = " ".join(f"word{number}" for number in range(400))
    agent("talker", [{"text": words, "chunkCharacters": 16, "delayMilliseconds": 10}], [])
    # Small enough for a log whose pieces were all merged, too.
    proxy = CuttingProxy([700, 1200, 2500])
    run, token = begin("talker")
    show(page, origin, run, token, gateway=proxy.url)
    page.wait(ENDED, "the end")
    assert proxy.done == 3, f"{proxy.done} connections were cut"
    assert page.evaluate(TEXTS) == [words]
    for texts in page.evaluate("window.grown"):
        assert words.startswith(texts[0]), f"an event came twice, or was left out: {texts[0]!r}"


def a_token_that_ends(page, origin):
    """A page whose token was revoked says so, and asks no more."""
    ask = {"name": "askUser", "target": "browser", "timeoutSeconds": 600}
    agent("waiter", [{"toolCalls": [{"name": "askUser", "arguments": {"question": "Well?"}}]}, {"text": "So."}], [ask])
    run, token = begin("waiter")
    show(page, origin, run, token)
    page.wait("document.querySelector('.question')?.textContent === 'Well?'", "the question")
    api("DELETE", f"/api/runs/{run}/tokens/{token['tokenId']}")
    page.wait("document.getElementById('state')?.textContent === 'refused'", "that the token is over")
    pictures(page, "refused")
    page.click("Answer")
    page.wait("document.querySelector('.problem:not([hidden])')?.textContent.includes('run token')", "why")
    assert api("GET", f"/api/runs/{run}")["status"] == "waiting_tool"


def main():
    signal.alarm(4 * PATIENCE)
    origin = serve(EXAMPLE)
    if PICTURES is not None:
        PICTURES.mkdir(parents=True, exist_ok=True)
    with Chromium() as browser, browser.page() as page:
        page.send("Page.addScriptToEvaluateOnNewDocument", source=RECORDER)
        page.look("light", 1180, 860)
        for test in (the_example, nothing_is_html, a_held_call, cut_connections, a_token_that_ends):
            test(page, origin)
            assert not page.faults, f"{test.__name__}: {page.faults}"
            print(f"{test.__name__}: {test.__doc__}", flush=True)


main()
