"""`python -m optimize.cli` is `optimize`."""

import sys

from optimize.cli.main import main

sys.exit(main())
