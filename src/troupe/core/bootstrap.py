"""What a new Troupe begins with: an administrator, perhaps a key of theirs, and characters.

Safe to run at every start: it makes what is missing, and publishes a new version of a seed
character whose text was changed. `ops` calls it after the migrations.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from troupe.settings import Settings

from . import config, seeds

if TYPE_CHECKING:
    from .models import User

ADMIN = "admin"
SEEDER = "troupe"


def bootstrap(settings: Settings, admin_password: str, api_key: str | None) -> None:
    """Make the user `admin` with this password unless there is one, keep their API key if given,
    and load the seed characters, which belong to the user `troupe`."""
    config.setup(settings)
    from .actions import keys

    admin = _user(ADMIN, "Admin", admin_password)
    if api_key:
        keys.keep(admin, "first start", api_key)
    load_seeds(_user(SEEDER, "Troupe", None))


def set_admin_password(settings: Settings, password: str) -> None:
    """Give the user `admin` another password; their sessions end."""
    config.setup(settings)
    from .actions import accounts
    from .models import User

    accounts.reset_password(User.objects.get_by_natural_key(ADMIN), password)


def load_seeds(owner: User, found: list[seeds.Seed] | None = None) -> None:
    """Bring the seed characters up to date. One that an administrator deleted stays deleted."""
    from . import media
    from .actions import cards, characters
    from .content import Content
    from .models import Character, Visibility

    for seed in seeds.load() if found is None else found:
        avatar = media.keep_portrait(seed.portrait)
        changes = cards.content_of(seed.card).values() | {"avatar": avatar}
        kept = Character.objects.filter(slug=seed.slug).first()
        if kept is None:
            content = Content(name="").changed(changes)
            characters.create(owner, content, Visibility.PUBLIC, slug=seed.slug)
        elif kept.deleted_at is None and kept.owner_id == owner.id:
            characters.change(owner, kept, changes)


def _user(name: str, display_name: str, password: str | None) -> User:
    from .actions import accounts
    from .models import User

    try:
        return User.objects.get_by_natural_key(name)
    except User.DoesNotExist:
        return accounts.create_staff(name, display_name, password)
