"""What another policy would have earned on logged calls: estimates with honest limits, or the reason for none.

All of it is pure: arrays in, values out; chance is an argument. `docs/estimators.md` says which to use, and how often
each one's interval holds.
"""

from optimizer.analysis.estimators.classic import direct_method, ips, snips
from optimizer.analysis.estimators.estimate import MIN_ESS, Estimate, Overlap, WeightHistogram
from optimizer.analysis.estimators.judged import JudgedMean, corrected_rewards, judged_mean
from optimizer.analysis.estimators.logged import LoggedCalls, whole_sessions
from optimizer.analysis.estimators.options import MAX_OFF_SUPPORT, Options
from optimizer.analysis.estimators.predicted import Predicted, predicted
from optimizer.analysis.estimators.resampling import bootstrap, time_blocks
from optimizer.analysis.estimators.robust import doubly_robust, robust_difference
from optimizer.analysis.estimators.sequences import ConfidenceSequence, confidence_sequence
from optimizer.analysis.estimators.weights import importance_weights, off_support, supported

__all__ = [
    "MAX_OFF_SUPPORT",
    "MIN_ESS",
    "ConfidenceSequence",
    "Estimate",
    "JudgedMean",
    "LoggedCalls",
    "Options",
    "Overlap",
    "Predicted",
    "WeightHistogram",
    "bootstrap",
    "confidence_sequence",
    "corrected_rewards",
    "direct_method",
    "doubly_robust",
    "importance_weights",
    "ips",
    "judged_mean",
    "off_support",
    "predicted",
    "robust_difference",
    "snips",
    "supported",
    "time_blocks",
    "whole_sessions",
]
