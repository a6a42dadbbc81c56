"""What the API answers, as types, and how each is made from what core keeps."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from pydantic import BaseModel, Field

from troupe.core.actions.characters import current_of
from troupe.core.models import ApiKey, Character, Persona, Preferences, Theme, User, Visibility


class Problem(BaseModel):
    """`code` is for programs, `message` for people; `fields` names the parts at fault."""

    code: str
    message: str
    fields: dict[str, str] = Field(default_factory=dict)


class ErrorView(BaseModel):
    """Every answer from 400 upwards. Nothing was changed."""

    error: Problem


class Account(BaseModel):
    """The user who asks."""

    id: UUID
    name: str
    display_name: str
    email: str | None
    guest: bool
    staff: bool


class SessionView(BaseModel):
    """Who is signed in, if anybody, and the token for the header X-CSRFToken."""

    user: Account | None
    csrf: str


class ChatTokenView(BaseModel):
    """A bearer token for the chat service. `expires_at` is in Unix seconds."""

    token: str
    expires_at: int


class Owner(BaseModel):
    """Who made a character."""

    id: UUID
    name: str


class CharacterCard(BaseModel):
    """A character in a list. `avatar` is a path, or empty."""

    id: UUID
    slug: str
    name: str
    tagline: str
    avatar: str
    tags: list[str]
    owner: Owner
    visibility: Visibility
    updated_at: datetime


class CharacterView(CharacterCard):
    """A character's page. `definition` and `example_dialogues` are empty but for its owner."""

    description: str
    greeting: str
    alternate_greetings: list[str]
    definition: str
    definition_chars: int
    example_dialogues: str
    version_id: UUID
    version: int
    mine: bool


class CharacterPage(BaseModel):
    """A page of a list. `next` is the cursor of the page after it, null on the last."""

    items: list[CharacterCard]
    next: str | None


class TagView(BaseModel):
    """A tag and how many public characters have it."""

    tag: str
    count: int


class TagList(BaseModel):
    """Tags, the most used first."""

    items: list[TagView]


class PersonaView(BaseModel):
    """Who a user can be in a chat."""

    id: UUID
    name: str
    description: str
    is_default: bool


class PersonaList(BaseModel):
    """All personas of the user, by name."""

    items: list[PersonaView]


class PreferencesView(BaseModel):
    """`default_model` is empty for the platform's choice."""

    default_model: str
    theme: Theme
    default_persona: UUID | None


class KeyView(BaseModel):
    """An API key, without what would open anything."""

    id: UUID
    name: str
    prefix: str
    last4: str
    created_at: datetime


class NewKeyView(KeyView):
    """The only answer that ever holds the secret."""

    secret: str


class KeyList(BaseModel):
    """Keys that are good, the newest first."""

    items: list[KeyView]


def account(user: User) -> Account:
    """The user as they see themselves."""
    return Account(
        id=user.id,
        name=user.name,
        display_name=user.display_name,
        email=user.email,
        guest=user.guest,
        staff=user.is_staff,
    )


def card(character: Character) -> CharacterCard:
    """A character as lists show it."""
    return CharacterCard(
        id=character.id,
        slug=character.slug,
        name=character.name,
        tagline=character.tagline,
        avatar=character.avatar,
        tags=character.tags,
        owner=Owner(id=character.owner.id, name=character.owner.name),
        visibility=Visibility(character.visibility),
        updated_at=character.updated_at,
    )


def character_page(character: Character, viewer: User | None) -> CharacterView:
    """A character as this viewer may see it."""
    version = current_of(character)
    mine = viewer is not None and character.owner_id == viewer.id
    return CharacterView(
        **dict(card(character)),
        description=version.description,
        greeting=version.greeting,
        alternate_greetings=version.alternate_greetings,
        definition=version.definition if mine else "",
        definition_chars=len(version.definition),
        example_dialogues=version.example_dialogues if mine else "",
        version_id=version.id,
        version=version.number,
        mine=mine,
    )


def persona(found: Persona, default_id: UUID | None) -> PersonaView:
    """A persona, and whether it is the user's default one."""
    return PersonaView(
        id=found.id,
        name=found.name,
        description=found.description,
        is_default=found.id == default_id,
    )


def preferences(found: Preferences) -> PreferencesView:
    """What a user prefers."""
    return PreferencesView(
        default_model=found.default_model,
        theme=Theme(found.theme),
        default_persona=found.default_persona_id,
    )


def key(found: ApiKey) -> KeyView:
    """A key as its owner sees it after it was made."""
    return KeyView(
        id=found.id,
        name=found.name,
        prefix=found.prefix,
        last4=found.last4,
        created_at=found.created_at,
    )
