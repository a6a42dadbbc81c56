"""Django's settings, derived from Troupe's own.

Nothing here is read from the environment: `config.setup` gives the one settings object.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from psycopg.conninfo import conninfo_to_dict

from troupe.core import config, limits

_settings = config.given()
_public = urlsplit(_settings.url)
_PLACES = {"dbname": "NAME", "user": "USER", "password": "PASSWORD", "host": "HOST", "port": "PORT"}


def _database(dsn: str) -> dict[str, Any]:
    """Django's form of a PostgreSQL DSN, with psycopg's own pool.

    Connections that Django keeps by age belong to threads; under ASGI those come and go, and the
    server runs out. The pool bounds them, and a caller waits at most `timeout` seconds.
    """
    given = {key: str(value) for key, value in conninfo_to_dict(dsn).items()}
    places = {place: given.pop(key, "") for key, place in _PLACES.items()}
    return {
        "ENGINE": "django.db.backends.postgresql",
        **places,
        "CONN_MAX_AGE": 0,
        "CONN_HEALTH_CHECKS": True,
        "OPTIONS": {
            "application_name": "troupe-core",
            **given,
            "pool": {"min_size": 1, "max_size": 10, "timeout": 5, "num_workers": 1},
        },
    }


SECRET_KEY = _settings.secret_key.get_secret_value() if _settings.secret_key else "unset"
DEBUG = False
ALLOWED_HOSTS = ["*"]  # no page or link is made from the Host header
CSRF_TRUSTED_ORIGINS = [f"{_public.scheme}://{_public.netloc}"]
ROOT_URLCONF = "troupe.core.urls"
APPEND_SLASH = True
DATABASES = {"default": _database(_settings.database_url or "dbname=troupe")}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.messages",
    "django.contrib.sessions",
    "ninja",  # its documentation pages then use its own copies of their scripts
    "troupe.core",
]
MIDDLEWARE = [
    "troupe.core.middleware.observe",
    "troupe.core.middleware.shape",
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "troupe.core.middleware.StrictCsrf",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "ninja.compatibility.files.fix_request_files_middleware",
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]

AUTH_USER_MODEL = "core.User"
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}", "OPTIONS": options}
    for name, options in (
        ("UserAttributeSimilarityValidator", {"user_attributes": ("name", "email")}),
        ("MinimumLengthValidator", {"min_length": limits.PASSWORD_MIN}),
        ("CommonPasswordValidator", {}),
        ("NumericPasswordValidator", {}),
    )
]
PASSWORD_HASHERS = [
    "django.contrib.auth.hashers.ScryptPasswordHasher",
    "django.contrib.auth.hashers.PBKDF2PasswordHasher",
]
SILENCED_SYSTEM_CHECKS = ["auth.E003"]  # the name is unique by an index over lower(name)

SESSION_ENGINE = "troupe.core.sessions"
SESSION_COOKIE_NAME = "troupe_session"
SESSION_COOKIE_AGE = 30 * 24 * 3600
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_SECURE = _public.scheme == "https"
SESSION_SAVE_EVERY_REQUEST = False  # a read writes nothing
CSRF_COOKIE_NAME = "troupe_csrf"
CSRF_COOKIE_HTTPONLY = True  # GET /api/v1/session tells the token
CSRF_COOKIE_SAMESITE = "Lax"
CSRF_COOKIE_SECURE = _public.scheme == "https"
CSRF_FAILURE_VIEW = "troupe.core.pages.csrf_failure"
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"

DATA_UPLOAD_MAX_MEMORY_SIZE = limits.JSON_BODY
DATA_UPLOAD_MAX_NUMBER_FIELDS = 1000
DATA_UPLOAD_MAX_NUMBER_FILES = 4

STATIC_URL = "/static/"
MEDIA_URL = "/media/"
MEDIA_ROOT = str(_settings.root / "media")

USE_TZ = True
TIME_ZONE = "UTC"
LANGUAGE_CODE = "en"
USE_I18N = False
LOGGING_CONFIG = None  # troupe.telemetry.logs decides what is written, and how
