"""The status page in a real browser: with a script and without, in the light and in the dark, by keyboard and by search."""
import os

import pytest
from cluster.browser import Browser, chromium
from cluster.wait import wait_until

pytestmark = [pytest.mark.skipif(chromium() is None, reason="no browser here: Debian's package chromium is not installed"), pytest.mark.never_rests]

LONG = "recommendations-for-customers-who-have-bought-similar-products"  # its mirror's name would be too long
MIRRORED = 9  # not the payment, but the ledger
ALL = MIRRORED + 2
SERVICES = {"shop": ["cart", "catalogue", "checkout", "orders", "payment", "stock"], "media": ["images", "transcoder"], "demo": ["web"]}

# Every text that is seen, with the contrast to what is behind it (WCAG 2.2, relative luminance).
CONTRAST = """
(() => {
  const parse = (color) => color.match(/[\\d.]+/g).map(Number);
  const light = ([r, g, b]) => [r, g, b].map((c) => c / 255).map((c) => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
                                        .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
  const behind = (node) => { for (; node; node = node.parentElement) { const c = parse(getComputedStyle(node).backgroundColor); if (c.length < 4 || c[3] > 0) return c; }
                             return [255, 255, 255]; };
  const poor = [], walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let node; (node = walker.nextNode());) {
    const element = node.parentElement;
    if (!node.data.trim() || !element.checkVisibility() || element.closest("noscript, option, title")) continue;
    const [a, b] = [light(parse(getComputedStyle(element).color)), light(behind(element))];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < 4.5) poor.push(`${node.data.trim().slice(0, 40)}: ${ratio.toFixed(2)}`);
  }
  return poor;
})()"""


@pytest.fixture
def browser():
    one = Browser()
    yield one
    one.close()


@pytest.fixture
def scene(source, east, north, agent):
    """Two targets, one of whose gateways has a dead address; services of all kinds; a declaration that is refused."""
    east.gateway.addresses = [east.network.address(2), east.network.address(3)]
    for target in (east, north):
        target.gateway.start()
        target.gateway_service(period="200ms")
        target.link_secret(source)
    for namespace, names in SERVICES.items():
        source.ensure_namespace(namespace)
        for name in names:
            (north if name in ("images", "web") else east).export(name, namespace)
    source.service("payment-east", "shop")  # somebody's own
    east.export("ledger", "shop", gateway="bastion")  # through a gateway that is not there
    east.export(LONG, "shop")
    east.link_secret(source, cluster="West!", name="cluster-credentials-west")
    one = agent(env={"HOSTNAME": "svcmirror-7d9c5b6f4-x2v8k"})

    def is_judged():
        reasons = sorted(s["reason"] for s in one.services())
        assert reasons == ["InvalidService"] + ["Mirrored"] * MIRRORED + ["NameCollision"], [(s["name"], s["reason"]) for s in one.services()]
        return True

    wait_until(is_judged, 20, "all but two are mirrored")
    wait_until(lambda: all(g["verdict"] == "alive" for g in one.gateways() if g["exists"]), 10, "the gateways are alive")
    return one


def rows(browser, section):
    return browser.js(f"Array.from(document.querySelectorAll('#{section} tbody'), (b) => b.innerText.replace(/\\s+/g, ' '))")


def row(browser, section, *words):
    found = [r for r in rows(browser, section) if all(w in r for w in words)]
    assert len(found) == 1, (words, rows(browser, section))
    return found[0]


def keep(browser, name):
    """For the documents: SVCMIRROR_SCREENSHOTS names a folder."""
    folder = os.environ.get("SVCMIRROR_SCREENSHOTS")
    return browser.screenshot(os.path.join(folder, name) if folder else None)


def test_without_a_script(scene, browser):
    browser.scripts(False)
    browser.go(f"http://{scene.address}/")
    page = browser.html()
    assert "refresh every 5 s" in page and 'id="pause" type="button" hidden' in page
    for text in ("shop/cart", "NameCollision", "ambassador/ambassador", "this replica", "polyline", "refused", "GatewayNotFound"):
        assert text in page, text
    browser.go(f"http://{scene.address}/?q=NameCollision+shop&mirrored=false")
    page = browser.html()
    assert f"1 of {ALL} found" in page and "service east shop/payment" in page and "shop/cart" not in page
    assert browser.complaints == []


