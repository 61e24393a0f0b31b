"""``python -m galstep.cli``: the command ``galstep`` without its entry point."""

import sys

from galstep.cli import main

sys.exit(main())
