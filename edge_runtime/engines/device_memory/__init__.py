"""A GPU's memory, streams and graphs behind one seam: a file per library, and a host-memory fake."""
