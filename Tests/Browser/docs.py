"""The page at /docs in headless Chromium: docs.py [FOLDER for pictures]

HSAFA_URL and HSAFA_API_KEY name the gateway. The page is drawn whole, from this server alone, and its "try it" asks this server.
"""

import json
import signal
import sys
import urllib.parse
from pathlib import Path

import yaml
from chromium import PATIENCE, Chromium
from gateway import KEY, URL, agent, api

PICTURES = Path(sys.argv[1]) if len(sys.argv) > 1 else None
DRAWN = "document.querySelectorAll('.opblock').length"
METHODS = ("get", "put", "post", "delete", "patch")


def shoot(page, name, selector=None):
    """Light and dark, on a desk and on a phone, with this in sight."""
    if PICTURES is None:
        return
    for scheme in ("light", "dark"):
        for device, (width, height) in {"desktop": (1280, 900), "phone": (390, 844)}.items():
            page.look(scheme, width, height)
            page.evaluate(f"document.querySelector({json.dumps(selector or 'body')})?.scrollIntoView()")
            page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
            page.shoot(PICTURES / f"docs-{name}-{scheme}-{device}.png")
    page.look("light", 1280, 900)


def block(operation):
    return f".opblock[id$='-{operation}']"


def click(page, selector, what):
    page.wait(f"!!document.querySelector({json.dumps(selector)})", what)
    page.evaluate(f"document.querySelector({json.dumps(selector)}).click()")


def the_page(page):
    """Every operation of the description, with its scope, and nothing of another host."""
    document = yaml.safe_load(Path("openapi.yaml").read_text())
    operations = [(path, method, item[method]) for path, item in document["paths"].items() for method in METHODS if method in item]
    page.open(f"{URL}/docs")
    page.wait(f"{DRAWN} === {len(operations)}", "all operations")
    shown = page.evaluate("[...document.querySelectorAll('.opblock')].map((b) => b.querySelector('.scope')?.textContent ?? '').sort()")
    assert shown == sorted(operation.get("x-required-scope", "") for _, _, operation in operations)
    shoot(page, "top")
    shoot(page, "list", "#operations-tag-Runs")
    for url in page.requests:
        assert url.startswith((URL + "/", "about:", "data:")), f"the page asks elsewhere: {url}"


def nothing_sticks_out(page):
    """On a phone nothing is wider than the screen, and no text is too pale to be read, in either scheme."""
    for scheme in ("light", "dark"):
        page.look(scheme, 390, 844)
        for operation in ("createAgent", "streamRun"):
            page.open(f"{URL}/docs#/{tag_of(operation)}/{operation}")
            page.wait(f"!!document.querySelector(\"{block(operation)} .responses-wrapper\")", f"{operation}, open")
            width = page.evaluate("document.documentElement.scrollWidth")
            assert width <= 390, f"{operation} in {scheme}: {width} pixels wide: {page.evaluate(WIDE)}"
            pale = page.evaluate(PALE)
            assert pale == [], f"{operation} in {scheme}: {pale}"
    page.look("light", 1280, 900)


def tag_of(operation):
    document = yaml.safe_load(Path("openapi.yaml").read_text())
    for item in document["paths"].values():
        for method in METHODS:
            if item.get(method, {}).get("operationId") == operation:
                return urllib.parse.quote(item[method]["tags"][0])
    raise AssertionError(f"no operation {operation}")


# What is wider than the screen, for the message.
WIDE = """[...document.querySelectorAll('body *')].filter((e) => e.getBoundingClientRect().right > innerWidth + 1
  && ![...function* () { for (let p = e.parentElement; p !== document.body && p; p = p.parentElement) yield p; }()].some((p) => getComputedStyle(p).overflowX !== 'visible'))
  .slice(0, 5).map((e) => e.className || e.tagName)"""
