"""`python -m train.cli` is `train`."""

import sys

from train.cli.main import main

sys.exit(main())
