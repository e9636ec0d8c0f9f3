"""Says ready and ends with the status in the environment variable STATUS (default 1)."""

import os
import sys

print("ready", flush=True)
sys.exit(int(os.environ.get("STATUS", "1")))
