"""The report opened in a real browser: it renders in light, dark and on a phone, says no error, asks for nothing."""

import html
import json
import re
import shutil
import subprocess

import pytest
from tests.docs.rehearsal import rehearse

from tighten import engine, recipes

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = pytest.mark.skipif(BROWSER is None, reason="needs a Chromium: apt-get install chromium")
DARK, LIGHT = 0, 1
PHONE = 390
PROBE = """<script>
const errors = [];
addEventListener("error", event => errors.push(String(event.message || event.target.src)), true);
addEventListener("load", () => setTimeout(() => parent.postMessage(JSON.stringify({
  errors,
  asked: performance.getEntriesByType("resource").map(e => e.name).filter(n => !n.startsWith("data:")),
  wide: document.documentElement.scrollWidth, window: innerWidth,
  dark: matchMedia("(prefers-color-scheme: dark)").matches,
  paper: getComputedStyle(document.body).backgroundColor,
  heading: document.querySelector("h1").textContent,
  sections: [...document.querySelectorAll("section")].map(s => [s.id, s.getBoundingClientRect().height]),
  broken: [...document.images].filter(i => !i.complete || !i.naturalWidth).length,
  pictures: [...document.querySelectorAll("svg")].map(s => s.getBoundingClientRect().height),
}), "*"), 50));
</script>"""


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """The report of a short run."""
    with pytest.MonkeyPatch.context() as patch:
        rehearse(patch)
        recipe, text = recipes.load("digits")
        folder = tmp_path_factory.mktemp("runs") / "a"
        engine.run(recipe, text, folder)
    return folder / "report.html"


def opened(page, folder, scheme, width):
    """What the browser makes of the page in a window of this width, and what it logs."""
    text = page.read_text(encoding="utf-8")
    assert "<head>" in text
    framed = html.escape(text.replace("<head>", f"<head>{PROBE}", 1), quote=True)
    (folder / "frame.html").write_text(
        "<!doctype html><meta charset=utf-8><body><pre id=said></pre><script>"
        'addEventListener("message", event => { document.getElementById("said").textContent = event.data })'
        f'</script><iframe width={width} height=3000 srcdoc="{framed}"></iframe>',
        encoding="utf-8",
    )
    command = [BROWSER, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
               "--disable-background-networking", "--disable-component-update", "--host-resolver-rules=MAP * ~NOTFOUND",
               f"--user-data-dir={folder / 'profile'}", "--enable-logging=stderr", "--virtual-time-budget=5000",
               f"--blink-settings=preferredColorScheme={scheme}", "--dump-dom",
               (folder / "frame.html").as_uri()]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    said = re.search(r'<pre id="said">(.*?)</pre>', done.stdout, re.DOTALL)
    assert said, done.stderr
    return json.loads(html.unescape(said[1])), [line for line in done.stderr.splitlines() if "CONSOLE" in line]


@pytest.mark.parametrize(("scheme", "width"), [(LIGHT, 1100), (DARK, PHONE)], ids=["light", "dark phone"])
def test_the_page_renders_without_an_error_or_a_request(page, tmp_path, scheme, width):
    found, console = opened(page, tmp_path, scheme, width)
    assert not console
    assert found["errors"] == found["asked"] == []
    assert found["window"] == width
    assert found["wide"] <= width, "the page is wider than its window"
    assert found["dark"] is (scheme == DARK)
    assert found["paper"] == ("rgb(20, 23, 28)" if scheme == DARK else "rgb(255, 255, 255)")
    assert found["heading"] == "digits"
    assert {name for name, height in found["sections"] if height > 20} >= {"headline", "path", "layers", "latency"}
    assert found["broken"] == 0
    assert len(found["pictures"]) >= 6
    assert all(height > 40 for height in found["pictures"])


def test_the_probe_sees_what_it_is_for(page, tmp_path):
    """A page with an error, a request and a line that is too long."""
    text = page.read_text(encoding="utf-8")
    more = '<img src="https://example.invalid/a.png"><script>undefinedName()</script><div style="width: 2000px">x</div>'
    (tmp_path / "bad.html").write_text(text.replace("<body>", f"<body>{more}", 1), encoding="utf-8")
    found, console = opened(tmp_path / "bad.html", tmp_path, LIGHT, PHONE)
    assert console
    assert any("undefinedName" in error for error in found["errors"])
    assert found["asked"] == ["https://example.invalid/a.png"]
    assert found["wide"] > PHONE
