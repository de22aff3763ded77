"""The build: from one float ONNX file and two folders of images to a bundle, or to a refusal."""
