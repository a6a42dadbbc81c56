"""Cards and pictures that the tests of this folder share."""

from __future__ import annotations

import io

import pytest
from PIL import Image

# Written out, so that spaces, number forms, escapes and order are seen to survive.
V2_TEXT = """{
  "spec": "chara_card_v2", "spec_version": "2.0",
  "data": {
    "name": "Mira", "description": "{{char}} keeps the light.", "personality": "dry",
    "scenario": "", "first_mes": "*waves* Hi {{user}}.", "mes_example": "<START>\\n{{char}}: Hm.",
    "creator_notes": "A keeper.", "system_prompt": "", "post_history_instructions": "",
    "alternate_greetings": ["Oh."], "tags": ["sea"], "creator": "ann", "character_version": "1",
    "character_book": {"entries": [], "extensions": {}},
    "extensions": {"depth_prompt": {"depth": 4.0, "x": 1e400, "big": 12345678901234567890123},
                   "risuai\\u002fx": "\\u00e9\\ud83d\\ude00"}
  },
  "other_tool": {"b": 1, "a": [ 1 , 2 ]}
}"""


@pytest.fixture
def v2_text() -> str:
    return V2_TEXT


@pytest.fixture
def picture() -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (8, 8), "teal").save(out, "PNG")
    return out.getvalue()
