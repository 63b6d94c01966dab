"""A limit of a chip stands in one line of its limits.py: schema, script, pages and messages
follow.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from nirc.chip import registry
from nirc.chip.explain import explanation, finding_class
from nirc.report.targets import CERTAINTY

ROOT = Path(__file__).parents[1]
# Everything that tells the limits of Xylo, with another text of limits.py.
PROGRAM = """
import importlib.machinery, json, sys

OLD, NEW = sys.argv[1:]
NAME = "nirc.backends.xylo.limits"

class Loader(importlib.machinery.SourceFileLoader):
    def get_data(self, path):
        data = super().get_data(path)
        if not path.endswith(".py"):
            raise OSError("no cache")
        assert data.count(OLD.encode()) == 1
        return data.replace(OLD.encode(), NEW.encode())
    def set_data(self, path, data, **_):
        pass

class Finder:
    @staticmethod
    def find_spec(name, path=None, target=None):
        found = importlib.machinery.PathFinder.find_spec(name, path) if name == NAME else None
        if found is not None:
            found.loader = Loader(name, found.origin)
        return found

sys.meta_path.insert(0, Finder)
sys.path.insert(0, ".")
import numpy as np
import nirc
from docs.make_reference import PAGE, described, field_table, generated
from nirc.backends.xylo.emit import deploy_py
from nirc.backends.xylo.limits import AUDIO2
from nirc.chip.explain import explanation
from nirc.diagnostics.errors import NircError
from nirc.files.schema import json_schema
from tests.models import chain, lif, linear

files = described()["config.json of Xylo"]
rng = np.random.default_rng(0)
hidden = [layer for _ in range(5) for layer in (linear(rng, 200, 200), lif(200))]
model = chain(3, linear(rng, 200, 3), lif(200), *hidden, linear(rng, 2, 200), lif(2), n_out=2)
try:
    nirc.compile(model, "xylo:audio2", reset="subtract")
except NircError as error:
    message = [(d.code, d.found, d.limit) for d in error.diagnostics if d.code == "X502"]
print(json.dumps({
    "schema": json.dumps(json_schema(*files)),
    "table": field_table(files),
    "page": explanation("X502"),
    "diagnostics": generated()[PAGE],
    "script": deploy_py(AUDIO2).decode().partition("FILES = [")[2],
    "message": json.dumps(message),
}))
"""


def texts(old: str, new: str) -> dict[str, str]:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, old, new],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, str] = json.loads(done.stdout)
    return found


def test_another_number_of_hidden_neurons_is_a_change_of_one_line() -> None:
    now, then = texts("hidden=1000", "hidden=1000"), texts("hidden=1000", "hidden=977")
    assert now["page"] == explanation("X502")
    for name, text in now.items():
        assert "1000" in text or "999" in text, name
        assert "977" in then[name] or "976" in then[name], name
    for name in ("schema", "table", "page", "script", "message"):
        assert then[name] == re.sub(r"\b1000\b", "977", re.sub(r"\b999\b", "976", now[name])), name


def limits() -> list[Any]:
    return [
        pytest.param(limit, id=f"{target.name} {limit.name}")
        for backend in registry.backends().values()
        for target in backend.targets
        for limit in target.limits
        if limit.max >= 10  # smaller numbers have too many other meanings
    ]


@pytest.mark.parametrize("limit", limits())
def test_no_page_repeats_a_limit(limit: Any) -> None:
    """A page names the limit: the number comes from limits.py."""
    page = finding_class(limit.code).page().partition("**Source.**")[0]
    for number in (str(limit.max), f"{limit.max:,}"):
        assert not re.search(rf"(?<![\d.,]){number}(?![\d]|[.,]\d)", page)


def test_every_limit_has_a_page_and_a_known_source() -> None:
    for backend in registry.backends().values():
        for target in backend.targets:
            for limit in target.limits:
                assert finding_class(limit.code).code == limit.code
                assert limit.source
                assert limit.certainty in CERTAINTY
