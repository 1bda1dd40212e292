"""ONNX in, a serialized engine out: parse, set up, build."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import onnx

from yolo_slim.errors import InputError, RunError
from yolo_slim.metadata import IMAGE_NAME
from yolo_slim.trt.api import Api, gpu_capability, load_api, log_of, require_gpu
from yolo_slim.trt.faults import failure, refusal
from yolo_slim.trt.monitor import Phases, interruptible, monitor_of
from yolo_slim.trt.settings import PORTABLE, BuildSettings, check_settings, known_capability

BUILD_ADVICE = (
    "build on the machine that the engine is for, or ahead of time with --flavor rtx "
    "--compute-capability 8.6"
)


@dataclass(frozen=True)
class Plan:
    """A serialized engine, and what it was built with.

    compute_capability: of the GPU that it is for, as '8.6', or 'portable'.
    timing_cache: what was measured on the way, for the next build; None for rtx.
    """

    data: bytes
    version: str
    compute_capability: str
    timing_cache: bytes | None = None


def ready_api(settings: BuildSettings, has_cache: bool = False) -> Api:
    """The package, once everything that `settings` asks of it is known to be there.

    Raises InputError for options that do not fit together, a GPU or a package that is missing, and
    an unknown compute capability.
    """
    check_settings(settings, has_cache)
    if settings.flavor == "tensorrt":
        require_gpu("a build with TensorRT", BUILD_ADVICE)
    api = load_api(settings.flavor)
    known_capability(api, settings.compute_capability)
    return api


def build_plan(
    model: onnx.ModelProto,
    source: str,
    settings: BuildSettings,
    timing_cache: bytes | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Plan:
    """Builds the engine of a graph, strongly typed: in the number types that stand in it.

    source: the graph's name in errors. timing_cache: of an earlier build, b"" to begin one; None
    for none. progress: called with (done, total), from any thread.

    Raises InputError as `ready_api` does, and for a graph that TensorRT's parser refuses; RunError
    where the build fails; KeyboardInterrupt after Ctrl-C.
    """
    api = ready_api(settings, timing_cache is not None)
    return _build(api, model, source, settings, timing_cache, progress)


def _build(
    api: Api,
    model: onnx.ModelProto,
    source: str,
    settings: BuildSettings,
    timing_cache: bytes | None,
    progress: Callable[[int, int], None] | None,
) -> Plan:
    trt = api.trt
    log = log_of(trt)
    log.clear()
    phases = Phases(progress)
    monitor = monitor_of(trt, phases)  # before what uses it: it must live longer
    try:
        builder = trt.Builder(log)
    except (TypeError, RuntimeError):  # pybind's, of a constructor that returned nothing
        raise RunError(f"{api.name} does not start: {failure(log.errors)}") from None
    network = builder.create_network(api.network_flags)
    parser = trt.OnnxParser(network, log)
    # parse_from_file would read what an ONNX file says lies beside it.
    if not parser.parse(model.SerializeToString()):
        raise InputError(refusal(parser, source))
    config = _configured(api, builder, network, settings, source)
    cache = _attached_cache(config, timing_cache)
    config.progress_monitor = monitor
    log.clear()
    plan = interruptible(lambda: builder.build_serialized_network(network, config), phases)
    if plan is None:
        raise RunError(f"{source}: {api.name} cannot build it: {failure(log.errors)}")
    capability = known_capability(api, settings.compute_capability)
    if capability is None:
        capability = PORTABLE if settings.flavor == "rtx" else gpu_capability()
    measured = None if cache is None else bytes(cache.serialize())
    return Plan(bytes(plan), api.version, capability, measured)


def _configured(api: Api, builder: Any, network: Any, settings: BuildSettings, source: str) -> Any:
    trt = api.trt
    config = builder.create_builder_config()
    config.profiling_verbosity = trt.ProfilingVerbosity.DETAILED  # the inspector tells types then
    if settings.workspace_mib is not None:
        config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, settings.workspace_mib << 20)
    if settings.version_compatible:
        config.set_flag(trt.BuilderFlag.VERSION_COMPATIBLE)
    if settings.sparse_weights:
        config.set_flag(trt.BuilderFlag.SPARSE_WEIGHTS)
    if settings.hardware_compatible:
        config.hardware_compatibility_level = trt.HardwareCompatibilityLevel.AMPERE_PLUS
    capability = known_capability(api, settings.compute_capability)
    if capability is not None:
        target = getattr(trt.ComputeCapability, "SM" + capability.replace(".", ""))
        config.num_compute_capabilities = 1
        config.set_compute_capability(target, 0)
    _set_batch(builder, config, network, settings, source)
    return config


def _set_batch(
    builder: Any, config: Any, network: Any, settings: BuildSettings, source: str
) -> None:
    tensor = network.get_input(0)
    shape = tuple(tensor.shape)
    if shape[0] != -1:
        if settings.is_dynamic:
            raise InputError(
                f"{source} is made for {shape[0]} image at a time, and --batch was given: export "
                "it again with --dynamic-batch"
            )
        return
    profile = builder.create_optimization_profile()
    least, usual, greatest = ((n, *shape[1:]) for n in settings.batch)
    profile.set_shape(IMAGE_NAME, least, usual, greatest)
    config.add_optimization_profile(profile)


def _attached_cache(config: Any, timing_cache: bytes | None) -> Any:
    if timing_cache is None:
        return None
    cache = config.create_timing_cache(timing_cache)
    if cache is None or not config.set_timing_cache(cache, False):
        raise InputError(
            "the timing cache was measured by another version or on another GPU: name another "
            "--timing-cache"
        )
    return cache
