"""Fine-tuning beside TRL, and a preference run, on the shipped model and its corpus.

    python -m bench.train [--only speed|preference]

Speed: supervised fine-tuning on short conversations, one epoch, the same tokens, weights, threads,
precision and batch of 8 conversations, by Troupe (rows packed best fit), by TRL as it comes (each
batch padded to its longest), by TRL with packing, and by TRL with every row padded to the full
length. Counted are the supervised tokens a second between the second step and the last, the best
of two rounds in which they take turns; the mean loss of each run stands beside, since speed that
learns something else is none.

Preference: DPO on pairs of the corpus's own answers and spoilt ones; accuracy on pairs made of
names, values and wordings never trained on, and the recall of the model before and after.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from bench.common import report
from datasets import Dataset as Rows
from matplotlib.figure import Figure
from transformers import Gemma4UnifiedForCausalLM, PreTrainedTokenizerFast, TrainerCallback
from trl import SFTConfig, SFTTrainer

from troupe.train.corpus import Size, Split
from troupe.train.corpus.preferences import Schema, lines
from troupe.train.data import Document
from troupe.train.evaluate import evaluate
from troupe.train.finetune import loop
from troupe.train.finetune.config import FinetuneConfig
from troupe.train.finetune.export import export_run
from troupe.train.finetune.score import score

SHIPPED = Path(__file__).parent.parent / "src/troupe/models/troupe-small"
LENGTH = 512
BATCH = 8
SHORT = Size(3, 700)  # a card of three facts and a few exchanges
PAIRS = Size(5, 1050)
THREADS = 2


@dataclass(frozen=True, slots=True)
class Run:
    """One contender's epoch."""

    name: str
    tokens_per_second: float  # supervised
    loss: float


def write_lines(path: Path, schema: Schema, count: int, split: Split, size: Size) -> Path:
    """So many lines of the corpus."""
    with path.open("w", encoding="utf-8") as out:
        for line in islice(lines(schema, 11, split, size), count):
            out.write(json.dumps(line, ensure_ascii=False) + "\n")
    return path


def config(folder: Path, data: Path, held_out: Sequence[Path] = (), **batch: int) -> FinetuneConfig:
    return FinetuneConfig.model_validate(
        {
            "base": SHIPPED,
            "data": [data],
            "held_out": list(held_out),
            "run": folder,
            "threads": THREADS,
            "batch": {"length": LENGTH, **batch},
            "optimizer": {"learning_rate": 1e-4},
        }
    )


def supervised(documents: Sequence[Document]) -> int:
    return sum(w > 0 for document in documents for w in document.weights[1:])


def by_troupe(folder: Path, data: Path) -> Run:
    # A row holds several conversations: as many tokens a step as eight of them, about.
    state = loop.start(config(folder, data, rows=3), "sft")
    documents, times, losses = state.data.documents, [time.perf_counter()], []
    counts = [supervised([documents[n] for m in s for n in m.documents]) for s in state.plan]

    def note(progress: loop.Progress) -> None:
        times.append(time.perf_counter())
        losses.append(progress.loss)

    loop.run(state, note)
    mean = sum(x * c for x, c in zip(losses, counts, strict=True)) / sum(counts)
    return Run("troupe", sum(counts[1:]) / (times[-1] - times[1]), mean)


class Clock(TrainerCallback):
    """When each step of a trainer ended."""

    def __init__(self) -> None:
        self.ends: list[float] = []

    def on_step_end(self, *_: Any, **__: Any) -> None:
        self.ends.append(time.perf_counter())


def by_trl(name: str, folder: Path, documents: Sequence[Document], **changes: Any) -> Run:
    rows = Rows.from_list([
        {
            "input_ids": list(document.ids),
            "labels": [
                i if w > 0 else -100 for i, w in zip(document.ids, document.weights, strict=True)
            ],
        }
        for document in documents
    ])  # fmt: skip
    arguments = {
        "output_dir": str(folder), "use_cpu": True, "bf16": True, "report_to": [],
        "per_device_train_batch_size": BATCH, "num_train_epochs": 1, "learning_rate": 1e-4,
        "max_length": LENGTH, "save_strategy": "no", "logging_strategy": "no",
        "activation_checkpointing": False, "disable_tqdm": True, **changes,
    }  # fmt: skip
    clock = Clock()
    trainer = SFTTrainer(
        model=Gemma4UnifiedForCausalLM.from_pretrained(SHIPPED, dtype=torch.float32),
        args=SFTConfig(**arguments),
        train_dataset=rows,
        processing_class=PreTrainedTokenizerFast.from_pretrained(SHIPPED),
        callbacks=[clock],
    )
    loss = trainer.train().training_loss
    share = (len(clock.ends) - 1) / len(clock.ends)
    seconds = clock.ends[-1] - clock.ends[0]
    return Run(name, share * supervised(documents) / seconds, float(loss))


