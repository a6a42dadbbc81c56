"""Character cards in and out."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from django.http import HttpRequest, HttpResponse
from ninja import File, Form, Query, Router
from ninja.files import UploadedFile
from ninja.responses import Status

from troupe.core import config, limits, search, throttle
from troupe.core.actions import cards
from troupe.core.actions.characters import current_of
from troupe.core.cards import Spec
from troupe.core.models import Visibility

from . import asking, views
from .characters import Slug

router = Router(tags=["cards"])


class Format(StrEnum):
    """Kinds of card file."""

    PNG = "png"
    JSON = "json"
    CHARX = "charx"


_TYPES = {
    Format.PNG: "image/png",
    Format.JSON: "application/json",
    Format.CHARX: "application/zip",
}


@router.post(
    "/characters/import",
    operation_id="import_character",
    response={201: views.CharacterView},
    auth=asking.SignedIn(),
)
def import_character(
    request: HttpRequest,
    file: Annotated[UploadedFile, File(description="A PNG, JSON or CHARX card, V1 to V3.")],
    visibility: Annotated[Visibility, Form()] = Visibility.PRIVATE,
) -> Status[views.CharacterView]:
    """Make a character from a card file. What is not understood is kept for the export."""
    user = asking.user(request)
    throttle.spend(throttle.UPLOADS_BY_USER, "upload", str(user.id))
    most = config.given().max_upload_mb * limits.MB
    character = cards.import_card(user, file.read(), visibility, most)
    return Status(201, views.character_page(character, user))


@router.get(
    "/characters/{slug}/export",
    operation_id="export_character",
    auth=asking.SignedIn(),
    openapi_extra={
        "responses": {
            200: {
                "description": "The card file, as a download.",
                "content": {
                    kind: {"schema": {"type": "string", "format": "binary"}}
                    for kind in _TYPES.values()
                },
            }
        }
    },
)
def export_character(
    request: HttpRequest,
    slug: Slug,
    format: Annotated[Format, Query(description="The kind of file.")] = Format.PNG,  # noqa: A002
    spec: Annotated[Spec, Query(description="For JSON; the others hold all that they can.")] = (
        Spec.V2
    ),
) -> HttpResponse:
    """One's own character as a card. PNG holds V2 and V3, CHARX V3; JSON what `spec` says."""
    version = current_of(search.owned(slug, asking.user(request)))
    match format:
        case Format.PNG:
            body = cards.export_png(version)
        case Format.JSON:
            body = cards.export_json(version, spec)
        case Format.CHARX:
            body = cards.export_charx(version)
    response = HttpResponse(body, content_type=_TYPES[format])
    response["Content-Disposition"] = f'attachment; filename="{slug}.{format}"'
    return response
