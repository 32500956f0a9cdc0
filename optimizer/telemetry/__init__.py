"""Prometheus instruments, and what is counted with them; LLM_MONITORING_ENABLED=false switches them off."""

from optimizer.telemetry.counting import CHECKS, OTHER, Telemetry, open_telemetry
from optimizer.telemetry.instruments import REFRESHED, Instruments, process_instruments

__all__ = ["CHECKS", "OTHER", "REFRESHED", "Instruments", "Telemetry", "open_telemetry", "process_instruments"]
