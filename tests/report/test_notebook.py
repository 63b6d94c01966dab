"""Programs, bundles and verifications in a notebook: pictures, and foreign names as text."""

from __future__ import annotations

import json
from dataclasses import replace
from xml.etree import ElementTree

import nir
import numpy as np
import pytest

import nirc
from nirc.api import Bundle
from nirc.files.bundle import to_json
from tests.models import DATA, graph, lif

DIGITS = DATA / "zoo/digits_if_cnn.nir"
HOSTILE = "<img src=x onerror=alert(1)>"


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return nirc.compile(DIGITS, "loihi2", writer="nir")


def test_a_loaded_model_is_drawn_with_its_layers() -> None:
    shown = nirc.load(DIGITS)._repr_html_()
    words = list(ElementTree.fromstring(shown).itertext())
    assert "Conv" in words and "IF" in words and "digits_if_cnn: 11 nodes, layers" in words


def test_a_bundle_shows_its_use_its_cores_and_its_network(bundle: Bundle) -> None:
    shown = bundle._repr_html_()
    assert shown.count("<svg") == 2 and "synapse memory of a core" in shown
    assert "digits_if_cnn on loihi2:oheogulch" in shown and "<script" not in shown


def test_a_verification_shows_its_stages_and_costs() -> None:
    with np.load(DATA / "zoo/digits_if_cnn.npz") as data:
        rasters = {"inputs": data["inputs"][:20], "labels": data["labels"][:20]}
    shown = nirc.verify(DIGITS, "loihi2", rasters, writer="nir")
    assert isinstance(shown, nirc.Verification) and shown["samples"] == 20
    text = shown._repr_html_()
    assert "device" in text and "weights: 8 bits" in text and "on 20 samples" in text


def test_names_of_a_hostile_model_stay_text() -> None:
    nodes = {
        "in": nir.Input(np.array([1])),
        "w": nir.Linear(np.ones((1, 1))),
        HOSTILE: lif(1),
        "out": nir.Output(np.array([1])),
    }
    network = graph(nodes, [("in", "w"), ("w", HOSTILE), (HOSTILE, "out")])
    for shown in (nirc.load(network), nirc.compile(network, "xylo", dt=1e-4, writer="nir")):
        assert "<img" not in shown._repr_html_() and "&lt;img src=x" in shown._repr_html_()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("populations", None),
        ("projections", [{"from": "a", "to": "b", "summary": "", "synapses": 1}]),
        ("utilisation", {"x": {"used": "1", "available": 2}}),
        ("limits", [{"name": 3}]),
    ],
)
def test_a_damaged_report_leaves_the_line_that_print_shows(
    bundle: Bundle, field: str, value: object
) -> None:
    report = json.loads(bundle.files["report.json"]) | {field: value}
    damaged = replace(bundle, files={**bundle.files, "report.json": to_json(report)})
    assert damaged._repr_html_().startswith("<pre>&lt;Bundle digits_if_cnn")


def test_a_bundle_without_a_report_is_shown_by_its_line(bundle: Bundle) -> None:
    files = {name: data for name, data in bundle.files.items() if name != "report.json"}
    assert replace(bundle, files=files)._repr_html_().startswith("<pre>&lt;Bundle")
