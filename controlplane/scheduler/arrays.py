"""Types of the arrays with one element for each row of the node table. PURE."""

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

Mask: TypeAlias = npt.NDArray[np.bool_]
Ints: TypeAlias = npt.NDArray[np.int64]
Ids: TypeAlias = npt.NDArray[np.int32]
Floats: TypeAlias = npt.NDArray[np.float64]
Rows: TypeAlias = "slice | npt.NDArray[np.intp]"
"""Which rows are asked for: `slice(0, size)`, or their positions."""


def domain_sums(ids: npt.NDArray[np.integer[Any]], counts: Ints, domain_count: int) -> Floats:
    """The sum of the counts of each domain; of rows without one (id 0) it is 0."""
    sums = np.bincount(ids, weights=counts, minlength=domain_count).astype(np.float64, copy=False)
    sums[0] = 0.0
    return sums


def grown(array: npt.NDArray[Any], capacity: int) -> npt.NDArray[Any]:
    """A copy whose last axis has so many elements; the new ones are zero."""
    wider = np.zeros((*array.shape[:-1], capacity), dtype=array.dtype)
    wider[..., : array.shape[-1]] = array
    return wider
