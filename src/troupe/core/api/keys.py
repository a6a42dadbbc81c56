"""API keys of the user who asks."""

from __future__ import annotations

from uuid import UUID

from django.http import HttpRequest
from ninja import Router
from ninja.responses import Status

from troupe.core.actions import keys
from troupe.core.errors import NotFound
from troupe.core.models import ApiKey

from . import asking, bodies, views

router = Router(tags=["keys"], auth=asking.SignedIn())


@router.get("/keys", operation_id="list_keys", response=views.KeyList)
def list_keys(request: HttpRequest) -> views.KeyList:
    """Keys that are good, the newest first. Their secrets are not kept and cannot be shown."""
    user = asking.user(request)
    found = ApiKey.objects.filter(user=user, revoked_at=None).order_by("-created_at", "id")
    return views.KeyList(items=[views.key(each) for each in found])


@router.post("/keys", operation_id="create_key", response={201: views.NewKeyView})
def create_key(request: HttpRequest, body: bodies.KeyNew) -> Status[views.NewKeyView]:
    """Make a key for the OpenAI-compatible API. Only this answer ever holds its secret."""
    key, secret = keys.create(asking.user(request), body.name)
    return Status(201, views.NewKeyView(**dict(views.key(key)), secret=secret))


@router.delete("/keys/{key_id}", operation_id="revoke_key", response={204: None})
def revoke_key(request: HttpRequest, key_id: UUID) -> Status[None]:
    """Revoke a key. It stops working within ten seconds."""
    user = asking.user(request)
    found = ApiKey.objects.filter(user=user, id=key_id, revoked_at=None)
    key = found.first()
    if key is None:
        raise NotFound("You have no such key.")
    keys.revoke(key, by=user)
    return Status(204, None)
