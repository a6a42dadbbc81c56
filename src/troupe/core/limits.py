"""How much of anything a stranger may send to core. Lengths are in characters, sizes in bytes.

`IMPORTED_*` are for cards made elsewhere, whose authors knew other limits; such a text may stay as
long as it came, and is held to the plain limit once it is edited here.
"""

from __future__ import annotations

MB = 1024 * 1024
JSON_BODY = 4 * MB

USER_NAME_MIN = 3
USER_NAME = 30
EMAIL = 254
PASSWORD_MIN = 8
PASSWORD = 256

NAME_MIN = 3
NAME = 50
TAGLINE = 120
DESCRIPTION = 2_000
GREETING = 4_096
GREETINGS = 20
DEFINITION = 32_000
EXAMPLES = 16_000
TAGS = 20
TAG = 40

IMPORTED_NAME = 100
IMPORTED_GREETING = 32_000
IMPORTED_GREETINGS = 100
IMPORTED_DEFINITION = 200_000
IMPORTED_EXAMPLES = 64_000
IMPORTED_TEXT = 600_000  # all texts of one version together

SLUG = 80
QUERY = 200
CURSOR = 2_000
PAGE = 100
PAGE_DEFAULT = 24

PERSONA_NAME = 100
PERSONA_DESCRIPTION = 8_000
MODEL_NAME = 200
KEY_NAME = 100

CHARACTERS_A_USER = 5_000
CHARACTERS_A_GUEST = 20
PERSONAS_A_USER = 100
KEYS_A_USER = 50

AVATAR_SIDE = 512  # pixels, after scaling
AVATAR_PIXELS = 36_000_000  # before scaling; over this a picture is not decoded
