"""`python -m edge_runtime.cli` is `edge-inspect`."""

import sys

from edge_runtime.cli.main import main

sys.exit(main())
