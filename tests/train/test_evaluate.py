"""The evaluation counts what it says it counts, whatever the checkpoint."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from tests.train.conftest import MakeConfig
from troupe.train import pretrain
from troupe.train.cli import train
from troupe.train.corpus import Size
from troupe.train.evaluate import Answer, Case, as_named, cases, figures, speaks_for_others
from troupe.train.export import export

SIZE = Size(6, 2200)


@pytest.fixture(scope="module")
def asked() -> list[Case]:
    return cases(12, SIZE)


def truth(case: Case) -> Answer:
    return Answer(case.dialogue.messages[case.upto].text, stopped=True)


def test_the_corpus_s_own_answers_are_right(asked: list[Case]) -> None:
    values = {f.name: (f.value, f.count) for f in figures(asked, [truth(c) for c in asked])}
    assert values.pop("wrong_speaker_or_no_end") == (0.0, len(asked))
    for name, (value, count) in values.items():
        assert count >= 10, name
        assert value >= 0.9, name


def test_silence_is_wrong(asked: list[Case]) -> None:
    values = {f.name: f.value for f in figures(asked, [Answer("", stopped=False) for _ in asked])}
    assert values.pop("wrong_speaker_or_no_end") == 1.0
    assert set(values.values()) == {0.0}


def test_what_was_told_was_told_long_ago(asked: list[Case]) -> None:
    told = [case for case in asked if case.kind.startswith("told:")]
    assert told
    assert all(int(case.kind.rsplit(":", 1)[1]) >= 8 for case in told)


def test_speaking_as_another_or_claiming_their_facts_counts(asked: list[Case]) -> None:
    case = next(c for c in asked if c.foreign)
    other = case.others[0]
    assert speaks_for_others(case, Answer(f"Yes.\n{other}: no", stopped=True))
    assert not speaks_for_others(case, Answer(f"Yes, {other}.", stopped=True))
    assert not as_named(case, Answer(f"I say {case.foreign[0]}.", stopped=True))


def test_any_checkpoint_can_be_scored(make_config: MakeConfig, tmp_path: Path) -> None:
    config, folder = make_config(), tmp_path / "model"
    pretrain.run(pretrain.start(config), until=1)
    export(config, folder)
    options = ["--count", "2", "--facts", "3", "--characters", "900"]
    target = tmp_path / "figures.json"
    done = CliRunner().invoke(train, ["eval", str(folder), *options, "--json", str(target)])
    assert done.exit_code == 0, done.output
    figures_ = json.loads(target.read_text())["figures"]
    assert set(figures_) == {
        "card_fact_recall",
        "told_fact_recall_after_8_turns",
        "wrong_speaker_or_no_end",
        "group_answers_as_named",
        "group_card_fact_recall",
        "graceful_out_of_domain",
    }
    assert all(0 <= value <= 1 for value in figures_.values())
