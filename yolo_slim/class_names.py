"""What classes are called where each needs a name of its own."""

from __future__ import annotations

from collections.abc import Sequence


def unique_names(names: Sequence[str]) -> list[str]:
    """Names that occur twice get the number of their class.

    >>> unique_names(("cat", "dog", "cat"))
    ['cat (0)', 'dog', 'cat (2)']
    """
    return [f"{name} ({k})" if names.count(name) > 1 else name for k, name in enumerate(names)]


def are_known(names: Sequence[str]) -> bool:
    """Whether classes have names, and not their numbers in place of them.

    >>> are_known(("cat", "dog")), are_known(("class_0", "class_1")), are_known(())
    (True, False, False)
    """
    return any(class_key(name) != f"class{k}" for k, name in enumerate(names))


SYNONYMS = {"aeroplane": "airplane", "motorbike": "motorcycle", "sofa": "couch", "tvmonitor": "tv"}
"""What Pascal VOC and Darknet's coco.names call classes of COCO."""


def class_key(name: str) -> str:
    """The same for names that mean the same class: case, blanks, hyphens and underscores do not
    count, nor whether it is VOC's word or COCO's.

    >>> class_key("Potted plant") == class_key("pottedplant")
    True
    >>> class_key("motorbike") == class_key("motorcycle")
    True
    """
    plain = "".join(letter for letter in name.casefold() if letter not in " -_")
    return SYNONYMS.get(plain, plain)
