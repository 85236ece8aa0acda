# SPDX-License-Identifier: BSD-2-Clause
"""python -m penstock ...: the command."""

from __future__ import annotations

import os
import sys


def main() -> None:
    command = os.path.join(os.path.dirname(os.path.abspath(__file__)), 'command')
    # Some ways to install forget what may be run.
    if not os.access(command, os.X_OK):
        os.chmod(command, 0o755)
    os.execv(command, ['penstock', *sys.argv[1:]])


main()