def test_live_search_and_keyboard(scene, browser, east):
    browser.go(f"http://{scene.address}/")
    browser.js("window.here = true")  # as long as this is there, the page was not loaded again
    assert browser.text("#live") == "live"
    assert "alive" in row(browser, "gateways", "east", "every 200ms")
    assert "refused" in row(browser, "links", "cluster-credentials-west")
    assert "svcmirror-7d9c5b6f4-x2v8k this replica" in row(browser, "links", "cluster-credentials-north")
    assert {r.split()[1] for r in rows(browser, "services")[:2]} == {"shop/payment", "shop/" + LONG}

    # A verdict moves by itself, and is told.
    chart = browser.js("document.querySelector('#gateways polyline').getAttribute('points')")
    east.network.drop(east.gateway.addresses[1])
    wait_until(lambda: "dead" in row(browser, "gateways", "east", "every 200ms"), 30, "one address is dead", 0.2)
    assert "alive" in row(browser, "gateways", "east", "every 200ms")
    east.gateway.stop()
    wait_until(lambda: "ConnectionRefused" in row(browser, "gateways", "east", "every 200ms"), 30, "the gateway is dead on the page", 0.2)
    browser.wait_text("#news", "gateway east ambassador/ambassador: dead, was alive")
    assert browser.js("document.querySelector('#gateways polyline').getAttribute('points')") != chart
    assert "0 of 2" in row(browser, "services", "shop/cart")

    # Search as one types; what is typed stays, the address can be passed on, and the focus is kept through updates.
    browser.js("document.querySelector('#q').focus()")
    browser.type("shop C")
    wait_until(lambda: "shop/cart" in browser.text("#services") and "demo/web" not in browser.text("#services"), 20, "those of shop with a c", 0.1)
    browser.type("art")
    browser.wait_text("#found", f"1 of {ALL} found")
    assert len(rows(browser, "services")) == 1 and "shop/cart-east" in rows(browser, "services")[0]
    assert browser.js("location.search") == "?q=shop+Cart"
    stamp = browser.text("main > p time")
    wait_until(lambda: browser.text("main > p time") != stamp, 20, "the page is current again", 0.2)
    assert browser.js("document.activeElement.id + ' ' + document.activeElement.value") == "q shop Cart"
    browser.js("document.querySelector('#mirrored').value = 'false'; document.querySelector('#mirrored').dispatchEvent(new Event('input', {bubbles: true}))")
    browser.wait_text("#found", f"0 of {ALL} found")
    assert browser.js("window.here") is True

    # By keyboard alone: the first stop skips the head; tables can be scrolled; Enter pauses.
    browser.go(f"http://{scene.address}/")
    stops = []
    for _ in range(12):
        browser.press("Tab", number=9)
        stops.append(browser.js("document.activeElement.id || document.activeElement.className || document.activeElement.name || document.activeElement.tagName"))
    assert stops[:2] == ["skip", "pause"] and stops.count("scroll") == 4 and "q" in stops and "mirrored" in stops, stops
    browser.js("document.querySelector('#pause').focus()")
    browser.press("Enter", number=13)
    browser.wait_text("#live", "paused at")
    assert browser.text("#pause") == "Resume"
    browser.press("Enter", number=13)
    browser.wait_text("#live", "live")
    assert browser.complaints == []

    # An agent that is gone is said to be gone, and what it said last stays.
    scene.stop()
    browser.wait_text("#live", "no answer from the agent since", 30)
    assert "shop/cart-east" in browser.text("#services")


def test_looks_and_landmarks(scene, browser, east):
    wait_until(lambda: scene.gateway("north")["addresses"][0]["probes"] > 60, 30, "there is something to draw", 0.2)
    east.network.drop(east.gateway.addresses[1])
    wait_until(lambda: any(a["verdict"] == "dead" for a in scene.gateway("east")["addresses"]), 20, "one address is dead")
    pictures = {}
    for scheme, back in (("light", "rgb(255, 255, 255)"), ("dark", "rgb(17, 17, 19)")):
        browser.scheme(scheme)
        browser.go(f"http://{scene.address}/")
        assert browser.js("getComputedStyle(document.body).backgroundColor") == back
        assert browser.js(CONTRAST) == [], f"contrast in the {scheme}"
        assert browser.js("document.documentElement.scrollWidth <= window.innerWidth"), "the page itself does not scroll sideways"
        pictures[scheme] = keep(browser, f"status-page-{scheme}.png")
    assert pictures["light"] != pictures["dark"]

    told = browser.names()
    for role, name in (("banner", ""), ("main", ""), ("contentinfo", ""), ("search", "Services"), ("heading", "Gateways"), ("region", "Links"), ("status", ""),
                       ("searchbox", "Search"), ("combobox", "Show"), ("button", "Pause"), ("columnheader", "Verdict"), ("rowheader", "east ambassador/ambassador"),
                       ("table", "Not mirrored"), ("link", "Skip to the content")):
        assert (role, name) in told, (role, name, sorted(told))
    assert any(role in ("image", "img") and name.startswith("Latency of the last ") for role, name in told), sorted(told)
    assert browser.complaints == []

    # Whatever got into the page would not run, and would not fetch.
    browser.js("""(() => { const s = document.createElement("script"); s.append("window.evil = 1"); document.body.append(s);
                           const i = new Image(); i.src = "http://10.201.1.2:8080/"; document.body.append(i); })()""")
    assert browser.js("typeof window.evil") == "undefined"

    def is_refused():
        browser.idle(0.1)
        assert all(any(what in c for c in browser.complaints) for what in ("TrustedScript", "img-src")), browser.complaints
        return True
    wait_until(is_refused, 10, "both are refused by the policy")
    assert browser.js("fetch('http://10.201.1.2:8080/').then(() => 'fetched', () => 'refused')") == "refused"
