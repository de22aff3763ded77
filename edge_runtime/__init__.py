"""Ground floor of edge-inspect: the daemon that turns camera frames into verdicts at the MES.

Owns everything that runs on the edge box. Never imports torch, nor the floors above it.
"""

__version__ = "0.1.0"
