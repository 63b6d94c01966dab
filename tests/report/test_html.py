"""report.html: a page for people that trusts no name and loads nothing."""

from __future__ import annotations

import json
import re
from html import unescape
from html.parser import HTMLParser

import nir
import numpy as np
import pytest

import nirc
from nirc.api import Options, lower
from nirc.chip.explain import finding_classes, meaning
from nirc.diagnostics.log import Log
from nirc.ir.text import in_order
from nirc.report.differences import differences, rounded_weights
from nirc.report.html import _level
from nirc.report.mapping import amount, as_text, as_tree, read_floorplan
from tests.models import DATA, chain, graph, lif

PICTURES = ("From layers to cores", "Placement", "Weights", "Spikes")
VOWELS = DATA / "zoo/japanesevowels_rsnn.nir"
BRAILLE = DATA / "paper/braille_noDelay_noBias_subtract.nir"


class Page(HTMLParser):
    """Tags that are open at the end, and every attribute that could load something."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.loads: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in ("meta", "link", "img", "br"):
            self.open.append(tag)
        self.loads += [
            f"{tag} {name}" for name, _ in attrs if name in ("src", "href") or name.startswith("on")
        ]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def page_of(bundle: nirc.Bundle) -> str:
    text = bundle.files["report.html"].decode()
    page = Page(text)
    assert not page.open and not page.loads and "<script" not in text
    return text


def test_it_says_how_full_the_chip_is_and_what_differs() -> None:
    bundle = nirc.compile(VOWELS, "xylo", reset="zero")
    text = page_of(bundle)
    assert "80 of " in text and "xylo:audio3" in text
    for d in bundle.diagnostics:
        assert d.code in text
    assert meaning("D401")[1][:60] in text.replace("&#39;", "'")
    assert bundle.manifest["files"]["report.html"]


def test_names_of_a_hostile_model_stay_text() -> None:
    name = "<script>alert(1)</script>"
    nodes = {
        "in": nir.Input(np.array([1])),
        "w": nir.Linear(np.ones((1, 1))),
        name: lif(1),
        "out": nir.Output(np.array([1])),
    }
    text = page_of(
        nirc.compile(
            graph(nodes, [("in", "w"), ("w", name), (name, "out")]), "xylo", reset="subtract"
        )
    )
    assert "alert(1)" in text


@pytest.mark.parametrize(
    ("model", "target", "pictures"),
    [
        ("zoo/japanesevowels_rsnn.nir", "xylo", ["From layers to cores", "Weights"]),
        ("zoo/digits_if_cnn.nir", "speck", ["From layers to cores", "Placement", "Weights"]),
        ("zoo/digits_if_cnn.nir", "loihi2", ["From layers to cores", "Placement", "Weights"]),
        ("zoo/digits_if_cnn.nir", "spinnaker2", ["From layers to cores", "Placement", "Weights"]),
    ],
)
def test_each_chip_shows_the_way_from_layers_to_cores(
    model: str, target: str, pictures: list[str]
) -> None:
    text = page_of(nirc.compile(DATA / model, target, writer="nir"))
    drawn = [title for title in re.findall("<h2>(.*?)</h2>", text) if title in PICTURES]
    assert drawn == pictures and text.count("<svg") == len(pictures)
    assert "synapses</text>" in text and "% change, " in text
    if "Placement" in pictures:
        assert "core (" in text and ") of chip 0: neurons" in text


@pytest.mark.parametrize("chip", ["loihi2", "spinnaker2", "xylo"])
def test_the_weights_of_every_projection_are_drawn(chip: str) -> None:
    """SpiNNaker2 parts them by sign, Loihi 2 adds synapses that subtract the threshold."""
    bundle = nirc.compile(BRAILLE, chip, writer="snntorch,reset_delay=no")
    text = page_of(bundle)
    drawn = {f"{a} to {b}" for a, b in (("input", "lif1.lif"), ("lif1.lif", "lif2"))}
    assert all(f">{each}<" in text for each in {*drawn, "lif1.lif to lif1.lif"})
    structure = "with synapses that the model does not have" in text
    assert structure == (chip == "loihi2")


def test_the_page_and_nirc_mapping_name_cores_and_traffic_alike() -> None:
    bundle = nirc.compile(BRAILLE, "spinnaker2", writer="snntorch,reset_delay=no")
    text = page_of(bundle)
    plan = read_floorplan(bundle.manifest, bundle.files)
    shown = as_text(plan, as_tree(plan, bundle.manifest), 0)
    for core in plan.cores:
        place = plan.place(core.at)
        assert f"core {place}: " in text and f"core {place} of chip" in text and place in shown
    assert plan.cost is not None
    assert f"distance {amount(plan.cost)}" in text and f"distance {amount(plan.cost)};" in shown
    assert text.count(">z = ") == len({core.at[2] for core in plan.cores})


def test_rules_and_options_are_words() -> None:
    bundle = nirc.compile(BRAILLE, "xylo", writer="snntorch,reset_delay=no")
    text = page_of(bundle).replace("&gt;", ">")
    assert "fire up to 31 times where v >= threshold" in text and "fire >= 31" not in text
    assert "<td>strict</td><td><code>no</code>" in text and "<code>None</code>" not in text
    loihi = page_of(nirc.compile(BRAILLE, "loihi2", writer="snntorch,reset_delay=no"))
    assert "<td>set synapses</td>" in loihi
    assert not re.search(r"\w\(s\)", text + loihi)


def test_calibration_inputs_show_spikes_and_what_each_difference_costs(
    small_calibration: None,
) -> None:
    rng = np.random.default_rng(0)
    network = chain(4, nir.Linear(rng.normal(0, 1, (6, 4))), lif(6), n_out=6)
    inputs = (rng.random((5, 20, 4)) < 0.3).astype(np.int64)
    bundles = [nirc.compile(network, "loihi2", dt=1e-4, calibrate=inputs) for _ in range(2)]
    text = page_of(bundles[0])
    assert "Sample 0 of the calibration inputs" in text and "on 5 samples" in text
    costs = json.loads(bundles[0].files["report.json"])["costs"]
    names = [row["name"] for row in costs["differences"]]
    assert any(name.startswith("weights: ") for name in names) and all(n in text for n in names)
    assert bundles[0].files == bundles[1].files


def test_the_chips_limits_have_their_sources() -> None:
    bundle = nirc.compile(VOWELS, "xylo", reset="zero")
    text = unescape(page_of(bundle))
    report = json.loads(bundle.files["report.json"])
    for limit in report["limits"]:
        assert limit["name"] in text and limit["source"] in text


def test_a_relay_of_the_chip_is_no_difference_of_structure() -> None:
    """SpiNNaker2 and Loihi 2 bring inputs in by neurons that repeat them."""
    bundle = nirc.compile(DATA / "zoo/digits_if_cnn.nir", "loihi2", writer="nir")
    differs = json.loads(bundle.files["report.json"])["differences"]
    assert not differs["rebuilt"]
    assert ("input", "1") in [(row["from"], row["to"]) for row in differs["weights"]]


def test_of_a_large_projection_some_rows_are_drawn() -> None:
    rng = np.random.default_rng(0)
    network = chain(600, nir.Linear(rng.normal(0, 0.1, (500, 600))), lif(500), n_out=500)
    reference = lower(network, Options(dt_s=1e-4, writer="nir"), log=Log()).reference
    found = list(rounded_weights(reference, reference))
    assert [each.before.size for each in found] == [100 * 600] and found[0].share == 0.2
    assert np.allclose(found[0].before, found[0].after)


@pytest.mark.parametrize("code", finding_classes())
def test_every_code_has_a_meaning_in_plain_words(code: str) -> None:
    _, text = meaning(code)
    assert len(text) > 30 and not re.search(r"\*\*|`", text)


def test_a_chip_that_rounds_is_not_said_to_be_the_same() -> None:
    model = DATA / "zoo/digits_if_cnn.nir"
    bundle = nirc.compile(model, "spinnaker2", writer="nir")
    assert not [d for d in bundle.diagnostics if d.code[0] == "D" and d.severity == "warning"]
    text = page_of(bundle)
    assert "fire once where v &gt;= threshold" in text and "weights from input to 1" in text
    assert "no difference" not in text


def test_a_program_does_not_differ_from_itself() -> None:
    ones = np.ones(2)
    neurons = nir.IF(r=ones, v_threshold=ones * 2.0)
    exact = chain(2, nir.Linear(np.array([[1.0, 0.0], [0.0, 1.0]])), neurons, n_out=2)
    reference = lower(exact, Options(dt_s=1e-3, writer="nir"), log=Log()).reference
    assert not any(differences(reference, reference).values())


def test_one_chip_of_one_is_no_alarm() -> None:
    assert _level(1, 1) == "free" and _level(16, 16) == "full" and _level(8, 10) == "busy"


def test_populations_stand_in_the_order_of_their_numbers() -> None:
    assert in_order(["lif10", "lif2", "b", "lif1"]) == ["b", "lif1", "lif2", "lif10"]
    assert in_order(["a" + "9" * 5000, "a1"]) == ["a1", "a" + "9" * 5000]


def test_what_cannot_be_seen_is_spelt_out() -> None:
    """An edge with an escape sequence (G203) reached the page, and so did marks of direction."""
    name = "w\x1b[31m\u202e"
    nodes = {
        "in": nir.Input(np.array([1])),
        name: nir.Linear(np.ones((1, 1))),
        "lif": lif(1),
        "out": nir.Output(np.array([1])),
    }
    edges = [("in", name), (name, "lif"), (name, "lif"), ("lif", "out")]
    bundle = nirc.compile(graph(nodes, edges), "xylo", dt=1e-4)
    text = page_of(bundle)
    assert "\\x1b[31m\\u202e" in text and text.replace("\n", "").isprintable()
    for file in ("report.json", "deploy.py", "config.json"):
        assert bundle.files[file].decode().replace("\n", "").isprintable()
