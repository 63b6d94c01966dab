"""The page of a verification: pictures and figures, self-contained, with hostile names as text."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import nir
import numpy as np
import pytest

from tests.commands import nirc
from tests.models import graph, lif, linear

HOSTILE = '<img src=x onerror="alert(1)"> $\\frac{a}$'
PICTURES = ["From layers to cores", "Placement", "Weights", "Spikes"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network whose population has a hostile name, and spikes for it."""
    made = tmp_path_factory.mktemp("page")
    rng = np.random.default_rng(0)
    nodes = {
        "in": nir.Input(np.array([4])),
        "w": linear(rng, 5, 4),
        HOSTILE: lif(5),
        "v": linear(rng, 3, 5),
        "last": lif(3),
        "out": nir.Output(np.array([3])),
    }
    names = list(nodes)
    nir.write(made / "m.nir", graph(nodes, list(pairwise(names))))
    inputs = (rng.random((6, 20, 4)) < 0.5).astype(np.int64)
    np.savez(made / "d.npz", inputs=inputs, labels=np.arange(6) % 3)
    return made


def page(folder: Path, target: str, name: str = "p.html") -> str:
    given = ("--from", "nir", "--dt", "1e-4", "--data", "d.npz", "--report", name)
    done = nirc("verify", "m.nir", "--target", target, *given, cwd=folder)
    assert done.returncode == 0, done.stderr
    return (folder / name).read_text()


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))


def tags(text: str) -> list[tuple[str, dict[str, str | None]]]:
    reader = _Reader()
    reader.feed(text)
    return reader.tags


@pytest.mark.parametrize(
    ("target", "pictures"), [("loihi2", PICTURES), ("xylo", [*PICTURES[:1], *PICTURES[2:]])]
)
def test_the_page_has_figures_and_pictures_and_needs_no_network(
    folder: Path, target: str, pictures: list[str]
) -> None:
    text = page(folder, target)
    assert [title for title in re.findall("<h2>(.*?)</h2>", text) if title in PICTURES] == pictures
    assert text.count("<svg") == len(pictures) and "of the data" in text
    assert "integer" in text and "What each difference costs alone" in text
    for tag, attributes in tags(text):
        assert tag not in ("script", "iframe", "link", "object", "img")
        assert not attributes.keys() & {"src", "href", "xlink:href"}
        assert not any(name.startswith("on") for name in attributes)
    assert "&lt;img src=x" in text


def test_the_same_verification_draws_the_same_bytes(folder: Path) -> None:
    assert page(folder, "loihi2", "a.html") == page(folder, "loihi2", "b.html")
