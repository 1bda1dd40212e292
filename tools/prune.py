"""yolo-slim prune: see yolo_slim/cli/prune.py."""

from yolo_slim.cli import tool

if __name__ == "__main__":
    tool("prune")
