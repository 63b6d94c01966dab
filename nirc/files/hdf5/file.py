"""HDF5 with distrust: hard links only, sizes before bytes, no plugin, nothing stored elsewhere.

Text of variable length goes through :mod:`nirc.files.hdf5.text`, never through HDF5's own reader.
"""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from nirc.files.bounds import MAX_FIELD_BYTES, MAX_LINKS, MAX_NAME, printable
from nirc.files.hdf5.chunks import Budget, check_size, check_storage
from nirc.files.hdf5.heaps import check_local_heaps
from nirc.files.hdf5.superblock import check_finished, explained
from nirc.files.refusal import EXPORT_AGAIN, RefusalError, damage

MAX_NAME_BYTES = 4 * MAX_NAME  # UTF-8


class Hdf5:
    """An open HDF5 file. Every method raises :class:`RefusalError` and nothing else."""

    def __init__(self, path: Path) -> None:
        self.path, self.budget = path, Budget()
        try:
            with damage():
                check_finished(path)
                check_local_heaps(path)
                self.file: Any = h5py.File(path, "r", locking=False)
        except RefusalError as refusal:
            raise explained(refusal, path) from refusal

    def __enter__(self) -> Hdf5:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with damage():
            self.file.close()

    @cached_property
    def root(self) -> Any:
        """The group ``/``."""
        with damage():
            return h5py.h5g.open(self.file.id, b"/")

    def names(self, group: Any) -> list[str]:
        """Names of all links of a group, sorted, whatever they lead to."""
        found: list[bytes] = []

        def keep(name: bytes) -> bool | None:
            found.append(name)  # many links may share one long name
            return (
                True if len(found) > MAX_LINKS or len(name) > MAX_NAME_BYTES else None
            )  # None goes on

        with damage():
            group.links.iterate(keep, order=h5py.h5.ITER_NATIVE)  # other orders build a table first
        if len(found) > MAX_LINKS:
            raise RefusalError(
                "F106", "a group has too many members", f"more than {MAX_LINKS}", str(MAX_LINKS)
            )
        if max(map(len, found), default=0) > MAX_NAME_BYTES:
            raise RefusalError("F106", "a name is too long", limit=f"{MAX_NAME} characters")
        return sorted(as_text(name) for name in found)

    def open(self, group: Any, name: str) -> Any:
        """The group or dataset that a hard link leads to."""
        key = name.encode()
        with damage():
            kind = group.links.get_info(key).type
        if kind != h5py.h5l.TYPE_HARD:
            raise RefusalError(
                "F105",
                f"`{printable(name)}` is a {'soft' if kind == h5py.h5l.TYPE_SOFT else 'external'} "
                "link",
                limit="hard links",
                help="store the data itself in its place, for instance with h5py",
            )
        with damage():
            return h5py.h5o.open(group, key)

    def address(self, item: Any) -> int:
        """Where an object lies in the file: two links to it have the same address."""
        with damage():
            return int(h5py.h5o.get_info(item).addr)

    def has_attribute(self, item: Any, name: str) -> bool:
        """Whether an object has an attribute, whatever it holds."""
        with damage():
            return bool(h5py.h5a.exists(item, name.encode()))

    def number_attribute(self, item: Any, name: str) -> float | None:
        """A scalar numeric attribute; None if it is absent or something else (text is never
        touched).
        """
        if not self.has_attribute(item, name):
            return None
        with damage():
            attribute = h5py.h5a.open(item, name.encode())
            if attribute.get_type().get_class() not in (h5py.h5t.INTEGER, h5py.h5t.FLOAT):
                return None
            if attribute.shape not in ((), (1,)):
                return None
            value = np.empty(attribute.shape, attribute.dtype)
            attribute.read(value)
            return float(value.reshape(()))

    def numbers(self, dataset: Any, limit: int = MAX_FIELD_BYTES) -> NDArray[np.generic]:
        """The array of a dataset in its stored type (native byte order), at most ``limit``
        bytes.
        """
        dtype = number_type(dataset)
        shape = shape_of(dataset)
        check_size(shape, dtype.itemsize, limit)
        check_storage(dataset, shape, dtype.itemsize, limit, self.budget)
        with damage():
            array = np.empty(shape, dtype)
            if array.size:
                dataset.read(h5py.h5s.ALL, h5py.h5s.ALL, array)
        return array


def is_group(item: Any) -> bool:
    """Whether an opened object is a group."""
    return isinstance(item, h5py.h5g.GroupID)


def is_dataset(item: Any) -> bool:
    """Whether an opened object is a dataset (the third kind is a named type)."""
    return isinstance(item, h5py.h5d.DatasetID)


def as_text(raw: bytes) -> str:
    """UTF-8 text."""
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        shown = printable(raw.decode(errors="backslashreplace"))
        raise RefusalError(
            "F113", "a name or text is not UTF-8", shown, help=f"{EXPORT_AGAIN} with UTF-8 names"
        ) from error


def shape_of(dataset: Any) -> tuple[int, ...]:
    """The shape of a dataset; a dataset without any value is refused."""
    with damage():
        shape = dataset.shape
    if shape is None:
        raise RefusalError(
            "F107", "the field has no value at all", "an empty HDF5 dataspace", "numbers or text"
        )
    return tuple(int(n) for n in shape)


def number_type(dataset: Any) -> np.dtype[Any]:
    """The numpy type of a dataset of numbers: bool, integers, floats of 2, 4 or 8 bytes."""
    try:
        dtype, stored = dataset.dtype, dataset.get_type().get_size()
    except TypeError as error:
        raise RefusalError(
            "F107", "the field's type is unknown", printable(str(error), 120), "numbers or text"
        ) from error
    except (OSError, RuntimeError, ValueError, KeyError) as error:
        raise RefusalError(
            "F104", "the field's type cannot be read", printable(str(error), 120)
        ) from error
    if dtype.kind not in "biuf" or dtype.itemsize > 8 or stored != dtype.itemsize:
        raise RefusalError(
            "F107",
            "the field holds something that is not numbers or text",
            printable(str(dtype)),
            "bool, integers, floats of 16, 32 or 64 bits; text",
            f"{EXPORT_AGAIN} with real numbers",
        )
    native: np.dtype[Any] = np.dtype(dtype.str).newbyteorder(
        "="
    )  # by its name: an enumeration is its integers
    return native
