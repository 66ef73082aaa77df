"""What a finished reranking says about its judge: agreement with itself, position bias, calibration."""

from __future__ import annotations

from .diagnosis_run import DiagnosisRequest, TaskDiagnosis, diagnose

__all__ = ["DiagnosisRequest", "TaskDiagnosis", "diagnose"]
