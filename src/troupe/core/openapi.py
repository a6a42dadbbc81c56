"""Writes the API's OpenAPI document: `python -m troupe.core.openapi [FILE]`.

web/openapi/core.json is what the web app's types are made from; a test holds the two equal.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from troupe.settings import Settings

from . import config


def text() -> str:
    """The document as it is kept in web/openapi/core.json. Django must be set up."""
    from .api.app import api  # models can only be imported once Django is set up

    document = json.loads(json.dumps(api.get_openapi_schema(path_prefix="api/v1/")))
    return json.dumps(document, indent=2, ensure_ascii=False, sort_keys=True) + "\n"


if __name__ == "__main__":
    config.setup(Settings())
    if len(sys.argv) > 1:
        Path(sys.argv[1]).write_text(text(), encoding="utf-8")
    else:
        sys.stdout.write(text())
