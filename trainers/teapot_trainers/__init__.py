"""The bases that Teapot trains, as data, and what renders them; imports nothing heavy."""

from teapot_trainers.kernelsadvice import hide_kernels_advice
from teapot_trainers.package import PackageTrainer, trainer_of

__all__ = ["PackageTrainer", "trainer_of"]

hide_kernels_advice()  # here, because transformers.Trainer imports PEFT, and PEFT bitsandbytes
