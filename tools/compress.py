"""yolo-slim compress: see yolo_slim/cli/compress.py."""

from yolo_slim.cli import tool

if __name__ == "__main__":
    tool("compress")
