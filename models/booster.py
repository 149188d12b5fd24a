"""One row through a LightGBM model: the C library's single-row fast path, or Booster.predict.

Measured (200 trees of 31 leaves): 6 us against 39 us for ``Booster.predict(num_threads=1)``, whose
default of all threads costs 9 ms at p99. Both give the same bits.

The package itself is imported for the fallback alone: with numpy and scipy it is a quarter of what
a worker takes to start.
"""

import ctypes
import re
from importlib.util import find_spec
from pathlib import Path
from typing import Final, Protocol, cast
from weakref import finalize

# Constants of LightGBM/c_api.h.
_RAW_SCORE: Final = 1  # C_API_PREDICT_RAW_SCORE
_FLOAT64: Final = 1  # C_API_DTYPE_FLOAT64
_ALL_ITERATIONS: Final = -1
# Arrays of a tree by what they count; one of a single leaf has no splits.
_OF_SPLITS: Final = ("split_feature", "threshold", "decision_type", "left_child", "right_child")
# Threads are fixed when the fast path is prepared, not per call.
_PARAMETERS: Final = b"num_threads=1"


class BoosterError(RuntimeError):
    """LightGBM did not take the model or the row; the message is LightGBM's own."""


class Row(Protocol):
    """Gives the raw score of one vector; NaN = missing."""

    def raw(self, vector: list[float]) -> float:
        """Return the raw score; raises BoosterError, also for a vector of the wrong length."""
        ...


def load(model: str, features: int) -> Row:
    """Load a model in LightGBM's text format that takes ``features`` columns.

    Raises BoosterError.
    """
    _check_trees(model.encode())
    library = _library()
    return SlowRow(model, features) if library is None else FastRow(library, model, features)


class FastRow:
    """The fast path. One instance serves one thread: it owns its input and output buffers."""

    def __init__(self, library: ctypes.PyDLL, model: str, features: int) -> None:
        """Load the model, check its width, prepare the call."""
        self._library = library
        self._width = features
        booster = ctypes.c_void_p()
        trees = ctypes.c_int()
        self._check(
            library.LGBM_BoosterLoadModelFromString(
                model.encode(), ctypes.byref(trees), ctypes.byref(booster)
            )
        )
        fast = ctypes.c_void_p()
        # Frees whatever exists by then, the fast configuration first: it points into the booster.
        finalize(self, _free, library, fast, booster)
        width = ctypes.c_int()
        self._check(library.LGBM_BoosterGetNumFeature(booster, ctypes.byref(width)))
        _check_width(width.value, features)
        self._check(
            library.LGBM_BoosterPredictForMatSingleRowFastInit(
                booster,
                _RAW_SCORE,
                0,
                _ALL_ITERATIONS,
                _FLOAT64,
                features,
                _PARAMETERS,
                ctypes.byref(fast),
            )
        )
        self._input = (ctypes.c_double * features)()
        self._output = ctypes.c_double()
        self._written = ctypes.c_int64()
        # Wrapped once, not per call.
        self._arguments = (
            fast,
            ctypes.byref(self._input),
            ctypes.byref(self._written),
            ctypes.byref(self._output),
        )
        self._predict = library.LGBM_BoosterPredictForMatSingleRowFast

    def raw(self, vector: list[float]) -> float:
        """Return the raw score of one vector."""
        # The C call reads as many doubles as the model has columns, whatever it is given.
        if len(vector) != self._width:
            raise BoosterError(_wrong_length(len(vector), self._width))
        self._input[:] = cast("list[float | ctypes.c_double]", vector)
        if self._predict(*self._arguments) != 0:
            raise BoosterError(self._last_error())
        if self._written.value != 1:
            raise BoosterError(f"the model gave {self._written.value} scores for one row, not 1")
        return self._output.value

    def _check(self, code: int) -> None:
        if code != 0:
            raise BoosterError(self._last_error())

    def _last_error(self) -> str:
        text: bytes = self._library.LGBM_GetLastError()
        return text.decode(errors="replace")


