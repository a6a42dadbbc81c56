"""Other families in the whole engine, with the kinds of tokenizer that they come with."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers

from tests.engine.conftest import tiny_tokenizer
from tests.engine.families import CASES, write_model
from troupe.engine.engine import Engine
from troupe.engine.errors import CheckpointError, EngineError
from troupe.engine.ref import Model
from troupe.engine.sampling import SamplingParams
from troupe.engine.text import Detokenizer
from troupe.engine.types import EngineOptions, GenerateRequest

SAID = "A quiet evening. Naïve café, ça va? 漢字 and 😀 beside the river."


def byte_level() -> Tokenizer:
    """Byte-level BPE, as Llama 3 and Qwen have it."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=300,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        special_tokens=["<|begin|>", "<|end|>"],
        show_progress=False,
    )
    tokenizer.train_from_iterator([SAID] * 3, trainer)
    return tokenizer


TOKENIZERS = {"llama, llama3 rope": byte_level, "mistral, a window in every layer": tiny_tokenizer,
              "qwen3": byte_level, "gemma3": tiny_tokenizer}  # fmt: skip


@pytest.mark.parametrize("name", TOKENIZERS)
async def test_greedy_answers_are_the_reference_s(tmp_path: Path, name: str) -> None:
    write_model(tmp_path, *CASES[name])
    tokenizer = TOKENIZERS[name]()
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    (tmp_path / "generation_config.json").write_text(json.dumps({"eos_token_id": [501, 502]}))
    prompt = tokenizer.encode(SAID, add_special_tokens=False).ids
    options = EngineOptions(kv_bytes=2**22, context_length=256, backend="eager")
    engine = Engine(tmp_path, options)
    assert engine.config.eos_token_ids == (501, 502)
    engine.start()
    request = GenerateRequest(prompt, 24, SamplingParams(temperature=0.0), ignore_eos=True)
    chunks = [chunk async for chunk in engine.generate(request)]
    again = [chunk async for chunk in engine.generate(request)]
    await engine.close()
    reference, ids = Model.load(tmp_path), list(prompt)
    with torch.no_grad():
        for _ in range(24):
            ids.append(int(reference(torch.tensor([ids]))[0, -1].argmax()))
    answered = [token for chunk in chunks for token in chunk.token_ids]
    assert answered == ids[len(prompt) :]
    detokenizer = Detokenizer(engine.vocabulary)
    pieces = [*(detokenizer.push(token) for token in prompt), detokenizer.finish()]
    assert "".join(pieces) == SAID
    assert [token for chunk in again for token in chunk.token_ids] == answered
    usage = again[-1].usage
    assert usage is not None
    assert usage.cached_tokens == len(prompt) - 1


def test_a_context_beyond_the_memory_is_cut_to_it(tmp_path: Path) -> None:
    write_model(tmp_path, "llama", {"max_position_embeddings": 131_072})
    tiny_tokenizer().save(str(tmp_path / "tokenizer.json"))
    short, long = (Engine(tmp_path, EngineOptions(kv_bytes=mb * 2**20)) for mb in (2, 4))
    assert 512 < short.context_length < long.context_length < 131_072
    assert abs(long.context_length / short.context_length - 2) < 0.1
    asked = EngineOptions(kv_bytes=2 * 2**20, context_length=131_072)
    with pytest.raises(EngineError, match="a context of 131072 tokens needs"):
        Engine(tmp_path, asked)
    with pytest.raises(EngineError, match="tokens needs"):
        Engine(tmp_path, EngineOptions(kv_bytes=2**10))


def test_a_special_token_beyond_the_vocabulary_is_no_text(tmp_path: Path) -> None:
    """As the picture's token of Gemma 3's text models; another token there is a mistake."""
    write_model(tmp_path, "gemma3_text", {**CASES["gemma3"][1], "vocab_size": 400})
    tokenizer = tiny_tokenizer()
    tokenizer.add_tokens([f"<unused{i}>" for i in range(400 - tokenizer.get_vocab_size())])
    tokenizer.add_special_tokens([AddedToken("<picture>", special=True)])
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    assert Engine(tmp_path, EngineOptions(kv_bytes=2**22)).vocabulary.size == 401
    tokenizer.add_tokens(["more"])
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    with pytest.raises(
        CheckpointError, match=r"402 tokens for text, and config\.json a vocab_size"
    ):
        Engine(tmp_path, EngineOptions(kv_bytes=2**22))
