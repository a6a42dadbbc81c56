"""Lines for fine-tuning: in TRL's schemas, with one fault in each worse answer."""

from __future__ import annotations

import json
from itertools import islice
from pathlib import Path

import pytest

from troupe.train.corpus import Size, Split
from troupe.train.corpus.preferences import Schema, lines
from troupe.train.finetune.examples import read_judged, read_pairs, read_talks

READERS = {"sft": read_talks, "dpo": read_pairs, "kto": read_judged}


@pytest.mark.parametrize("schema", ["sft", "dpo", "kto"])
@pytest.mark.parametrize("split", list(Split))
def test_every_line_is_one_that_fine_tuning_reads(
    tmp_path: Path, schema: Schema, split: Split
) -> None:
    path = tmp_path / "lines.jsonl"
    found = list(islice(lines(schema, 7, split, Size(5, 700)), 60))
    path.write_text("".join(json.dumps(line) + "\n" for line in found))
    assert len(list(READERS[schema](path))) == 60
    again = islice(lines(schema, 7, split, Size(5, 700)), 60)
    assert list(again) == found


def test_a_worse_answer_differs_in_what_evaluation_counts() -> None:
    faults = {"fact": 0, "speaker": 0, "other": 0}
    for line in islice(lines("dpo", 1, Split.TRAIN, Size(5, 700)), 300):
        chosen, rejected = line["chosen"][0], line["rejected"][0]
        assert chosen["name"] == rejected["name"]
        assert chosen["content"] != rejected["content"]
        if rejected["content"].startswith(chosen["content"] + "\n"):
            faults["speaker"] += 1
        elif rejected["content"].split()[:1] == chosen["content"].split()[:1]:
            faults["fact"] += 1
        else:
            faults["other"] += 1
    assert min(faults.values()) > 10, faults


def test_thumbs_are_about_even() -> None:
    liked = [line["label"] for line in islice(lines("kto", 1, Split.TRAIN, Size(5, 700)), 300)]
    assert 110 < sum(liked) < 190