def speed(count: int) -> None:
    """Tokens a second of each contender."""
    torch.set_num_threads(THREADS)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        data = write_lines(folder / "talks.jsonl", "sft", count, Split.TRAIN, SHORT)
        documents = loop.read(config(folder, data), "sft", [data]).documents
        runs: list[list[Run]] = []
        for turn in range(2):
            contenders: list[Callable[[], Run]] = [
                lambda turn=turn: by_troupe(folder / f"t{turn}", data),
                lambda: by_trl("trl", folder / "trl", documents),
                lambda: by_trl("trl packing", folder / "trl", documents, packing=True,
                               per_device_train_batch_size=3),
                lambda: by_trl("trl fixed", folder / "trl", documents, pad_to_multiple_of=LENGTH),
            ]  # fmt: skip
            runs.append([contender() for contender in contenders])
    best = [max(pair, key=lambda run: run.tokens_per_second) for pair in zip(*runs, strict=True)]
    ours = best[0].tokens_per_second
    figures = {
        "useful_tokens_ratio": ours / best[1].tokens_per_second,
        "useful_tokens_ratio_packing": ours / best[2].tokens_per_second,
        "useful_tokens_ratio_fixed": ours / best[3].tokens_per_second,
    }
    rows = [(run.name, run.tokens_per_second, f"tokens/s, loss {run.loss:.3f}") for run in best]
    rows += [(figure, value, "x") for figure, value in figures.items()]

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        axes.barh([run.name for run in best], [run.tokens_per_second for run in best])
        axes.invert_yaxis()
        axes.set_xlabel("supervised tokens a second")

    details = {
        "command": f"python -m bench.train --only speed --count {count}",
        "conversations": count,
        "tokens": sum(len(document.ids) for document in documents),
        "supervised": supervised(documents),
        "runs": [[[r.name, r.tokens_per_second, r.loss] for r in each] for each in runs],
    }
    packages = ("torch", "trl", "transformers")
    report("train", figures, rows, packages, draw, details, part="speed")


def preference(count: int, asked: int) -> None:
    """Accuracy on held-out pairs, and recall before and after."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        data = write_lines(folder / "pairs.jsonl", "dpo", count, Split.TRAIN, PAIRS)
        held = write_lines(folder / "held.jsonl", "dpo", 300, Split.HELD_OUT, PAIRS)
        settings = config(folder / "run", data, [held], rows=8, examples=32)
        settings = settings.model_copy(
            update={"batch": settings.batch.model_copy(update={"length": 1024})}
        )
        state = loop.start(settings, "dpo")
        accuracies: list[float] = []
        loop.run(state, lambda progress: accuracies.append(progress.figures["accuracy"]))
        before, after = next((b, a) for n, b, a in score(state) if n == "accuracy")
        scored = {
            model: {f.name: f.value for f in evaluate(path, asked, Size(11, 2600), THREADS)}
            for model, path in (("before", SHIPPED), ("after", export_run(state)))
        }
    names = ("card_fact_recall", "told_fact_recall_after_8_turns", "wrong_speaker_or_no_end")
    rows = [("held-out accuracy before", before, ""), ("held-out accuracy after", after, "")]
    rows += [(f"{n} {m}", scored[m][n], "") for n in names for m in ("before", "after")]

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        axes.plot(range(1, len(accuracies) + 1), accuracies)
        axes.set_xlabel("update")
        axes.set_ylabel("accuracy of its pairs")
        axes.set_ylim(0, 1.02)

    recall = "card_fact_recall"
    figures = {
        "preference_accuracy": after,
        "recall_change": scored["after"][recall] - scored["before"][recall],
    }
    details = {
        "command": f"python -m bench.train --only preference --pairs {count} --asked {asked}",
        "pairs": count,
        "evaluation": scored,
        "accuracy_before": before,
    }
    report("train", figures, rows, ("torch",), draw, details, part="preference")


def main() -> None:
    """Run what is asked for and write bench/results/train.json."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=["speed", "preference"])
    parser.add_argument("--count", type=int, default=320, help="conversations of the speed run")
    parser.add_argument("--pairs", type=int, default=1600)
    parser.add_argument("--asked", type=int, default=100, help="questions of each sort")
    options = parser.parse_args()
    if options.only != "preference":
        speed(options.count)
    if options.only != "speed":
        preference(options.pairs, options.asked)


if __name__ == "__main__":
    main()
