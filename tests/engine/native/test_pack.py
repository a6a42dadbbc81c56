"""Packing weights, and the integer product over them."""

from __future__ import annotations

import ctypes

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from troupe.engine.native import library
from troupe.engine.native.pack import bfloat16, pack


def unpacked(blocks: np.ndarray, outputs: int, inputs: int) -> np.ndarray:
    """Blocks as `(outputs, inputs)` integers."""
    count, quads = blocks.shape[:2]
    matrix = blocks.astype(np.int32).transpose(0, 2, 1, 3).reshape(count * 16, quads * 4) - 128
    assert not matrix[outputs:].any()
    assert not matrix[:, inputs:].any()
    return matrix[:outputs, :inputs]


@given(st.integers(1, 70), st.integers(1, 70), st.integers(0, 2**31))
@settings(max_examples=40, deadline=None)
def test_a_packed_weight_is_within_half_a_step(outputs: int, inputs: int, seed: int) -> None:
    weight = np.random.default_rng(seed).normal(size=(outputs, inputs)).astype(np.float32)
    weight[0] = 0.0
    packed = pack(weight)
    back = unpacked(packed.blocks, outputs, inputs) * packed.scale[:, None]
    assert (np.abs(back - weight) <= 0.5001 * packed.scale[:, None]).all()


@given(st.integers(1, 40), st.integers(1, 150), st.integers(1, 30), st.integers(0, 2**31))
@settings(max_examples=60, deadline=None)
def test_products_are_those_of_the_integers(rows: int, outputs: int, quads: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    weight = rng.normal(size=(outputs, 4 * quads)).astype(np.float32)
    x = rng.normal(size=(rows, 4 * quads)).astype(np.float32)
    packed = pack(weight)
    out = np.empty((rows, outputs), np.float32)
    library.load().troupe_product(
        ctypes.byref(packed.matrix()), x.ctypes.data, rows, out.ctypes.data
    )
    scale = np.abs(x).max(axis=1) / np.float32(127.0)
    whole = np.rint(x / scale[:, None])
    exact = whole @ unpacked(packed.blocks, outputs, 4 * quads).T.astype(np.float64)
    # An activation half way between two integers may go either way: 127 at most, once or twice.
    expected = exact * scale[:, None].astype(np.float64) * packed.scale
    room = 2 * 128 * scale[:, None] * packed.scale
    assert (np.abs(out - expected) <= room).all()
    assert np.median(np.abs(out - expected) / room) < 0.01


@pytest.mark.usefixtures("best")
def test_every_instruction_set_multiplies_alike_however_many_rows_there_are(
    sets: list[str],
) -> None:
    rng = np.random.default_rng(5)
    for inputs, outputs in ((20, 50), (64, 16), (288, 150)):
        packed = pack(rng.normal(size=(outputs, inputs)).astype(np.float32))
        x = rng.normal(size=(40, inputs)).astype(np.float32)
        found = []
        for name in sets:
            library.use(name)
            for rows in (*range(1, 20), 40):
                out = np.empty((rows, outputs), np.float32)
                library.load().troupe_product(
                    ctypes.byref(packed.matrix()), x.ctypes.data, rows, out.ctypes.data
                )
                found.append(out)
        assert all(np.array_equal(out, found[-1][: len(out)]) for out in found)


def test_bfloat16_rounds_to_the_nearest() -> None:
    values = np.array([1.0, 1.00390625, 1.01171875, -2.5, 0.0], np.float32)
    back = (bfloat16(values).astype(np.uint32) << 16).view(np.float32)
    assert back.tolist() == [1.0, 1.0, 1.015625, -2.5, 0.0]
