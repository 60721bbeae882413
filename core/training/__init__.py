"""Training one fold. Its threads share the machine with a page and a person: those that wait for another go to sleep.

OpenMP's default is to spin for a millisecond at every barrier; beside a busy neighbour a step took up to six times the
processor time so (measured). The variable is read when torch is loaded, therefore it is set before.
"""

import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
