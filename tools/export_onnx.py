"""yolo-slim export_onnx: see yolo_slim/cli/export_onnx.py."""

from yolo_slim.cli import tool

if __name__ == "__main__":
    tool("export_onnx")