class SlowRow:
    """The fallback for a LightGBM whose library lacks the fast path."""

    def __init__(self, model: str, features: int) -> None:
        """Load the model and check its width."""
        try:
            import lightgbm  # noqa: PLC0415 - see the head of this file
        except OSError as missing:  # the package opens its library when it is imported
            message = f"LightGBM needs the OpenMP runtime, install libgomp1; {missing}"
            raise BoosterError(message) from missing
        try:
            self._booster = lightgbm.Booster(model_str=model)
        except lightgbm.basic.LightGBMError as error:
            raise BoosterError(str(error)) from error
        _check_width(self._booster.num_feature(), features)
        self._width = features

    def raw(self, vector: list[float]) -> float:
        """Return the raw score of one vector."""
        if len(vector) != self._width:
            raise BoosterError(_wrong_length(len(vector), self._width))
        import numpy as np  # noqa: PLC0415 - see the head of this file

        row = np.asarray([vector], dtype=np.float64)
        # num_threads=1 always: a worker has one thread, and OpenMP's default costs 9 ms at p99.
        scores = np.asarray(self._booster.predict(row, raw_score=True, num_threads=1))
        return float(scores[0])


def _check_trees(model: bytes) -> None:
    """Refuse a text whose trees do not stand where its head says, or are not whole.

    LightGBM reads trees in threads of its own and aborts the process over what is wrong in one: a
    text cut in half, or with other line ends, would end every worker that meets it in the log.
    """
    begin = model.find(b"\nTree=") + 1
    sizes = re.search(rb"(?m)^tree_sizes=([\d ]*)$", model[:begin])
    if sizes is None:
        raise BoosterError("the text of the model does not say how long its trees are")
    for number, size in enumerate(map(int, sizes[1].split())):
        tree = model[begin : begin + size]
        if len(tree) != size or not tree.startswith(b"Tree=%d\n" % number) or not _whole(tree):
            raise BoosterError(f"tree {number} of the text of the model is damaged")
        begin += size


def _whole(tree: bytes) -> bool:
    """Return whether a tree has its arrays, each as long as it must be, of numbers."""
    told = dict(line.split(b"=", 1) for line in tree.splitlines() if b"=" in line)
    try:
        leaves = int(told[b"num_leaves"])
        arrays = {"leaf_value": leaves}
        arrays |= dict.fromkeys(_OF_SPLITS, leaves - 1) if leaves > 1 else {}
        return all(
            len([float(one) for one in told[name.encode()].split()]) == length
            for name, length in arrays.items()
        )
    except (KeyError, ValueError):
        return False


def _check_width(width: int, features: int) -> None:
    if width != features:
        raise BoosterError(f"the model takes {width} features, this program makes {features}")


def _wrong_length(got: int, width: int) -> str:
    return f"the vector has {got} values, the model takes {width}"


def _free(library: ctypes.PyDLL, fast: ctypes.c_void_p, booster: ctypes.c_void_p) -> None:
    if fast:
        library.LGBM_FastConfigFree(fast)
    if booster:
        library.LGBM_BoosterFree(booster)


def _library() -> ctypes.PyDLL | None:
    """Open the library the wheel brings, once more, with prototypes; None = no fast path.

    PyDLL keeps the interpreter lock during a call: a row takes less time than handing it over.
    """
    package = find_spec("lightgbm")
    if package is None or package.origin is None:
        return None
    folder = Path(package.origin).parent / "lib"
    paths = [folder / f"lib_lightgbm.{ending}" for ending in ("so", "dylib", "dll")]
    for path in paths:
        if path.is_file():
            try:
                return _with_prototypes(ctypes.PyDLL(str(path)))
            except (OSError, AttributeError):  # unreadable here, or without the symbols
                return None
    return None


def _with_prototypes(library: ctypes.PyDLL) -> ctypes.PyDLL:
    """Declare what is called; raises AttributeError when a symbol is missing."""
    pointer, integer, text = ctypes.c_void_p, ctypes.c_int, ctypes.c_char_p
    prototypes = {
        # (model text, &number of iterations, &booster)
        "LGBM_BoosterLoadModelFromString": (text, pointer, pointer),
        # (booster, &number of features)
        "LGBM_BoosterGetNumFeature": (pointer, pointer),
        # (booster, predict type, first iteration, iterations, type of data, columns, parameters,
        #  &fast configuration)
        "LGBM_BoosterPredictForMatSingleRowFastInit": (
            pointer, integer, integer, integer, integer, ctypes.c_int32, text, pointer,
        ),
        # (fast configuration, row, &length of output, &output)
        "LGBM_BoosterPredictForMatSingleRowFast": (pointer, pointer, pointer, pointer),
        "LGBM_FastConfigFree": (pointer,),
        "LGBM_BoosterFree": (pointer,),
    }  # fmt: skip
    for name, arguments in prototypes.items():
        function = getattr(library, name)
        function.argtypes = arguments
        function.restype = integer
    library.LGBM_GetLastError.argtypes = ()
    library.LGBM_GetLastError.restype = text
    return library
