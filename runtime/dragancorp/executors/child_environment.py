"""What a lane's programs see of the environment: what the lane names, the mission's ids and folders, nothing else."""

import os
from collections.abc import Iterable, Mapping

from dragancorp.executors.protocol import MissionContext

# When the lane names nothing: enough to find programs, a home and the language, nothing that commonly holds a secret.
DEFAULT_NAMES = ("PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR")


def child_environment(names: Iterable[str], surroundings: Mapping[str, str], context: MissionContext) -> dict[str, str]:
    """The variables of a program that works on a mission; `names` are looked up in `surroundings`."""
    passed = {name: surroundings[name] for name in names if name in surroundings}
    # Without the ceiling, git in a plain folder finds a repository around it, and `git apply` then silently skips every
    # file of the patch.
    return {
        "PATH": os.defpath,
        **passed,
        "GIT_CEILING_DIRECTORIES": str(context.workspace.parent),
        **context.environment,
    }
