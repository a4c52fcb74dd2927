"""The compiled library: where it lies, how its functions are called, and which instruction set they use."""

from __future__ import annotations

import ctypes
import os
import struct
from collections.abc import Callable
from functools import cache
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

from torch import Tensor

INSTRUCTION_SETS = ("avx512", "avx2", "plain")
ENVIRONMENT = "WEAKSYNC_CPU"
#: bytes; smaller tensors gain nothing from huge pages
LARGE = 4 << 20


#: `Batch` of interface.cpp, packed: in an eighth of the time that a structure of ctypes takes
BATCH = struct.Struct("P 5q 2P 3q P")


class Sequences(ctypes.Structure):
    """`Sequences` of interface.cpp."""

    _fields_ = (
        ("data", ctypes.c_void_p),
        *((name, ctypes.c_int64) for name in ("count", "length", "stride", "row_stride")),
    )


_POINTER, _INT, _DOUBLE = ctypes.c_void_p, ctypes.c_int64, ctypes.c_double
#: types of the arguments after the batch
_ARGUMENTS: dict[str, tuple[type, ...]] = {
    "soft_dtw": (_DOUBLE, _POINTER),
    "soft_dsta": (_POINTER, _INT, _DOUBLE, _DOUBLE, _POINTER),
    "soft_drop_dtw": (_POINTER, _POINTER, _INT, _DOUBLE, _POINTER, _POINTER, _POINTER),
    "dtw_path": (_POINTER, _POINTER),
    "dsta_path": (_POINTER, _INT, _DOUBLE, _POINTER),
    "drop_dtw": (_POINTER, _POINTER, _INT, _POINTER),
}


def _load() -> tuple[ctypes.CDLL | None, str]:
    """The library, or None and why it is not there."""
    folder = Path(__file__).parent
    found = [path for suffix in EXTENSION_SUFFIXES if (path := folder / f"_recurrences{suffix}").is_file()]
    if not found:
        return None, "it was not built"
    try:
        library = ctypes.CDLL(str(found[0]))
        library.weaksync_choose.argtypes = (ctypes.c_char_p,)
        library.weaksync_choose.restype = ctypes.c_char_p
        library.weaksync_lanes.restype = _INT
        library.weaksync_expect_large.argtypes = (_POINTER, _INT)
        library.weaksync_expect_large.restype = None
        sequences = ctypes.POINTER(Sequences)
        library.weaksync_unit_cost.argtypes = (sequences, sequences, _POINTER, _INT, _INT, _INT, _POINTER)
        library.weaksync_unit_cost.restype = _INT
        library.weaksync_scale.argtypes = (_POINTER, _INT, _INT, _POINTER, _INT)
        library.weaksync_scale.restype = _INT
        for name, arguments in _ARGUMENTS.items():
            function = getattr(library, f"weaksync_{name}")
            function.argtypes = (ctypes.c_char_p, *arguments)
            function.restype = _INT
    except (OSError, AttributeError) as fault:
        return None, f"{found[0].name} does not load ({fault})"
    return library, ""


_library, _fault = _load()
_chosen = ""


def available() -> bool:
    """Whether the library was built and loads.

    Raises ValueError where WEAKSYNC_CPU names an instruction set that is unknown, or that this processor lacks.
    """
    if _library is not None and not _chosen:
        use(os.environ.get(ENVIRONMENT) or None)
    return _library is not None


def loaded() -> ctypes.CDLL:
    """The library.  Raises ImportError where it is missing."""
    if not available():
        raise ImportError(describe())
    assert _library is not None
    return _library


@cache
def function(name: str) -> Callable[..., int]:
    """The library's function of that name.  Raises ImportError where the library is missing."""
    return getattr(loaded(), f"weaksync_{name}")


def describe() -> str:
    """The instruction set in use, "avx512, 16 lanes"; or why there is none, and how to have one."""
    if not available():
        return (
            f"the compiled CPU kernels are missing: {_fault}; the reference in torch serves instead, about a hundred "
            "times slower. With GCC 9 or newer, `pip install --force-reinstall --no-deps weaksync` (in a checkout: "
            "`pip install -e .`) builds them"
        )
    return f"{_chosen}, {loaded().weaksync_lanes()} lanes"


def use(name: str | None) -> str:
    """Take the named instruction set from now on, or the widest for None, and return its name.

    Raises ValueError for a name that is unknown, or that this processor or build does not have; ImportError where the
    library is missing.
    """
    global _chosen
    if _library is None:
        raise ImportError(describe())
    if name is not None and name not in INSTRUCTION_SETS:
        raise ValueError(f"{ENVIRONMENT} is {name!r}; it must be one of {', '.join(INSTRUCTION_SETS)}")
    chosen = _library.weaksync_choose(None if name is None else name.encode())
    if chosen is None:
        raise ValueError(f"{ENVIRONMENT} is {name!r}, which this processor does not have; unset it to take the widest")
    _chosen = chosen.decode()
    return _chosen


def empty(like: Tensor, *shape: int) -> Tensor:
    """An uninitialised tensor of the same type on the CPU, in huge pages where it is large.

    The page faults of small pages cost as much as a recurrence.
    """
    tensor = like.new_empty(shape)
    if _library is not None and tensor.nbytes >= LARGE:
        _library.weaksync_expect_large(tensor.data_ptr(), tensor.nbytes)
    return tensor


#: an address for tensors without elements, which have none; null means "not there"
_NOWHERE = ctypes.c_double()


def address(tensor: Tensor | None, there: bool = True) -> int | None:
    """Where the elements lie; None, which is null in C++, for no tensor or one that is not there."""
    if tensor is None or not there:
        return None
    return tensor.data_ptr() or ctypes.addressof(_NOWHERE)
