"""The engine: decision, ledger and catalogue behind one class."""

from optimizer.engine.optimizer import Optimizer

__all__ = ["Optimizer"]
