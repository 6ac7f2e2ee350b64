"""ECENet Explorer: `python app.py`, then open http://127.0.0.1:7860. `ecenet/app/layout.py` lays out the page."""

import signal

if __name__ == "__main__" and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    # The following imports take seconds; Ctrl-C ends them without a traceback.
    signal.signal(signal.SIGINT, signal.SIG_DFL)

import tyro

from ecenet.app.server.options import Options
from ecenet.app.start import start

if __name__ == "__main__":
    start(tyro.cli(Options))
