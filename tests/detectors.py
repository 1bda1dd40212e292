"""Every public cfg with a detection head: what is read and run, and what is refused, with the line
and the word that the refusal names. Written by hand from the files."""

READ = {
    "AlexeyAB": """
        Gaussian_yolov3_BDD cd53paspp-gamma cspx-p7-mish cspx-p7-mish_hp
        csresnext50-panet-spp-original-optimal csresnext50-panet-spp enet-coco resnet152_trident
        t1.test tiny-yolo-voc tiny-yolo tiny-yolo_xnor yolo-voc.2.0 yolo-voc yolo.2.0 yolo yolo9000
        yolov2-tiny-voc yolov2-tiny yolov2-voc yolov2 yolov3-openimages yolov3-spp yolov3-tiny-prn
        yolov3-tiny yolov3-tiny_3l yolov3-tiny_obj yolov3-tiny_xnor yolov3-voc
        yolov3-voc.yolov3-giou-40 yolov3 yolov3.coco-giou-12 yolov3_5l yolov4-csp-s-mish
        yolov4-csp-swish yolov4-csp-x-mish yolov4-csp-x-swish-frozen yolov4-csp-x-swish yolov4-csp
        yolov4-custom yolov4-p5-frozen yolov4-p5 yolov4-p6 yolov4-sam-mish-csp-reorg-bfm
        yolov4-tiny-3l yolov4-tiny-custom yolov4-tiny yolov4 yolov4_new yolov4x-mish yolov7-tiny
        yolov7 yolov7x
    """,
    "pjreddie": """
        t1.test yolo9000 yolov1-tiny yolov1 yolov2-tiny-voc yolov2-tiny yolov2-voc yolov2
        yolov3-openimages yolov3-spp yolov3-tiny yolov3-voc yolov3
    """,
    "yolo-fastest": """
        yolo-fastest-1.1-xl yolo-fastest-1.1 yolo-fastest-1.1_body yolo-fastest-xl yolo-fastest
    """,
    "mobilenet-yolo": """
        MobileNetV2-YOLO-Fastest-voc-v2 MobileNetV2-YOLO-Fastest-voc MobileNetV2-YOLOv3-Lite-coco
        MobileNetV2-YOLOv3-Lite-voc MobileNetV2-YOLOv3-Nano-coco MobileNetV2-YOLOv3-Nano-voc
        yoloface-500k-v2 yoloface-500k yoloface-50k
    """,
}
READ_STEMS = [f"{folder}/{name}" for folder, names in READ.items() for name in names.split()]

REFUSED = {
    "AlexeyAB/yolov3-tiny_occlusion_track": (112, "[crnn]: recurrent sections"),
    "AlexeyAB/yolov4-tiny_contrastive": (435, "embedding_layer=-4"),
}

# Classifiers and others without a detection head that are refused.
REFUSED_WITHOUT_HEAD = {
    "AlexeyAB/crnn.train": (20, "[crnn]"),
    "AlexeyAB/gru": (14, "[gru]"),
    "AlexeyAB/lstm.train": (15, "[lstm]"),
    "AlexeyAB/rnn": (14, "[rnn]"),
    "AlexeyAB/rnn.train": (14, "[rnn]"),
    "pjreddie/darknet9000": (201, "tree=data/9k.tree"),
    "pjreddie/go": (128, "extra=1"),
    "pjreddie/go.test": (127, "extra=1"),
    "pjreddie/gru": (15, "[gru]"),
    "pjreddie/rnn": (14, "[rnn]"),
    "pjreddie/rnn.train": (14, "[rnn]"),
}
