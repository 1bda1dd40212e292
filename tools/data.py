"""yolo-slim data: see yolo_slim/cli/data.py."""

from yolo_slim.cli import tool

if __name__ == "__main__":
    tool("data")
