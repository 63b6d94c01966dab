"""Random networks become what they became before, and the same is said about them.

After a change on purpose: ``python -m tests.expected``, and read what ``git diff`` shows.
"""

from __future__ import annotations

import pytest

from tests.expected.texts import NETWORKS, kept, shown

EVERY = [(name, seed) for name, count in NETWORKS.items() for seed in range(count)]


@pytest.mark.parametrize(("name", "seed"), EVERY)
def test_a_network_becomes_what_it_became(name: str, seed: int) -> None:
    assert shown(name, seed) == kept(name)[seed]
