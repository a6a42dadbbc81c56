"""The three ways to fine-tune, as the loop sees them: what a step is divided by, and its losses.

A method holds its documents, numbered, and for preferences the reference's log-probabilities,
computed once. It has no optimiser and no state that a resume would need. Called by `loop.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor

from troupe.train.finetune import losses
from troupe.train.finetune.config import FinetuneConfig
from troupe.train.finetune.data import Dataset, to_batch
from troupe.train.finetune.plan import Microbatch, Step, microbatches, plan_examples, plan_rows
from troupe.train.models.folders import TrainModel
from troupe.train.parallel.ranks import Ranks


class Method(Protocol):
    """What the loop needs of a method."""

    def plan(self) -> list[Step]:
        """The whole run."""
        ...

    def begin(self, model: TrainModel, step: Step) -> None:
        """Whatever the losses of this step need to know beforehand."""
        ...

    def divisor(self, step: Step) -> float:
        """What the sum of the step's losses is divided by."""
        ...

    def loss(self, model: TrainModel, microbatch: Microbatch) -> tuple[Tensor, dict[str, float]]:
        """The sum of a microbatch's losses, and sums of other figures of it."""
        ...


def document_logps(
    model: TrainModel, data: Dataset, numbers: Sequence[int], config: FinetuneConfig, ranks: Ranks
) -> Tensor:
    """Log-probabilities of the answers in these documents, float32 `(len(numbers),)`, without
    gradients; the processes share the work. Leaves the model in evaluation mode."""
    model.eval()
    batch = config.batch
    place = {number: index for index, number in enumerate(numbers)}
    found = torch.zeros(len(numbers))
    singles = [(number,) for number in numbers]
    with torch.no_grad():
        whole = microbatches(singles, data.lengths, batch.rows, batch.length)
        for micro, counts in ranks.share(whole):
            tensors, order = to_batch(data.documents, micro)
            logps = losses.answer_logps(model, tensors, len(order))
            if counts:
                found[[place[number] for number in order]] = logps
    return ranks.sum(found)


class Imitation:
    """Supervised fine-tuning."""

    def __init__(self, config: FinetuneConfig, data: Dataset) -> None:
        self._config, self._data = config, data
        self._weights = [sum(document.weights[1:]) for document in data.documents]

    def plan(self) -> list[Step]:
        batch = self._config.batch
        return plan_rows(
            self._data.lengths, rows=batch.rows, length=batch.length,
            accumulate=batch.accumulate, epochs=self._config.epochs, seed=self._config.seed,
        )  # fmt: skip

    def begin(self, model: TrainModel, step: Step) -> None:
        """Nothing."""

    def divisor(self, step: Step) -> float:
        return sum(self._weights[number] for micro in step for number in micro.documents)

    def loss(self, model: TrainModel, microbatch: Microbatch) -> tuple[Tensor, dict[str, float]]:
        batch, _ = to_batch(self._data.documents, microbatch)
        return losses.imitation_loss(model, batch), {}


class _Preference:
    """What pairs and thumbs share: examples in steps, and a reference."""

    def __init__(
        self, config: FinetuneConfig, data: Dataset, reference_N: Tensor, ranks: Ranks
    ) -> None:
        """`reference_N`: the log-probability of each document under the model at the start."""
        self._config, self._data, self._reference = config, data, reference_N
        self._ranks = ranks
        self._options = config.preference

    def plan(self) -> list[Step]:
        batch = self._config.batch
        return plan_examples(
            self._trained(), self._data.lengths, per_step=batch.examples, rows=batch.rows,
            length=batch.length, epochs=self._config.epochs, seed=self._config.seed,
        )  # fmt: skip

    def _trained(self) -> list[tuple[int, ...]]:
        """The documents of each example that get gradients."""
        return self._data.examples

    def _ratios(self, model: TrainModel, microbatch: Microbatch) -> tuple[Tensor, list[int]]:
        """Log-ratios to the reference, and the documents that they belong to."""
        batch, order = to_batch(self._data.documents, microbatch)
        logps = losses.answer_logps(model, batch, len(order))
        return logps - self._reference[order], order


class Pairs(_Preference):
    """DPO and IPO: the chosen side is the even document, the rejected one follows it."""

    def begin(self, model: TrainModel, step: Step) -> None:
        """Nothing."""

    def divisor(self, step: Step) -> float:
        return sum(len(micro.documents) for micro in step) / 2

    def loss(self, model: TrainModel, microbatch: Microbatch) -> tuple[Tensor, dict[str, float]]:
        ratios, order = self._ratios(model, microbatch)
        place = {number: index for index, number in enumerate(order)}
        first = [number for number in order if number % 2 == 0]
        chosen = ratios[[place[number] for number in first]]
        rejected = ratios[[place[number + 1] for number in first]]
        figures = {
            "accuracy": float((chosen > rejected).sum()),
            "margin": float((chosen - rejected).detach().sum()) * self._options.beta,
        }
        if self._options.loss == "dpo":
            return losses.dpo_loss(chosen, rejected, self._options.beta), figures
        sizes = self._sizes(first), self._sizes([number + 1 for number in first])
        return losses.ipo_loss(chosen, rejected, sizes, self._options.beta), figures

    def _sizes(self, numbers: Sequence[int]) -> Tensor:
        documents = self._data.documents
        return torch.tensor([float(sum(w > 0 for w in documents[n].weights[1:])) for n in numbers])


class Thumbs(_Preference):
    """KTO: the answer is the even document; the odd one behind it estimates the divergence."""

    def __init__(
        self, config: FinetuneConfig, data: Dataset, reference_N: Tensor, ranks: Ranks
    ) -> None:
        super().__init__(config, data, reference_N, ranks)
        self._divergence = torch.zeros(())

    def _trained(self) -> list[tuple[int, ...]]:
        return [example[:1] for example in self._data.examples]

    def begin(self, model: TrainModel, step: Step) -> None:
        others = [number + 1 for micro in step for number in micro.documents]
        logps = document_logps(model, self._data, others, self._config, self._ranks)
        self._divergence = (logps - self._reference[others]).mean().clamp(min=0)

    def divisor(self, step: Step) -> float:
        return float(sum(len(micro.documents) for micro in step))

    def loss(self, model: TrainModel, microbatch: Microbatch) -> tuple[Tensor, dict[str, float]]:
        ratios, order = self._ratios(model, microbatch)
        liked = torch.tensor([self._data.liked[number // 2] for number in order])
        weights = self._options.liked_weight, self._options.disliked_weight
        figures = {"accuracy": float(((ratios > self._divergence) == liked).sum())}
        return (
            losses.kto_loss(ratios, liked, self._divergence, self._options.beta, weights),
            figures,
        )
