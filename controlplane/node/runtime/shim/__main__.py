"""`python -m controlplane.node.runtime.shim ROOT LEVEL`: the zygote of a node."""

import sys

from controlplane.node.runtime.shim.zygote import main

sys.exit(main())
