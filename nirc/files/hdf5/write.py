"""Write HDF5 without times and packing. Same arrays, same bytes.

``h5py``'s own methods look at every argument. For thousands of small arrays that takes longer than
the writing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray


def write_datasets(file: h5py.File, arrays: Mapping[str, NDArray[Any]]) -> dict[str, int]:
    """Write arrays at their paths, contiguous. Return the places of their first bytes.

    Groups are made where a path needs them. An array has one value or more.
    """
    layout = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    layout.set_obj_track_times(False)
    groups = {"": file.id}
    kinds: dict[np.dtype[Any], Any] = {}
    spaces: dict[tuple[int, ...], Any] = {(): h5py.h5s.create(h5py.h5s.SCALAR)}
    places = {}
    for path, values in arrays.items():
        above, _, name = path.rpartition("/")
        group = _group(groups, above)
        array = np.asarray(values, order="C")
        if array.dtype not in kinds:
            kinds[array.dtype] = h5py.h5t.py_create(array.dtype, logical=True)
        if array.shape not in spaces:
            spaces[array.shape] = h5py.h5s.create_simple(array.shape)
        kind, space = kinds[array.dtype], spaces[array.shape]
        dataset = h5py.h5d.create(group, name.encode(), kind, space, layout)
        dataset.write(h5py.h5s.ALL, h5py.h5s.ALL, array)
        places[path] = int(dataset.get_offset() or 0)
    return places


def _group(groups: dict[str, Any], path: str) -> Any:
    """Return the group at ``path``, which is made if it is not there."""
    if path not in groups:
        above, _, name = path.rpartition("/")
        parent = _group(groups, above)
        groups[path] = h5py.h5g.create(parent, name.encode())
    return groups[path]
