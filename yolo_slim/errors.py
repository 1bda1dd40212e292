"""Every error that a user of yolo_slim can meet.

    YoloSlimError
    ├── InputError            what was given cannot be used: exit status 2
    │   ├── CfgError          a cfg file breaks a rule of the dialect
    │   ├── WeightsError      a weights file does not fit its cfg
    │   ├── BundleError       a bundle directory is incomplete or contradicts itself
    │   ├── DataError         a data set, an image or a video cannot be read
    │   └── RecipeError       a compress recipe asks for something that does not exist
    ├── RunError              the input was fine, the work failed: exit status 1
    └── Interrupted           a person pressed Ctrl-C: exit status 130

A message says where, what was found, what was expected, and what to do, in one or two lines.
"""


class YoloSlimError(Exception):
    """Base of all errors that are reported to a person without a traceback."""

    exit_status = 1


class InputError(YoloSlimError):
    """What was given cannot be used."""

    exit_status = 2


class CfgError(InputError):
    """A cfg file breaks a rule of the dialect."""


class WeightsError(InputError):
    """A weights file does not fit its cfg."""


class BundleError(InputError):
    """A bundle directory is incomplete or contradicts itself."""


class DataError(InputError):
    """A data set, an image or a video cannot be read."""


class RecipeError(InputError):
    """A compress recipe asks for something that does not exist."""


class RunError(YoloSlimError):
    """The input was fine, the work failed."""


class Interrupted(YoloSlimError):
    """A person pressed Ctrl-C; the message says what there is, or how to go on."""

    exit_status = 130  # what a shell gives a program that SIGINT has ended
