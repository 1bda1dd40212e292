"""yolo-slim profile: see yolo_slim/cli/profile.py."""

from yolo_slim.cli import tool

if __name__ == "__main__":
    tool("profile")