# Texts whose contrast (WCAG 2.2, 1.4.3) against what is behind them is below 4.5, or 3 where they are large; each kind once.
PALE = """(() => {
  const channels = (text) => (text.match(/[\\d.]+/g) ?? []).map(Number);
  const linear = (c) => (c /= 255) <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
  const light = ([r, g, b]) => 0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b);
  const over = ([r, g, b, a = 1], back) => [r, g, b].map((c, i) => c * a + back[i] * (1 - a));
  const behind = (element) => {
    const colours = [];
    for (let e = element; e; e = e.parentElement) colours.push(channels(getComputedStyle(e).backgroundColor));
    return colours.reduceRight((back, colour) => over(colour, back), [255, 255, 255]);
  };
  const found = new Map();
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement, style = getComputedStyle(element), box = element.getBoundingClientRect();
    if (!walker.currentNode.textContent.trim() || !box.width || !box.height || style.visibility !== 'visible') continue;
    if (element.closest('[disabled], svg, script, style, noscript, .deprecated')) continue;
    let opacity = 1;
    for (let e = element; e; e = e.parentElement) opacity *= getComputedStyle(e).opacity;
    const back = behind(element), [r, g, b, a = 1] = channels(style.color);
    const [high, low] = [light(over([r, g, b, a * opacity], back)), light(back)].sort((x, y) => y - x);
    const contrast = (high + 0.05) / (low + 0.05), size = parseFloat(style.fontSize);
    const wanted = size >= 24 || (size >= 18.66 && style.fontWeight >= 700) ? 3 : 4.5;
    const kind = `${element.tagName.toLowerCase()}.${[...element.classList].join('.')}`;
    if (contrast < wanted && !found.has(kind))
      found.set(kind, `${kind} ${contrast.toFixed(2)}: ${walker.currentNode.textContent.trim().slice(0, 40)}`);
  }
  return [...found.values()];
})()"""


def try_it(page):
    """An operation tried with a key goes to this server and shows its answer; without one, the refusal."""
    name = "tried-on-the-page"
    agent(name, [{"text": "Hello."}])
    page.open(f"{URL}/docs#/Agents/listAgents")
    click(page, f"{block('listAgents')} .try-out__btn", "the button to try it")
    execute = f"{block('listAgents')} button.execute"
    click(page, execute, "the button to send it")
    status = f"document.querySelector(\"{block('listAgents')} .live-responses-table tbody .response-col_status\")?.textContent.trim()"
    page.wait(f"{status}?.startsWith('401')", "the refusal")
    click(page, ".auth-wrapper .btn.authorize", "the button for keys")
    page.type("#auth-bearer-value, .auth-container input", KEY)
    shoot(page, "keys", ".dialog-ux")
    click(page, ".auth-container .btn.authorize", "the button that takes the key")
    click(page, ".auth-container .btn-done", "the button that closes it")
    click(page, execute, "the button to send it")
    page.wait(f"{status}?.startsWith('200')", "the answer")
    body = page.evaluate(f"document.querySelector(\"{block('listAgents')} .live-responses-table tbody .highlight-code\").textContent")
    assert name in body, body
    shoot(page, "answer", f"{block('listAgents')} .live-responses-table")
    assert f"{URL}/api/agents" in {url.split("?")[0] for url in page.requests}
    # What creates, with the body that the description shows.
    page.open(f"{URL}/docs#/Agents/createAgent")
    shoot(page, "operation", block("createAgent"))
    click(page, ".auth-wrapper .btn.authorize", "the button for keys")
    page.type("#auth-bearer-value, .auth-container input", KEY)
    click(page, ".auth-container .btn.authorize", "the button that takes the key")
    click(page, ".auth-container .btn-done", "the button that closes it")
    click(page, f"{block('createAgent')} .try-out__btn", "the button to try it")
    click(page, f"{block('createAgent')} button.execute", "the button to send it")
    status = status.replace("listAgents", "createAgent")
    page.wait(f"{status}?.match(/^(201|4)/)", "an answer")
    # The example names a secret which this tenant has not stored: the answer says so, with the place.
    code = page.evaluate(status)
    made = [one["name"] for one in api("GET", "/api/agents")["data"]]
    assert code.startswith("201") and "travel-desk" in made or code.startswith("422"), (code, made)


def main():
    signal.alarm(4 * PATIENCE)
    if PICTURES is not None:
        PICTURES.mkdir(parents=True, exist_ok=True)
    with Chromium() as browser, browser.page() as page:
        page.look("light", 1280, 900)
        for test in (the_page, try_it, nothing_sticks_out):
            test(page)
            assert not page.faults, f"{test.__name__}: {page.faults}"
            print(f"{test.__name__}: {test.__doc__}", flush=True)


main()
