"""Scores, predictions and reports of trained models, at the images' own size.

evaluator = ctx.evaluation.Evaluator(
    model, dataset.num_classes, dataset.ignore_label, dataset.class_names
)
examples = ctx.data.evaluation_examples(dataset, "val")
result = evaluator(examples)
print(result.table())
samples = ctx.evaluation.report_samples(evaluator, examples, result)
ctx.evaluation.write_report(result, samples, "report.html", dataset.palette)
"""

from keras_ctxseg.evaluation.comparison import (
    Comparison,
    DisputedImage,
    Estimate,
    compare,
    comparison_table,
    disputed_images,
    write_comparison,
)
from keras_ctxseg.evaluation.evaluator import Evaluator
from keras_ctxseg.evaluation.label_files import LabelFormat, label_format
from keras_ctxseg.evaluation.prediction import predict, predict_exported
from keras_ctxseg.evaluation.predictor import Prediction, Predictor
from keras_ctxseg.evaluation.protocol import PROTOCOLS, Protocol, named_protocol
from keras_ctxseg.evaluation.report import write_report
from keras_ctxseg.evaluation.result import EvaluationResult, ImageScore
from keras_ctxseg.evaluation.samples import ReportSample, report_samples
from keras_ctxseg.evaluation.side_by_side import draw_side_by_side
from keras_ctxseg.evaluation.video import PredictedVideo, label_video, predict_video
from keras_ctxseg.evaluation.written_predictions import PredictedImage, PredictionResult

__all__ = [
    "PROTOCOLS",
    "Comparison",
    "DisputedImage",
    "Estimate",
    "EvaluationResult",
    "Evaluator",
    "ImageScore",
    "LabelFormat",
    "PredictedImage",
    "PredictedVideo",
    "Prediction",
    "PredictionResult",
    "Predictor",
    "Protocol",
    "ReportSample",
    "compare",
    "comparison_table",
    "disputed_images",
    "draw_side_by_side",
    "label_format",
    "label_video",
    "named_protocol",
    "predict",
    "predict_exported",
    "predict_video",
    "report_samples",
    "write_comparison",
    "write_report",
]
