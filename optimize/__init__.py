"""Middle floor of edge-inspect: a float ONNX model in, a gated and measured bundle out. No torch."""
