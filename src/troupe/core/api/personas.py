"""Personas of the user who asks."""

from __future__ import annotations

from uuid import UUID

from django.http import HttpRequest
from ninja import Router
from ninja.responses import Status

from troupe.core.actions import personas
from troupe.core.errors import NotFound
from troupe.core.models import Persona, Preferences, User

from . import asking, bodies, views

router = Router(tags=["personas"], auth=asking.SignedIn())


def _default(user: User) -> UUID | None:
    found = Preferences.objects.filter(user=user).values_list("default_persona_id", flat=True)
    return found.first()


def _owned(user: User, persona_id: UUID) -> Persona:
    found = Persona.objects.filter(user=user, id=persona_id).select_related("user").first()
    if found is None:
        raise NotFound("You have no such persona.")
    return found


@router.get("/personas", operation_id="list_personas", response=views.PersonaList)
def list_personas(request: HttpRequest) -> views.PersonaList:
    """All of the user's personas, by name."""
    user = asking.user(request)
    default = _default(user)
    found = Persona.objects.filter(user=user).order_by("name", "id")
    return views.PersonaList(items=[views.persona(each, default) for each in found])


@router.post("/personas", operation_id="create_persona", response={201: views.PersonaView})
def create_persona(request: HttpRequest, body: bodies.PersonaNew) -> Status[views.PersonaView]:
    """Make a persona. PATCH /preferences makes it the default one."""
    persona = personas.create(asking.user(request), body.name, body.description)
    return Status(201, views.persona(persona, None))


@router.patch("/personas/{persona_id}", operation_id="change_persona", response=views.PersonaView)
def change_persona(
    request: HttpRequest, persona_id: UUID, body: bodies.PersonaChange
) -> views.PersonaView:
    """Change its name, its description, or both."""
    user = asking.user(request)
    persona = personas.change(_owned(user, persona_id), body.model_dump(exclude_unset=True))
    return views.persona(persona, _default(user))


@router.delete("/personas/{persona_id}", operation_id="delete_persona", response={204: None})
def delete_persona(request: HttpRequest, persona_id: UUID) -> Status[None]:
    """Delete a persona. Chats that wore it fall back on the default one."""
    personas.delete(_owned(asking.user(request), persona_id))
    return Status(204, None)
