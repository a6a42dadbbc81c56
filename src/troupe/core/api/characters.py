"""Characters: lists, pages, changes and pictures."""

from __future__ import annotations

from typing import Annotated

from django.http import HttpRequest
from ninja import File, Path, Query, Router
from ninja.files import UploadedFile
from ninja.responses import Status

from troupe.core import media, popularity, search, throttle
from troupe.core.actions import characters
from troupe.core.content import Content
from troupe.core.models import Visibility

from . import asking, bodies, views

router = Router(tags=["characters"])
Slug = Annotated[str, Path(description="The character's address.", max_length=200)]


@router.get("/characters", operation_id="list_characters", response=views.CharacterPage)
def list_characters(
    request: HttpRequest, query: Query[bodies.CharacterQuery]
) -> views.CharacterPage:
    """Public characters, a page at a time; of the viewer's own also the others."""
    wanted = search.Wanted(**query.model_dump())
    found, following = search.page(wanted, asking.viewer(request))
    return views.CharacterPage(items=[views.card(each) for each in found], next=following)


@router.post(
    "/characters",
    operation_id="create_character",
    response={201: views.CharacterView},
    auth=asking.SignedIn(),
)
def create_character(
    request: HttpRequest, body: bodies.CharacterNew
) -> Status[views.CharacterView]:
    """Make a character and publish its first version."""
    user = asking.user(request)
    values = body.model_dump(exclude={"visibility"})
    content = Content(name="").changed(values)
    character = characters.create(user, content, body.visibility)
    return Status(201, views.character_page(character, user))


@router.get("/characters/{slug}", operation_id="get_character", response=views.CharacterView)
def get_character(request: HttpRequest, slug: Slug) -> views.CharacterView:
    """A character's page: public and unlisted ones, and the viewer's own."""
    viewer = asking.viewer(request)
    character = search.visible(slug, viewer)
    if viewer is None or character.owner_id != viewer.id:
        popularity.count_view(character.id)
    return views.character_page(character, viewer)


@router.patch(
    "/characters/{slug}",
    operation_id="change_character",
    response=views.CharacterView,
    auth=asking.SignedIn(),
)
def change_character(
    request: HttpRequest, slug: Slug, body: bodies.CharacterChange
) -> views.CharacterView:
    """Publish a new version with some fields replaced, or change who may see the character."""
    user = asking.user(request)
    character = search.owned(slug, user)
    values = body.model_dump(exclude_unset=True)
    visibility: Visibility | None = values.pop("visibility", None)
    character = characters.change(user, character, values, visibility)
    return views.character_page(character, user)


@router.delete(
    "/characters/{slug}",
    operation_id="delete_character",
    response={204: None},
    auth=asking.SignedIn(),
)
def delete_character(request: HttpRequest, slug: Slug) -> Status[None]:
    """Delete a character. Chats with it can go on; nobody can begin a new one."""
    user = asking.user(request)
    characters.delete(user, search.owned(slug, user))
    return Status(204, None)


@router.put(
    "/characters/{slug}/avatar",
    operation_id="set_avatar",
    response=views.CharacterView,
    auth=asking.SignedIn(),
)
def set_avatar(
    request: HttpRequest,
    slug: Slug,
    file: Annotated[UploadedFile, File(description="PNG, JPEG, WebP or GIF.")],
) -> views.CharacterView:
    """Give the character a picture. It is scaled to 512 pixels; metadata and animation go."""
    user = asking.user(request)
    throttle.spend(throttle.UPLOADS_BY_USER, "upload", str(user.id))
    character = search.owned(slug, user)
    avatar = media.keep_avatar(file.read())
    character = characters.change(user, character, {"avatar": avatar})
    return views.character_page(character, user)


@router.get("/tags", operation_id="list_tags", response=views.TagList)
def list_tags(request: HttpRequest) -> views.TagList:  # noqa: ARG001
    """The hundred most used tags of public characters. Counts may be half a minute old."""
    found = search.tag_counts.top()
    return views.TagList(items=[views.TagView(tag=tag, count=count) for tag, count in found])
