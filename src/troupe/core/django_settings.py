"""Django's settings, derived from Troupe's own."""

from troupe.settings import Settings

settings = Settings()
SECRET_KEY = settings.secret_key.get_secret_value() if settings.secret_key else "unset"
INSTALLED_APPS: list[str] = []
USE_TZ = True
