"""yolo-slim evaluate: see yolo_slim/cli/evaluate.py."""

from yolo_slim.cli import tool

if __name__ == "__main__":
    tool("evaluate")
