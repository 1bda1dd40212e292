"""yolo-slim convert: see yolo_slim/cli/convert.py."""

from yolo_slim.cli import tool

if __name__ == "__main__":
    tool("convert")
