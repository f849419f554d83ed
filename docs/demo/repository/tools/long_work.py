"""Work that takes its time, with a child process, as compilers and test runners have."""

import os
import pathlib
import subprocess
import sys
import time

child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
pathlib.Path(os.environ["DRAGAN_ARTIFACTS"], "processes.txt").write_text(f"{os.getpid()}\n{child.pid}\n")
time.sleep(600)
