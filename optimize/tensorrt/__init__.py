"""Models for TensorRT: the ONNX files that it reads, written and checked without it."""
