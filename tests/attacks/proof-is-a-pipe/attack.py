"""The proof is a named pipe, which would be waited for."""

import os

os.mkfifo("tea.proof.json")
