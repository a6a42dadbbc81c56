"""The JSON bodies and queries that the API takes.

In a PATCH, a field that is left out stays as it is.
"""

from __future__ import annotations

from uuid import UUID

from pydantic import BaseModel, Field

from troupe.core import limits
from troupe.core.models import Theme, Visibility
from troupe.core.search import Sort

from . import fields
from .fields import Body


class Login(Body):
    """Name and password of an account."""

    name: fields.LoginName
    password: fields.Password


class Register(Body):
    """A new account, or of the guest who asks."""

    name: fields.UserName = Field(description="Letters, digits, and . _ - between them.")
    email: fields.Email | None = None
    password: fields.Password = Field(description="At least 8 characters.")


class PasswordChange(Body):
    """The password that is, and the one that shall be."""

    old: fields.Password
    new: fields.Password


class CharacterQuery(BaseModel):
    """Which characters, in which order, and from where on."""

    q: fields.Query = Field("", description="Words that its texts hold, or a name.")
    tag: fields.Query = Field("", description="A tag that it has.")
    owner: fields.Query = Field("", description="Whose; `me` for the viewer's own.")
    sort: Sort = Field(Sort.RECENT, description="The order.")
    cursor: fields.Cursor = Field("", description="`next` of the page before.")
    limit: int = Field(limits.PAGE_DEFAULT, ge=1, le=limits.PAGE)


class CharacterNew(Body):
    """A character as its author writes it."""

    name: fields.Name
    tagline: fields.Tagline = ""
    description: fields.Description = Field("", description="What people read before they chat.")
    greeting: fields.Greeting = Field("", description="The first message of a chat.")
    alternate_greetings: list[fields.Greeting] = Field(
        [], max_length=limits.GREETINGS, description="Other first messages to choose from."
    )
    definition: fields.Definition = Field(
        "", description="What the model is told of the character."
    )
    example_dialogues: fields.Examples = ""
    tags: list[fields.Tag] = Field([], max_length=limits.TAGS)
    visibility: Visibility = Visibility.PRIVATE


class CharacterChange(Body):
    """What shall be otherwise. A text longer than an author may write can stay, not change."""

    name: fields.KeptName = ""
    tagline: fields.Tagline = ""
    description: fields.Description = ""
    greeting: fields.KeptGreeting = ""
    alternate_greetings: list[fields.KeptGreeting] = Field([], max_length=limits.IMPORTED_GREETINGS)
    definition: fields.KeptDefinition = ""
    example_dialogues: fields.KeptExamples = ""
    tags: list[fields.Tag] = Field([], max_length=limits.TAGS)
    visibility: Visibility = Visibility.PRIVATE


class PersonaNew(Body):
    """Who the user is in a chat."""

    name: fields.PersonaName
    description: fields.PersonaText = ""


class PersonaChange(Body):
    """What shall be otherwise."""

    name: fields.PersonaName = ""
    description: fields.PersonaText = ""


class PreferencesChange(Body):
    """What shall be otherwise. `default_persona: null` means none."""

    default_model: fields.ModelName = Field("", description="Empty for the platform's choice.")
    theme: Theme = Theme.SYSTEM
    default_persona: UUID | None = None


class KeyNew(Body):
    """A key is told from others by its name."""

    name: fields.KeyName
