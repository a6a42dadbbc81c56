"""Chat templates in the styles of several families, with a tokenizer that has all their tokens."""

from __future__ import annotations

import json
import string
from datetime import datetime
from pathlib import Path
from typing import Any

from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from troupe.prompt import Part, Section
from troupe.prompt.formats import ChatTemplate

FOLDER = Path(__file__).parent / "templates"
FAMILIES = sorted(path.stem for path in FOLDER.glob("*.jinja"))
SPECIAL = [
    "<s>", "</s>", "<|im_start|>", "<|im_end|>", "<|start_header_id|>", "<|end_header_id|>",
    "<|eot_id|>", "[INST]", "[/INST]", "<start_of_turn>", "<end_of_turn>", "<start_of_image>",
    "<|system|>", "<|user|>", "<|assistant|>", "<|end|>",
]  # fmt: skip
ADDED = ["<think>", "</think>", "<tool_call>", "</tool_call>"]  # added, and no special tokens
NOW = datetime(2026, 11, 21, 13, 0)
CONFIG: dict[str, Any] = {"bos_token": {"content": "<s>"}, "eos_token": "</s>"}


def tokenizer_json() -> str:
    """Bytes with a handful of merges, some of them over the edges of values."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    merges = [("t", "h"), ("th", "e"), ("Ġ", "the"), ("Ċ", "Ċ"), (":", "Ġ"), ("l", "l")]
    merges += [("i", "m"), ("im", "_"), ("<", "|"), ("Ċ", "H")]
    words = [*alphabet, *("".join(pair) for pair in merges)]
    vocab = {word: n for n, word in enumerate(words)}
    tokenizer = Tokenizer(models.BPE(vocab=vocab, merges=merges))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(t, special=True, normalized=False) for t in SPECIAL])
    tokenizer.add_tokens([AddedToken(t, special=False, normalized=False) for t in ADDED])
    text: str = tokenizer.to_str()
    return text


def pieces_json(scheme: str) -> str:
    """Like SentencePiece: a mark for spaces, before the first word too."""
    words = ["<unk>", *(f"<0x{byte:02X}>" for byte in range(256)), "▁", *string.ascii_letters]
    merges = [("▁", "t"), ("▁t", "h"), ("▁", "H"), ("l", "l")]
    words += ["".join(pair) for pair in merges]
    vocab = {word: n for n, word in enumerate(words)}
    model = models.BPE(vocab=vocab, merges=merges, unk_token="<unk>", byte_fallback=True)
    tokenizer = Tokenizer(model)
    if scheme == "legacy":
        steps = [normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]
        tokenizer.normalizer = normalizers.Sequence(steps)
    else:
        tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme=scheme, split=False)
    tokenizer.add_special_tokens([AddedToken(t, special=True, normalized=False) for t in SPECIAL])
    tokenizer.add_tokens([AddedToken(t, special=False, normalized=False) for t in ADDED])
    text: str = tokenizer.to_str()
    return text


SOURCE = tokenizer_json()


def chat_template(family: str, tokens: str = SOURCE, **settings: Any) -> ChatTemplate:
    source = (FOLDER / f"{family}.jinja").read_text("utf-8")
    config = json.dumps(CONFIG | {"chat_template": source})
    return ChatTemplate.from_config(config, tokens, clock=lambda: NOW, **settings)


def reference(family: str, tokens: str = SOURCE) -> PreTrainedTokenizerFast:
    """The same, as `transformers` runs it."""
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer.from_str(tokens), bos_token="<s>", eos_token="</s>"
    )
    tokenizer.chat_template = (FOLDER / f"{family}.jinja").read_text("utf-8")
    return tokenizer


def part(role: str, text: str, speaker: str = "", attachments: tuple[Any, ...] = ()) -> Part:
    sections = [Section("speaker", f"{speaker}\n")] if speaker else []
    return Part("message", role, (*sections, Section("text", text)), 0, attachments)
