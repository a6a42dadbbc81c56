"""Preferences of the user who asks."""

from __future__ import annotations

from django.http import HttpRequest
from ninja import Router

from troupe.core.actions import preferences
from troupe.core.errors import Invalid
from troupe.core.models import Persona, Preferences

from . import asking, bodies, views

router = Router(tags=["preferences"], auth=asking.SignedIn())


@router.get("/preferences", operation_id="get_preferences", response=views.PreferencesView)
def get_preferences(request: HttpRequest) -> views.PreferencesView:
    """What the user prefers; the defaults, if they never said."""
    user = asking.user(request)
    return views.preferences(Preferences.objects.filter(user=user).first() or Preferences())


@router.patch("/preferences", operation_id="change_preferences", response=views.PreferencesView)
def change_preferences(
    request: HttpRequest, body: bodies.PreferencesChange
) -> views.PreferencesView:
    """Change some preferences; the others stay."""
    user = asking.user(request)
    changes = body.model_dump(exclude_unset=True)
    if "default_persona" in changes:
        persona_id = changes["default_persona_id"] = changes.pop("default_persona")
        mine = Persona.objects.filter(user=user, id=persona_id)
        if persona_id is not None and not mine.exists():
            raise Invalid("default_persona", "is not one of your personas")
    return views.preferences(preferences.change(user, changes))
