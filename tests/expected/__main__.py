"""Write the kept texts anew: ``python -m tests.expected [NAME...]``. Read the difference then."""

from __future__ import annotations

import sys

from tests.expected.texts import NETWORKS, write

for each in sys.argv[1:] or NETWORKS:
    write(each)
