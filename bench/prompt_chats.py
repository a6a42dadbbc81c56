"""The chats, templates and tokenizer that `bench/prompt.py` gives to Troupe and to prompt-poet.

Text is taken from the documentation: stretches of running words, as long as messages are (a
log-normal length; about 50 tokens a message, what stands around it included). The tokenizer is
tiktoken's, prompt-poet's own choice, over a vocabulary of 8,192 that is trained here on the same
documentation, since its published ones are downloads.
"""

from __future__ import annotations

import logging
import random
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import tiktoken
from tokenizers import Tokenizer as Trained
from tokenizers import models, pre_tokenizers, trainers

from troupe.prompt import ChatMessage, Layout, Template

logging.disable(logging.WARNING)  # prompt-poet warns of each part that it tokenized before
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from prompt_poet import Prompt

ROOT = Path(__file__).parent.parent
DOCS = sorted([ROOT / "README.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").glob("*.md")])
LIMIT = 4096
WINDOW = 150
# No tokens of a chat format: both give the tokens of the parts, one part behind the other.
LAYOUT = Layout("", {"system": "", "user": "", "char": ""}, "")
GPT2 = r"'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"

HEAD = """
- name: card
  role: system
  content: |
    {{ escape_special_characters(card) }}
"""
MEMORY = """
- name: memory
  role: system
  content: |
    Remember: {{ escape_special_characters(memory) }}
"""
NOW = """
- name: now
  role: system
  content: |
    It is {{ now }}.
"""
RETRIEVED = """
- name: retrieved
  role: system
  truncation_priority: 2
  content: |
    For this turn: {{ escape_special_characters(retrieved) }}
"""
HISTORY = """
{% for message in history %}
- name: message
  role: {{ message.role }}
  truncation_priority: 1
  content: |
    {{ message.name }}: {{ escape_special_characters(message.text) }}
{% endfor %}
"""
ANSWER = """
- name: answer
  role: char
  content: |
    {{ char }}:
"""
PLAIN = HEAD + HISTORY + ANSWER
# As such prompts are mostly written, and with what changes behind the history.
BEFORE = NOW + HEAD + MEMORY + RETRIEVED + HISTORY + ANSWER
BEHIND = HEAD + MEMORY + HISTORY + RETRIEVED + NOW + ANSWER


@dataclass(frozen=True)
class Chat:
    """One chat: its messages, and what stands around them."""

    messages: Sequence[ChatMessage]
    card: str
    memories: Sequence[str]
    retrieved: Sequence[str]

    def data(self, turn: int, disturbed: bool = False) -> dict[str, Any]:
        """What a template is given for a turn. Disturbed: the time, a text of another length each
        turn, and a memory that changes every ten."""
        data: dict[str, Any] = {"card": self.card, "char": "Mira"}
        if disturbed:
            data["memory"] = self.memories[turn // 10 % len(self.memories)]
            data["retrieved"] = self.retrieved[turn % len(self.retrieved)]
            data["now"] = f"{turn % 24:02}:{turn * 7 % 60:02} on day {turn // 24}"
        return data


def encoding() -> tiktoken.Encoding:
    """A byte-level vocabulary as GPT-2's, trained on the documentation."""
    tokenizer = Trained(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(
        vocab_size=8192,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator([path.read_text("utf-8") for path in DOCS], trainer)
    letters = _byte_letters()
    vocabulary = sorted(tokenizer.get_vocab().items(), key=lambda item: item[1])
    pieces = [bytes(letters[letter] for letter in token) for token, _ in vocabulary]
    # Bytes first: a rank is the order in which pieces are merged.
    pieces.sort(key=lambda piece: len(piece) > 1)
    return tiktoken.Encoding(
        "docs",
        pat_str=GPT2,
        mergeable_ranks={piece: rank for rank, piece in enumerate(pieces)},
        special_tokens={},
    )


def _byte_letters() -> dict[str, int]:
    """The letters that stand for bytes in byte-level vocabularies."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in printable]
    return {chr(b): b for b in printable} | {chr(256 + n): b for n, b in enumerate(others)}


def chats(count: int, length: int, encode: Callable[[str], list[int]]) -> list[Chat]:
    """Chats of `length` messages each, no two alike."""
    words = [word for path in DOCS for word in path.read_text("utf-8").split() if _plain(word)]

    def text(rng: random.Random, size: int) -> str:
        start = rng.randrange(len(words) - size)
        return " ".join(words[start : start + size])

    def sized(rng: random.Random, tokens: int) -> str:
        """A text of so many tokens, about."""
        found = text(rng, tokens)
        return found[: max(1, len(found) * tokens // max(1, len(encode(found))))].strip()

    made = []
    for number in range(count):
        rng = random.Random(f"chat {number}")
        messages = [
            ChatMessage(
                f"{number}.{n}",
                "user" if n % 2 == 0 else "char",
                "Ada" if n % 2 == 0 else "Mira",
                sized(rng, min(400, max(3, round(rng.lognormvariate(3.7, 0.55))))),
            )
            for n in range(length)
        ]
        made.append(
            Chat(
                messages,
                sized(rng, 500),
                [sized(rng, rng.randint(60, 120)) for _ in range(50)],
                [sized(rng, rng.randint(0, 500)) for _ in range(400)],
            )
        )
    return made


def _plain(word: str) -> bool:
    """Whether prompt-poet gives the word as it is."""
    return word.isascii() and "\\" not in word and "<|" not in word


def poet(
    source: Path, chat: Chat, upto: int, encode: Callable[[str], list[int]], **options: Any
) -> Prompt:
    """prompt-poet's prompt: its template from its cache, its messages as it wants them."""
    window = options.pop("window", None)
    data = dict(chat.data(upto, options.pop("disturbed", False)))
    messages = chat.messages[max(0, upto - window) if window else 0 : upto]
    data["history"] = [{"role": m.role, "name": m.name, "text": m.text} for m in messages]
    prompt = Prompt(data, template_path=str(source), from_cache=True, encode_func=encode, **options)
    prompt.tokenize()
    prompt.truncate()
    return prompt


def template(source: str) -> Template:
    """Troupe's, of the same source."""
    return Template.parse(source, "bench")


def copied(message: ChatMessage) -> ChatMessage:
    """The message as a caller would read it anew: equal, and another object."""
    return replace(message)
