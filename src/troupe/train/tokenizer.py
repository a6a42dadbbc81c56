"""The model's tokenizer: byte-fallback BPE over a small vocabulary, and its chat template.

`train_tokenizer` makes it from text; `TextTokenizer` encodes for training and evaluation. Text
never becomes a special token. Spaces are written as "▁", as in Llama's and Gemma's vocabularies,
so a literal "▁" (U+2581) comes back as a space; any other text comes back as it was.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from tokenizers import Regex as TokenizerRegex
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

from troupe.train.errors import ConfigError

SPECIAL = ("<pad>", "<eos>", "<bos>", "<unk>", "<|system|>", "<|user|>", "<|char|>", "<|end|>")
PAD, EOS, BOS, UNK, SYSTEM, USER, CHAR, END = range(len(SPECIAL))
BYTES = tuple(f"<0x{byte:02X}>" for byte in range(256))
SPACE = "▁"

# Words with the space before them, digits and signs one by one, line breaks alone.
_PIECES = "|".join(
    [
        r"\n",
        rf"{SPACE}?\p{{L}}[\p{{L}}\p{{M}}]*",
        rf"{SPACE}?\p{{N}}",
        rf"{SPACE}?[^\s\p{{L}}\p{{N}}{SPACE}]",
        rf"{SPACE}+",
    ]
)
_ALPHABET = [chr(code) for code in range(0x21, 0x7F)] + [
    "\n",
    *"éèêëàâäáãåçîïíìñôöóòõøùûüúÿæœßÉÈÀÄÖÜÇÑ",
]
_ALPHABET += list("“”‘’«»…–—·•€£°✨❤")

CHAT_TEMPLATE = """\
{{ bos_token }}
{%- for message in messages %}
{%- if message.role in ('system', 'developer') %}
{{- '<|system|>' }}{{ message.content }}{{ '<|end|>' }}
{%- elif message.role == 'assistant' %}
{{- '<|char|>' }}{{ message.name or assistant_name or 'Assistant' }}{{ '\\n' }}
{{- message.content }}{{ '<|end|>' }}
{%- else %}
{{- '<|user|>' }}{{ message.name or 'User' }}{{ '\\n' }}{{ message.content }}{{ '<|end|>' }}
{%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
{{- '<|char|>' }}{{ assistant_name or 'Assistant' }}{{ '\\n' }}
{%- endif %}"""


class TextTokenizer:
    """Text to ids and back."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._tokenizer.encode_special_tokens = True  # special tokens in a text are just text

    @classmethod
    def load(cls, folder: Path) -> TextTokenizer:
        """Read `folder/tokenizer.json`. Raises `ConfigError`."""
        path = folder / "tokenizer.json"
        if not path.exists():
            raise ConfigError(f"{path} does not exist: train a tokenizer first")
        return cls(Tokenizer.from_file(str(path)))

    @property
    def size(self) -> int:
        """Ids in all."""
        return int(self._tokenizer.get_vocab_size(with_added_tokens=True))

    def encode(self, text: str) -> list[int]:
        """Ids of plain text; never a special one."""
        return list(self._tokenizer.encode(text, add_special_tokens=False).ids)

    def encode_spans(self, text: str) -> list[tuple[int, int, int]]:
        """Ids of plain text, each with the first character it stands for and the one after."""
        made = self._tokenizer.encode(text, add_special_tokens=False)
        return [(i, first, last) for i, (first, last) in zip(made.ids, made.offsets, strict=True)]

    def decode(self, ids: Sequence[int]) -> str:
        """Text of ids, special tokens left out."""
        return str(self._tokenizer.decode(list(ids), skip_special_tokens=True))


def train_tokenizer(texts: Iterable[str], vocab_size: int) -> dict[str, Any]:
    """The contents of a `tokenizer.json` with `vocab_size` ids, special and byte tokens first."""
    bare = Tokenizer(models.BPE())
    bare.normalizer = normalizers.Replace(" ", SPACE)
    bare.pre_tokenizer = pre_tokenizers.Split(TokenizerRegex(_PIECES), "isolated")
    reserved = len(SPECIAL) + len(BYTES)
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size - reserved,
        initial_alphabet=[*_ALPHABET, SPACE],
        limit_alphabet=len(_ALPHABET) + 1,
        show_progress=False,
        special_tokens=[],
    )
    bare.train_from_iterator(texts, trainer)
    data: dict[str, Any] = json.loads(bare.to_str())
    pieces = sorted(data["model"]["vocab"], key=data["model"]["vocab"].__getitem__)
    if len(pieces) < vocab_size - reserved:
        raise ConfigError(f"the text gives only {len(pieces) + reserved} pieces, not {vocab_size}")
    data["model"]["vocab"] = {
        token: index for index, token in enumerate([*SPECIAL, *BYTES, *pieces])
    }
    data["model"] |= {"byte_fallback": True, "unk_token": "<unk>", "fuse_unk": False}
    data["added_tokens"] = [
        {"id": index, "content": token, "single_word": False, "lstrip": False, "rstrip": False,
         "normalized": False, "special": True}
        for index, token in enumerate(SPECIAL)
    ]  # fmt: skip
    whole = Tokenizer.from_str(json.dumps(data))
    whole.decoder = decoders.Sequence(
        [decoders.Replace(SPACE, " "), decoders.ByteFallback(), decoders.Fuse()]
    )
    result: dict[str, Any] = json.loads(whole.to_str())
    return result


def save_tokenizer(data: dict[str, Any], folder: Path, context: int) -> None:
    """Write `tokenizer.json` and `tokenizer_config.json` (with the chat template)."""
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(data, ensure_ascii=False, indent=1) + "\n"
    (folder / "tokenizer.json").write_text(text, encoding="utf-8")
    settings = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": "<bos>",
        "eos_token": "<eos>",
        "pad_token": "<pad>",
        "unk_token": "<unk>",
        "model_max_length": context,
        "clean_up_tokenization_spaces": False,
        "chat_template": CHAT_TEMPLATE,
    }
    text = json.dumps(settings, ensure_ascii=False, indent=2) + "\n"
    (folder / "tokenizer_config.json").write_text(text, encoding="utf-8")
