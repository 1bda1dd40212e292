"""The networks that every law is tested on; other members of the zoo have tests of their own."""

CORE = ("yolov3", "yolov3-spp", "yolov3-tiny", "yolov3-nano")
