"""A tiny random checkpoint with a byte-fallback tokenizer, and an engine over it."""

from __future__ import annotations

import json
import string
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from safetensors.torch import save_file
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers

from tests.engine.shapes import random_model, tiny_config
from troupe.engine.engine import Engine
from troupe.engine.types import EngineOptions

SPECIAL = ["<pad>", "<eos>", "<bos>", "<unk>", "<|system|>", "<|user|>", "<|char|>", "<|end|>"]
TEMPLATE = (
    "<bos>{% for m in messages %}{% if m.role == 'system' %}<|system|>{{ m.content }}"
    "{% elif m.role == 'user' %}<|user|>{{ m.name or 'User' }}\n{{ m.content }}"
    "{% elif m.role == 'assistant' %}<|char|>{{ m.name or 'Char' }}\n{{ m.content }}"
    "{% else %}{{ raise_exception('unknown role ' + m.role) }}{% endif %}<|end|>{% endfor %}"
    "{% if add_generation_prompt %}<|char|>Char\n{% endif %}"
)


def tiny_tokenizer() -> Tokenizer:
    """Byte-fallback BPE: special tokens, 256 bytes, characters, a few merges."""
    words = [*SPECIAL, *(f"<0x{byte:02X}>" for byte in range(256))]
    words += ["▁", *string.ascii_letters, *string.digits, *".,!?*'\"-:;()"]
    merges = [("t", "h"), ("th", "e"), ("▁", "the"), ("▁", "a"), ("o", "u"), ("y", "ou")]
    words += ["".join(pair) for pair in merges]
    vocab = {word: index for index, word in enumerate(words)}
    tokenizer = Tokenizer(
        models.BPE(vocab=vocab, merges=merges, unk_token="<unk>", byte_fallback=True)
    )
    tokenizer.normalizer = normalizers.Replace(" ", "▁")
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
    )
    tokenizer.add_special_tokens([AddedToken(token, special=True) for token in SPECIAL])
    return tokenizer


def write_checkpoint(folder: Path, **changes: object) -> Path:
    """A whole Hugging Face folder, in a few hundred kilobytes."""
    folder.mkdir(parents=True, exist_ok=True)
    config = tiny_config(eos_token_ids=(1, 7), **changes)
    config.save(folder)
    save_file(random_model(config).state_dict(), folder / "model.safetensors")
    tiny_tokenizer().save(str(folder / "tokenizer.json"))
    settings = {"chat_template": TEMPLATE, "bos_token": "<bos>", "eos_token": "<eos>"}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    (folder / "generation_config.json").write_text(json.dumps({"eos_token_id": [1, 7]}))
    return folder


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_checkpoint(tmp_path_factory.mktemp("checkpoint") / "tiny")


@pytest_asyncio.fixture
async def engine(checkpoint: Path) -> AsyncIterator[Engine]:
    engine = Engine(checkpoint, EngineOptions(kv_bytes=2 * 2**20, max_sequences=4))
    engine.start()
    await engine.loaded()
    yield engine
    await engine.close()
