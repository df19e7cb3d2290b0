"""``python -m ti_core``."""

import sys

from ti_core.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
