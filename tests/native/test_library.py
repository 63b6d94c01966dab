"""A library of older sources is not called: its functions may take other arguments."""

import ctypes
import shutil
from pathlib import Path

import pytest

from nirc.native import library as loading
from nirc.native.library import FOLDER, SWITCH, is_newest, library, number_of, sources_in


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    for source in sources_in(FOLDER):
        shutil.copy(source, tmp_path)
    if not (tmp_path / "sources.c").exists():
        pytest.skip("installed from a wheel: no sources in C")
    return tmp_path


@pytest.fixture
def newest(monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.delenv(SWITCH, raising=False)
    found = library()
    assert found is not None
    return ctypes.c_uint32.in_dll(found, "built_from").value


def test_a_changed_line_makes_the_library_old(checkout: Path, newest: int) -> None:
    assert is_newest(newest, checkout)
    with (checkout / "kernels.h").open("a") as header:
        header.write("/* one more line */\n")
    assert not is_newest(newest, checkout)


def test_files_of_an_editor_are_no_sources(checkout: Path, newest: int) -> None:
    (checkout / ".#trees.c").symlink_to("me@host.1")
    assert is_newest(newest, checkout)


def test_a_renamed_source_makes_the_library_old(checkout: Path, newest: int) -> None:
    (checkout / "trees.c").rename(checkout / "treez.c")
    assert not is_newest(newest, checkout)


def test_a_wheel_has_no_sources_to_compare(tmp_path: Path) -> None:
    assert is_newest(0, tmp_path)


def test_an_old_library_is_not_loaded(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    load = loading._loaded.__wrapped__
    monkeypatch.setattr(loading, "FOLDER", checkout)
    assert load() is not None
    (checkout / "trees.c").unlink()
    assert number_of(checkout) != number_of(FOLDER)
    assert load() is None
