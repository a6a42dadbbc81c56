"""Django's addresses: the API and the admin."""

from __future__ import annotations

from django.contrib import admin
from django.urls import path

from .api.app import PREFIX, api

urlpatterns = [
    path(f"{PREFIX.lstrip('/')}/", api.urls),
    path("admin/", admin.site.urls),
]
handler400 = "troupe.core.pages.bad_request"
handler403 = "troupe.core.pages.forbidden"
handler404 = "troupe.core.pages.not_found"
handler500 = "troupe.core.pages.server_error"
