"""Keys that Darknet knows and that do not change what a network computes: kept, and no typo."""

from __future__ import annotations

import difflib

from yolo_slim.cfg.lexing import Block

ANYWHERE = frozenset(
    """
    onlyforward dont_update burnin_update stopbackward train_only_bn dontload dontloadscales
    learning_rate clip
""".split()
)

_YOLO = frozenset(
    """
    jitter truth_thresh random resize iou_loss iou_normalizer obj_normalizer cls_normalizer
    uc_normalizer delta_normalizer max_delta beta1 counters_per_class track_history_size sim_thresh
    dets_for_track dets_for_show track_ciou_norm map max focal_loss label_smooth_eps show_details
    iou_thresh_kind thresh
""".split()
)

_REGION = frozenset(
    """
    bias_match jitter rescore object_scale noobject_scale class_scale coord_scale mask_scale
    absolute thresh random map background classfix focal_loss max max_boxes forced
""".split()
)

KNOWN: dict[str, frozenset[str]] = {
    "net": frozenset("""
        batch subdivisions momentum decay angle saturation exposure hue learning_rate burn_in
        max_batches max_epochs policy steps scales step scale gamma power sgdr_cycle sgdr_mult
        mosaic mosaic_bound cutmix mixup blur gaussian_noise ema_alpha time_steps track
        augment_speed contrastive contrastive_color contrastive_jit_flip
        contrastive_jitter show_receptive_field adam B1 B2 eps label_smooth_eps resize_step
        optimized_memory workspace_size_limit loss_scale try_fix_nan inputs max_crop min_crop
        aspect flip hflip init_sequential_subdivisions weights_reject_freq
        equidistant_point badlabels_rejection_percentage num_sigmas_reject_badlabels
        dynamic_minibatch sequential_subdivisions seq_scales adversarial_lr attention
        full_show_progress letter_box_augment notruth random noise center seen
    """.split()),
    "convolutional": frozenset("bin_output normalize grad_centr wait_stream".split()),
    "yolo": _YOLO,
    "Gaussian_yolo": _YOLO,
    "region": _REGION,
    "detection": _REGION | {"reorg"},
    "crop": frozenset("flip angle saturation exposure shift".split()),
    "cost": frozenset("type scale ratio noobj thresh".split()),
    "softmax": frozenset("noloss tree_file".split()),
    "reorg": frozenset({"memory"}),
    "shortcut": frozenset({"assisted_excitation"}),
}  # fmt: skip


def note_unknown_keys(block: Block) -> None:
    """Notes every key that neither this package nor Darknet reads: most are misspelt."""
    known = ANYWHERE | KNOWN.get(block.kind, frozenset())
    for key, value in block.extras():
        if key in known:
            continue
        near = difflib.get_close_matches(key, block.used | known, n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        block.note(f"{key}={value[:20]} is kept, and read by nobody{hint}")
