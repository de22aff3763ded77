"""When a model should be taught anew: declared rules, a request, and the evidence for it."""
