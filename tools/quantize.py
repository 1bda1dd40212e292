"""yolo-slim quantize: see yolo_slim/cli/quantize.py."""

from yolo_slim.cli import tool

if __name__ == "__main__":
    tool("quantize")
