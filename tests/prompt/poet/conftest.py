"""What compares with the installed package needs a Python that the package can be installed on."""

from __future__ import annotations

import sys

collect_ignore_glob = (
    ["test_corpus.py", "test_differences.py", "test_published.py", "test_random.py"]
    if sys.version_info >= (3, 13)
    else []
)
