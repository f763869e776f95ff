"""One answer in the data file is edited."""

from pathlib import Path

data = Path("tea.jsonl")
data.write_bytes(data.read_bytes().replace(b"Question 2 of black", b"Question 9 of black", 1))
