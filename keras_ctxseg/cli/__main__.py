"""`python -m keras_ctxseg.cli`, the same as `ctxseg`."""

import sys

from keras_ctxseg.cli import main

sys.exit(main())
