"""yolo-slim distill"""

from __future__ import annotations

from yolo_slim.cli.distill_options import (
    CacheTeacher,
    FeatureEpochs,
    KeepFeatures,
    LossNames,
    MethodName,
    Student,
    Taps,
    Teacher,
    TeacherStatistics,
    Temperature,
    Unlabelled,
)
from yolo_slim.cli.options import (
    Annotations,
    BackboneSource,
    Data,
    Images,
    JsonFile,
    NamesFile,
    Seed,
    Size,
    WeightsFile,
)
from yolo_slim.cli.train_options import (
    Accumulate,
    Affine,
    Anchors,
    BatchSize,
    BoxMeasure,
    BoxWeight,
    Cache,
    Cells,
    CheckpointMinutes,
    CloseMosaic,
    Colour,
    CopyPaste,
    Devices,
    Epochs,
    Flip,
    FocalGamma,
    IouThresh,
    LabelSmoothing,
    Lr,
    Mixup,
    Mosaic,
    MultiScale,
    NumNodes,
    Objectness,
    OptimizerName,
    Precision,
    ProfileSteps,
    Resume,
    RunFolder,
    Schedule,
    Shift,
    ShowBatch,
    Strategy,
    SyncBatchnorm,
    WeightDecay,
    Workers,
    Zoom,
)
from yolo_slim.cli.train_request import Request
from yolo_slim.cli.training import run_training
from yolo_slim.distill.settings import DistillSettings, read_losses, read_taps
from yolo_slim.errors import InputError
from yolo_slim.pipeline.teaching import Lessons

DEFAULT_EPOCHS = 50


def distill(
    student: Student,
    out: RunFolder,
    teacher: Teacher,
    epochs: Epochs = DEFAULT_EPOCHS,
    method: MethodName = "together",
    loss: LossNames = "overhaul,logits",
    feature_epochs: FeatureEpochs = None,
    keep_features: KeepFeatures = 0.0,
    unlabelled: Unlabelled = None,
    taps: Taps = "",
    teacher_statistics: TeacherStatistics = "auto",
    temperature: Temperature = 4.0,
    cache_teacher: CacheTeacher = False,
    data: Data = None,
    weights: WeightsFile = None,
    names: NamesFile = None,
    backbone_weights: BackboneSource = None,
    images: Images = None,
    annotations: Annotations = None,
    size: Size = None,
    batch_size: BatchSize = None,
    accumulate: Accumulate = None,
    optimizer: OptimizerName = "adamw",
    lr: Lr = None,
    schedule: Schedule = None,
    weight_decay: WeightDecay = None,
    anchors: Anchors = "keep",
    mosaic: Mosaic = None,
    mixup: Mixup = None,
    copy_paste: CopyPaste = None,
    flip: Flip = None,
    affine: Affine = None,
    zoom: Zoom = None,
    shift: Shift = None,
    colour: Colour = None,
    close_mosaic: CloseMosaic = None,
    multi_scale: MultiScale = None,
    show_batch: ShowBatch = None,
    box_loss: BoxMeasure = None,
    box_weight: BoxWeight = None,
    objectness: Objectness = None,
    iou_thresh: IouThresh = None,
    cells: Cells = "own",
    label_smoothing: LabelSmoothing = None,
    focal_gamma: FocalGamma = None,
    precision: Precision = "auto",
    cache: Cache = "auto",
    workers: Workers = None,
    profile_steps: ProfileSteps = 0,
    devices: Devices = 0,
    num_nodes: NumNodes = 1,
    strategy: Strategy = "auto",
    sync_batchnorm: SyncBatchnorm = True,
    checkpoint_minutes: CheckpointMinutes = 10.0,
    seed: Seed = 0,
    json: JsonFile = None,
    resume: Resume = False,
) -> None:
    """Train a small model with a large one as its teacher: its features, its answers, or both.

    The feature overhaul compares maps before their activation, through connectors that are thrown
    away afterwards: the student may have other widths, fewer layers, another backbone.
    """
    options = dict(locals())
    if unlabelled is not None and method != "separate":
        raise InputError(
            f"--unlabelled {unlabelled}: pictures without labels are for --method separate, whose "
            "first stage needs none"
        )
    if profile_steps and method == "separate":
        raise InputError("--profile-steps times one training: leave out --method separate")
    if feature_epochs is None:
        feature_epochs = max(1, epochs // 2) if method == "separate" else 0
    losses = DistillSettings(
        read_losses(loss), read_taps(taps), statistics=teacher_statistics, temperature=temperature
    )
    lessons = Lessons(losses, method, feature_epochs, keep_features, cache_teacher)
    run_training(Request.of({**options, "model": student}, lessons))
