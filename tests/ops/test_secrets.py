"""Secrets: made once, kept for their owner, given to those who need them."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import SecretStr

from troupe.ops import environment, secrets
from troupe.ops.home import Home
from troupe.settings import Settings


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home(tmp_path / "home")
    home.make()
    return home


def test_a_secret_is_made_once_and_only_its_owner_reads_it(home: Home) -> None:
    settings = Settings(home=home.root, secret_key=None)
    made = secrets.secret_key(settings, home)
    assert len(made) >= 50
    assert secrets.secret_key(settings, home) == made
    kept = home.secrets / secrets.SECRET_KEY
    assert kept.stat().st_mode & 0o777 == 0o600
    assert home.secrets.stat().st_mode & 0o777 == 0o700


def test_a_secret_that_is_given_is_not_kept(home: Home) -> None:
    settings = Settings(home=home.root, secret_key=SecretStr("k" * 40))
    assert secrets.secret_key(settings, home) == "k" * 40
    assert list(home.secrets.iterdir()) == []


def test_the_admins_password_is_fresh_once(home: Home) -> None:
    settings = Settings(home=home.root, admin_password=None)
    first = secrets.admin_password(settings, home)
    assert first.fresh
    again = secrets.admin_password(settings, home)
    assert not again.fresh
    assert again.value == first.value


def test_each_process_is_told_its_own_secrets_only(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path, secret_key=SecretStr("signs"))
    inherited = {"PATH": "/bin", "TROUPE_API_KEY": "tr_1", "TROUPE_OPENAI_API_KEY": "sk"}
    inherited["TROUPE_REDIS_URL"] = "redis://:secret@r"
    told = {
        name: environment.of_process(name, settings, inherited, "dbname=x", "pw")
        for name in ("web", "engine", "worker", "migrate")
    }
    assert not {"TROUPE_SECRET_KEY", "TROUPE_DATABASE_URL", "TROUPE_ADMIN_PASSWORD"} & set(
        told["engine"]
    )
    assert told["web"]["TROUPE_SECRET_KEY"] == "signs"
    assert told["web"]["TROUPE_OPENAI_API_KEY"] == "sk"
    assert {name for name in told if "TROUPE_REDIS_URL" in told[name]} == {"web", "engine"}
    assert "TROUPE_ADMIN_PASSWORD" not in told["web"]
    assert told["migrate"]["TROUPE_ADMIN_PASSWORD"] == "pw"
    assert told["migrate"]["TROUPE_API_KEY"] == "tr_1"
    assert [told[name]["TROUPE_INSTANCE"] for name in told] == [f"{name}-0" for name in told]
    assert all(told[name]["PATH"] == "/bin" for name in told)
