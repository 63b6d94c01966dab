"""``python -m nirc``."""

from __future__ import annotations

from nirc.cli.main import main

if __name__ == "__main__":  # a worker that is spawned imports this module, too
    main()
