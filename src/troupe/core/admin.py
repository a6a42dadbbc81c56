"""The console for administrators: who is here, what they made, and who changed what.

It changes things through the same actions as the API, so that each change is in the audit log.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from django import forms
from django.contrib import admin
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.forms import ReadOnlyPasswordHashField
from django.contrib.auth.models import Group
from django.db.models import QuerySet
from django.http import HttpRequest

from .actions import characters, keys
from .actions.audit import record
from .models import ApiKey, AuditEntry, Character, CharacterVersion, User, Visibility

if TYPE_CHECKING:  # generic to the type checker only
    _Admin = admin.ModelAdmin[Any]
    _UserAdmin = DjangoUserAdmin[User]
    _UserForm = forms.ModelForm[User]
    _Versions = admin.TabularInline[CharacterVersion, Character]
else:
    _Admin, _UserAdmin = admin.ModelAdmin, DjangoUserAdmin
    _UserForm, _Versions = forms.ModelForm, admin.TabularInline

admin.site.site_header = "Troupe"
admin.site.site_title = "Troupe"
admin.site.index_title = "Administration"
admin.site.unregister(Group)


def _by(request: HttpRequest) -> User:
    assert isinstance(request.user, User)  # the admin lets nobody else in
    return request.user


class ReadOnly(_Admin):
    """Shown, not changed: a change is an action with its row in the audit log."""

    def has_add_permission(self, request: HttpRequest) -> bool:  # noqa: ARG002
        """Never."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:  # noqa: ARG002
        """Never."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:  # noqa: ARG002
        """Never."""
        return False

    def has_moderate_permission(self, request: HttpRequest) -> bool:
        """Superusers may take the actions that a page offers."""
        return bool(request.user.is_superuser)


class UserForm(_UserForm):
    """A user, with a link to set another password."""

    password = ReadOnlyPasswordHashField(help_text='<a href="../password/">Set a password</a>.')

    class Meta:
        model = User
        fields = ("name", "display_name", "email", "is_active", "is_staff", "is_superuser")


@admin.register(User)
class UserAdmin(_UserAdmin):
    """Users. They are made by registration; one who must go is made inactive."""

    form = UserForm
    ordering = ("-created_at",)
    list_display = ("name", "display_name", "email", "guest", "is_staff", "is_active", "created_at")
    list_filter = ("guest", "is_staff", "is_active")
    search_fields = ("name", "display_name", "email")
    readonly_fields = ("id", "guest", "created_at", "last_login")
    filter_horizontal = ()
    fieldsets = (
        (None, {"fields": ("name", "display_name", "email", "password")}),
        ("Rights", {"fields": ("is_active", "is_staff", "is_superuser")}),
        ("Record", {"fields": ("id", "guest", "created_at", "last_login")}),
    )

    def has_add_permission(self, request: HttpRequest) -> bool:  # noqa: ARG002
        """Never: accounts register."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:  # noqa: ARG002
        """Never: their characters may be in others' chats."""
        return False

    def save_model(self, request: HttpRequest, obj: User, form: Any, change: bool) -> None:
        """Save, with a row in the audit log."""
        obj.email = obj.email or None
        super().save_model(request, obj, form, change)
        record(_by(request), "admin.user", obj.id, fields=form.changed_data)


class VersionInline(_Versions):
    """The versions of a character, newest first."""

    model = CharacterVersion
    fk_name = "character"
    fields = ("number", "name", "tagline", "created_at")
    readonly_fields = fields
    ordering = ("-number",)
    extra = 0
    can_delete = False
    show_change_link = True

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:  # noqa: ARG002
        """Never."""
        return False


@admin.register(Character)
class CharacterAdmin(ReadOnly):
    """Characters, to look at, hide and delete."""

    list_display = ("slug", "name", "owner", "visibility", "views", "updated_at", "deleted_at")
    list_filter = ("visibility", ("deleted_at", admin.EmptyFieldListFilter))
    list_select_related = ("owner",)
    search_fields = ("slug", "name_lower", "owner__name")
    exclude = ("search", "name_lower")
    ordering = ("-updated_at",)
    inlines: ClassVar = [VersionInline]
    actions = ("hide", "remove")

    @admin.action(permissions=["moderate"], description="Make private")
    def hide(self, request: HttpRequest, chosen: QuerySet[Character]) -> None:
        """Only their owners see them from now on."""
        for character in chosen.filter(deleted_at=None):
            characters.change(_by(request), character, {}, Visibility.PRIVATE)

    @admin.action(permissions=["moderate"], description="Delete")
    def remove(self, request: HttpRequest, chosen: QuerySet[Character]) -> None:
        """As if their owners had deleted them."""
        for character in chosen.filter(deleted_at=None):
            characters.delete(_by(request), character)


@admin.register(CharacterVersion)
class VersionAdmin(ReadOnly):
    """Published versions, which never change."""

    list_display = ("name", "number", "character", "created_at")
    list_select_related = ("character",)
    search_fields = ("name", "character__slug")
    ordering = ("-created_at",)


@admin.register(ApiKey)
class ApiKeyAdmin(ReadOnly):
    """API keys; their secrets are kept nowhere."""

    list_display = ("__str__", "name", "user", "created_at", "revoked_at")
    list_select_related = ("user",)
    search_fields = ("name", "user__name", "prefix", "last4")
    exclude = ("sha256",)
    actions = ("revoke",)

    @admin.action(permissions=["moderate"], description="Revoke")
    def revoke(self, request: HttpRequest, chosen: QuerySet[ApiKey]) -> None:
        """They open nothing from now on."""
        for key in chosen.filter(revoked_at=None).select_related("user"):
            keys.revoke(key, by=_by(request))


@admin.register(AuditEntry)
class AuditAdmin(ReadOnly):
    """Who changed what, and when."""

    list_display = ("at", "actor", "action", "target", "details", "request_id")
    list_filter = ("action",)
    list_select_related = ("actor",)
    search_fields = ("target", "actor__name", "request_id")
    show_full_result_count = False
