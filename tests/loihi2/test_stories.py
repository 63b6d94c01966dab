"""Each trait of the chip shows in a small network: its integers, tables, cores, and what is said.

After a change on purpose: ``python -m tests.loihi2.story_text``, and read what ``git diff`` shows.
"""

from __future__ import annotations

import pytest

from tests.loihi2.stories import STORIES
from tests.loihi2.story_text import kept, shown

KEPT = kept()


@pytest.mark.parametrize("name", STORIES)
def test_a_trait_of_the_chip_shows_as_it_did(name: str) -> None:
    assert shown(name) == KEPT[name]


def test_every_text_has_its_story() -> None:
    assert list(KEPT) == list(STORIES)
