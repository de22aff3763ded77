"""Why a verdict came out as it did: where in the frame the network found its answer, without torch."""
