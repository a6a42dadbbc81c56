"""The compiled operator, by ctypes: its structures, and whether this machine has it.

The structures mirror `kernels.h` and `step.h`, field by field. Built when Troupe is installed.
"""

from __future__ import annotations

import ctypes as c
from functools import cache
from pathlib import Path

from troupe.engine.errors import EngineError

NAME = "_step.so"
_STALE = (
    "the CPU operator was built from other sources than these: install Troupe again with a C++ "
    "compiler at hand, or set the engine's backend to torch"
)


class Matrix(c.Structure):
    """`kernels.h`: Matrix."""

    _fields_ = (
        ("weights", c.c_void_p),
        ("scale", c.c_void_p),
        ("inputs", c.c_int32),
        ("outputs", c.c_int32),
    )


class Layer(c.Structure):
    """`step.h`: TroupeLayer."""

    _fields_ = (
        ("qkv", Matrix),
        ("out", Matrix),
        ("gate_up", Matrix),
        ("down", Matrix),
        ("qkv_bias", c.c_void_p),
        ("out_bias", c.c_void_p),
        ("gate_up_bias", c.c_void_p),
        ("down_bias", c.c_void_p),
        ("query_norm", c.c_void_p),
        ("key_norm", c.c_void_p),
        ("before_attention", c.c_void_p),
        ("after_attention", c.c_void_p),
        ("before_mlp", c.c_void_p),
        ("after_mlp", c.c_void_p),
        ("cos", c.c_void_p),
        ("sin", c.c_void_p),
        ("cache_stride", c.c_int64),
        ("cache", c.c_int32),
        ("makes_kv", c.c_int32),
        ("dim", c.c_int32),
        ("window", c.c_int32),
        ("local", c.c_int32),
        ("inner", c.c_int32),
        ("scalar", c.c_float),
    )


class Model(c.Structure):
    """`step.h`: TroupeModel."""

    _fields_ = (
        ("layers", c.POINTER(Layer)),
        ("embedding", c.c_void_p),
        ("head", Matrix),
        ("norm", c.c_void_p),
        ("layer_count", c.c_int32),
        ("first_shared", c.c_int32),
        ("hidden", c.c_int32),
        ("heads", c.c_int32),
        ("kv_heads", c.c_int32),
        ("context", c.c_int32),
        ("max_rows", c.c_int32),
        ("threads", c.c_int32),
        ("value_norm", c.c_int32),
        ("silu", c.c_int32),
        ("attention_scale", c.c_float),
        ("embedding_scale", c.c_float),
        ("eps", c.c_float),
        ("softcap", c.c_float),
    )


class Batch(c.Structure):
    """`step.h`: TroupeBatch."""

    _fields_ = (
        ("tokens", c.c_void_p),
        ("positions", c.c_void_p),
        ("table", c.c_void_p),
        ("pages", c.c_void_p),
        ("local_pages", c.c_void_p),
        ("wanted", c.c_void_p),
        ("rows", c.c_int32),
        ("wanted_count", c.c_int32),
        ("logits", c.c_void_p),
        ("caches", c.c_void_p),
    )


def path() -> Path:
    """Where the operator lies when it has been built."""
    return Path(__file__).with_name(NAME)


def available() -> bool:
    """Whether the operator has been built here and loads."""
    try:
        load()
    except EngineError:
        return False
    return True


@cache
def load() -> c.CDLL:
    """The library, with the types of its functions. Raises `EngineError`."""
    try:
        library = c.CDLL(str(path()))
    except OSError as error:
        raise EngineError(
            f"the CPU operator is not built ({error}); install Troupe again with a C++ compiler "
            "at hand, or set the engine's backend to torch"
        ) from error
    try:
        _describe(library)
    except AttributeError as error:
        raise EngineError(f"{_STALE} ({error})") from error
    if library.troupe_structures() != _structures():
        raise EngineError(_STALE)
    return library


def _structures() -> int:
    """The structures' sizes, as `troupe_structures` gives them."""
    return c.sizeof(Model) << 32 | c.sizeof(Layer) << 16 | c.sizeof(Batch)


def _describe(library: c.CDLL) -> None:
    """Give the library's functions their types. Raises `AttributeError` if one is not there."""
    library.troupe_structures.restype = c.c_int64
    library.troupe_model_new.argtypes = [c.POINTER(Model)]
    library.troupe_model_new.restype = c.c_void_p
    library.troupe_model_free.argtypes = [c.c_void_p]
    library.troupe_model_free.restype = None
    library.troupe_step.argtypes = [c.c_void_p, c.POINTER(Batch)]
    library.troupe_step.restype = None
    library.troupe_instruction_set.restype = c.c_char_p
    library.troupe_use.argtypes = [c.c_char_p]
    library.troupe_use.restype = c.c_int
    library.troupe_product.argtypes = [c.POINTER(Matrix), c.c_void_p, c.c_int32, c.c_void_p]
    library.troupe_product.restype = None
    library.troupe_multiply.argtypes = [c.c_int64]
    library.troupe_multiply.restype = c.c_int64
    library.troupe_read.argtypes = [c.c_void_p, c.c_int64]
    library.troupe_read.restype = c.c_int64


def instruction_set() -> str:
    """`avx512`, `avx2` or `portable`: what steps run on."""
    return str(load().troupe_instruction_set().decode())


def use(name: str) -> None:
    """Run steps on another instruction set, for tests and measurements. Raises `EngineError`."""
    if not load().troupe_use(name.encode()):
        raise EngineError(f"this machine has no {name}")
