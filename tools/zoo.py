"""yolo-slim zoo: see yolo_slim/cli/zoo.py."""

from yolo_slim.cli import tool

if __name__ == "__main__":
    tool("zoo")
