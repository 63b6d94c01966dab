"""Pages in headless Chromium: quiet, without a request, light, dark, narrow and on paper."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import nir
import numpy as np
import pytest

import nirc
from tests.browser import Page, browser
from tests.commands import nirc as command
from tests.models import DATA, graph, lif, linear

HOSTILE = '"><script>document.title="owned"<img src=x onerror="document.title=1">&amp;'
LONG = "layer_" * 30


@pytest.fixture(scope="module")
def page() -> Iterator[Page]:
    with browser() as running:
        yield running.page()


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Reports of four chips and of a verification. Two populations have bad names."""
    folder = tmp_path_factory.mktemp("pages")
    rng = np.random.default_rng(0)
    nodes = {
        "in": nir.Input(np.array([4])),
        "w": linear(rng, 5, 4),
        HOSTILE: lif(5),
        "v": linear(rng, 3, 5),
        LONG: lif(3),
        "out": nir.Output(np.array([3])),
    }
    bad = folder / "bad.nir"
    nir.write(bad, graph(nodes, list(pairwise(nodes))))
    made = {}
    for target in ("xylo", "loihi2", "spinnaker2"):
        made[target] = nirc.compile(bad, target, dt=1e-4, writer="nir")
    made["speck"] = nirc.compile(DATA / "zoo/digits_if_cnn.nir", "speck", writer="nir")
    found = {}
    for name, bundle in made.items():
        found[name] = bundle.save(folder / name) / "report.html"
    inputs = (rng.random((6, 20, 4)) < 0.5).astype(np.int64)
    np.savez(folder / "d.npz", inputs=inputs, labels=np.arange(6) % 3)
    given = ("--from", "nir", "--dt", "1e-4", "--data", "d.npz", "--report", "verify.html")
    done = command("verify", "bad.nir", "--target", "loihi2", *given, cwd=folder)
    assert done.returncode == 0, done.stderr
    return found | {"verify": folder / "verify.html"}


NAMES = ("xylo", "speck", "loihi2", "spinnaker2", "verify")


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [400, 1200])
def test_a_page_is_quiet_and_fits_the_window(
    name: str, dark: bool, width: int, page: Page, pages: dict[str, Path]
) -> None:
    page.console.clear()
    page.requests.clear()
    page.open(pages[name], width=width, dark=dark)
    assert page.value("document.documentElement.scrollWidth") <= width
    assert page.value("document.querySelectorAll('svg').length") >= 2
    widest = "Math.max(...[...document.querySelectorAll('svg')].map(s => s.getBoundingClientRect()"
    assert page.value(f"{widest}.right))") <= width
    assert not page.console
    assert page.requests == [pages[name].as_uri()]


@pytest.mark.parametrize("name", NAMES)
def test_letters_are_seen_on_light_and_on_dark(
    name: str, page: Page, pages: dict[str, Path]
) -> None:
    ink = "getComputedStyle(document.querySelector('svg text')).fill"
    seen = []
    for dark in (False, True):
        page.open(pages[name], dark=dark)
        assert page.value("matchMedia('(prefers-color-scheme: dark)').matches") == dark
        seen.append(page.value(ink))
    assert seen == ["rgb(0, 0, 0)", "rgb(255, 255, 255)"]


@pytest.mark.parametrize("name", ["xylo", "loihi2", "spinnaker2", "verify"])
def test_hostile_names_stay_text(name: str, page: Page, pages: dict[str, Path]) -> None:
    page.open(pages[name])
    assert page.value("document.title") != "owned"
    assert page.value("document.querySelectorAll('script, img').length") == 0
    assert HOSTILE in page.value("document.body.textContent")
    assert HOSTILE in page.value("document.querySelector('svg').textContent")


@pytest.mark.parametrize("name", NAMES)
def test_on_paper_everything_is_open_and_black_on_white(
    name: str, page: Page, pages: dict[str, Path]
) -> None:
    page.open(pages[name], media="print")
    assert page.value("getComputedStyle(document.body).color") == "rgb(0, 0, 0)"
    hidden = "[...document.querySelectorAll('details > :not(summary)')]"
    hidden += ".filter(e => !e.checkVisibility({contentVisibilityAuto: true})).length"
    assert page.value(hidden) == 0
    assert page.pdf().startswith(b"%PDF")
