"""The laws that every chip keeps, and what this one refuses."""

from __future__ import annotations

import numpy as np
import pytest

import nirc
from nirc.verification.laws import LAWS, Law, network
from toychip import BACKEND


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.__name__)
def test_law(law: Law) -> None:
    law(BACKEND)


def test_a_constant_input_is_refused() -> None:
    model = network()
    model.nodes["hidden"].v_leak = np.full(8, 0.1)
    with pytest.raises(nirc.CompileError, match="P320"):
        nirc.compile(model, BACKEND.name)
