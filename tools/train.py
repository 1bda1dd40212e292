"""yolo-slim train: see yolo_slim/cli/train.py."""

from yolo_slim.cli import tool

if __name__ == "__main__":
    tool("train")
