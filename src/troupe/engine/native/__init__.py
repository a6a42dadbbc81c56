"""The CPU operator: a step of the model in C++, with int8 weights, activations, keys and values.

`step.cpp` computes (see `step.h`), `library.py` calls it, `pack.py` makes its weights, `arena.py`
holds its pages, `model.py` is what the engine's worker steps. It needs no torch.
"""
