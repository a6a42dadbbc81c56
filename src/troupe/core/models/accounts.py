"""Users: guests, who have no password, and accounts. A guest who registers stays the same user."""

from __future__ import annotations

import uuid
from typing import Any, ClassVar

from django.contrib.auth.models import AbstractBaseUser, BaseUserManager, PermissionsMixin
from django.db import models
from django.db.models.functions import Lower

from troupe.core import limits


class UserManager(BaseUserManager["User"]):
    """Finds users by name, whatever its case."""

    def named(self, name: str) -> models.QuerySet[User]:
        """The user of this name, or none; answered from the index."""
        return self.alias(name_lower=Lower("name")).filter(name_lower=Lower(models.Value(name)))

    def get_by_natural_key(self, username: str | None) -> User:
        """The user of this name. Raises `User.DoesNotExist`."""
        return self.named(username or "").get()

    def create_superuser(self, name: str, password: str | None = None, **fields: Any) -> User:
        """For Django's own command; bootstrap makes the first administrator."""
        user = self.model(name=name, display_name=name, is_staff=True, is_superuser=True, **fields)
        user.set_password(password)
        user.save(using=self._db)
        return user


class User(AbstractBaseUser, PermissionsMixin):
    """A person, or a guest who may become one."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    name = models.CharField(max_length=limits.USER_NAME)
    display_name = models.CharField(max_length=limits.PERSONA_NAME)
    email = models.EmailField(max_length=limits.EMAIL, null=True, blank=True)
    guest = models.BooleanField(default=False)
    is_staff = models.BooleanField("staff", default=False)
    is_active = models.BooleanField("active", default=True)
    created_at = models.DateTimeField(auto_now_add=True)

    USERNAME_FIELD = "name"
    EMAIL_FIELD = "email"
    REQUIRED_FIELDS: ClassVar[list[str]] = []
    objects = UserManager()

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(Lower("name"), name="core_user_name_unique"),
            models.UniqueConstraint(Lower("email"), name="core_user_email_unique"),
        ]

    def __str__(self) -> str:
        return self.name

    def get_short_name(self) -> str:
        """How the admin greets."""
        return self.display_name
