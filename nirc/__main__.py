"""``python -m nirc``."""

from __future__ import annotations

from nirc.cli.main import main

main()
